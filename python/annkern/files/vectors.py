# SPDX-License-Identifier: Apache-2.0
"""Vector files, read without copying; a written file appears complete or not at all.

    .npy                               NumPy's format
    .fbin .f16bin .i8bin .u8bin .ibin  big-ann and cuVS: rows and columns as uint32, or as uint64, then the rows
    .fvecs .bvecs .ivecs               TexMex: before each row its length as int32
    .hdf5 .h5                          ann-benchmarks: train, test, neighbors, distances (needs h5py): hdf5.py

Vectors are mapped into memory where the format allows; a row of .fvecs then lies 4 bytes further than its length, which
the operations take as it is. What a header declares is compared with the file's size before anything is allocated, and
whatever is malformed is a ValueError that names the path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..arrays.views import asarray
from .atomic import replacing

BINARY = {".fbin": "<f4", ".f16bin": "<f2", ".i8bin": "i1", ".u8bin": "u1", ".ibin": "<i4"}
ROWWISE = {".fvecs": "<f4", ".bvecs": "u1", ".ivecs": "<i4"}
HDF5 = (".hdf5", ".h5")
SUFFIXES = (".npy", *BINARY, *ROWWISE, *HDF5)
HEADERS = ("<u4", "<u8")  # of rows and columns in .fbin and its like: big-ann's, and cuVS's of large files
MOST = np.iinfo(np.int64).max
BLOCK_BYTES = 1 << 26  # of .fvecs, whose rows' lengths are compared


class Truth(NamedTuple):
    """The nearest of each query, nearest first.

    Parameters
    ----------
    ids : ndarray (m, k) of integers
    distances : ndarray (m, k) of float32, or None
        Where the file has them.

    Examples
    --------
    >>> import numpy as np
    >>> from annkern import io
    >>> ids, distances = io.Truth(np.array([[3, 1]]), None)
    """

    ids: np.ndarray[Any, Any]
    distances: np.ndarray[Any, Any] | None


def suffix_of(path: Path, known: tuple[str, ...] = SUFFIXES) -> str:
    """The format of a file, as its name ends.

    Parameters
    ----------
    path : pathlib.Path
        The file need not be there.
    known : tuple of str
        Suffixes that are expected.

    Returns
    -------
    str
        In lower case.

    Raises
    ------
    ValueError
        Another suffix.

    Examples
    --------
    >>> from pathlib import Path
    >>> from annkern import io
    >>> io.suffix_of(Path("base.FBIN"))
    '.fbin'
    """
    suffix = path.suffix.lower()
    if suffix not in known:
        raise ValueError(f"{path}: expected a name that ends in {' '.join(known)}, got {suffix or 'no suffix'!r}")
    return suffix


def read_vectors(path: str | os.PathLike[str], *, mmap: bool = True) -> np.ndarray[Any, Any]:
    """The vectors of a file, (n, d).

    Parameters
    ----------
    path : path
        Its suffix says what the file is.
    mmap : bool
        Map the file instead of reading it. The result is read-only, and pages come in as they are used.

    Returns
    -------
    ndarray (n, d)
        Of the type that the file holds.

    Raises
    ------
    ValueError
        A file that is not what its suffix says, or that is cut off; with the path and the numbers.

    Notes
    -----
    The length before each row of .fvecs, .bvecs and .ivecs is compared with the first one, which reads most of the file.

    Examples
    --------
    >>> import numpy as np, tempfile, os
    >>> from annkern import io
    >>> path = os.path.join(tempfile.mkdtemp(), "x.fbin")
    >>> io.write_vectors(path, np.arange(6, dtype=np.float32).reshape(2, 3))
    >>> io.read_vectors(path)[1].tolist()
    [3.0, 4.0, 5.0]
    """
    path = Path(path)
    suffix = suffix_of(path)
    if suffix in HDF5:
        raise ValueError(f"{path}: an HDF5 file holds several arrays; use read_hdf5")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if suffix == ".npy":
        x = read_npy(path)
    elif suffix in BINARY:
        n, d, start = read_header(path, (np.dtype(BINARY[suffix]).itemsize,))
        x = mapped(path, BINARY[suffix], start, (n, d))
    else:
        x = read_rowwise(path, np.dtype(ROWWISE[suffix]))
    return x if mmap else np.array(x)


def write_vectors(path: str | os.PathLike[str], x: Any) -> None:
    """Writes (n, d) vectors, to a temporary name first: a crash leaves the old file.

    Parameters
    ----------
    path : path
        Its suffix says the format.
    x : array (n, d)
        Of the format's type: nothing is converted.

    Raises
    ------
    ValueError
        An array of another type or shape, or a name whose suffix is no format.

    Examples
    --------
    >>> import numpy as np, tempfile, os
    >>> from annkern import io
    >>> path = os.path.join(tempfile.mkdtemp(), "x.fvecs")
    >>> io.write_vectors(path, np.ones((2, 3), np.float32))
    >>> os.path.getsize(path)
    32
    """
    path, x = Path(path), asarray("x", x)
    suffix = suffix_of(path, (".npy", *BINARY, *ROWWISE))
    if x.ndim != 2:
        raise ValueError(f"x: expected (n, d), got shape {x.shape}")
    wanted = (BINARY | ROWWISE).get(suffix)
    if wanted is not None and x.dtype != np.dtype(wanted):
        raise ValueError(f"x: {suffix} holds {np.dtype(wanted).name}, got {x.dtype.name}; cast it")
    with replacing(path) as out:
        if suffix == ".npy":
            np.save(out, x, allow_pickle=False)
        elif suffix in BINARY:
            out.write(np.array(x.shape, "<u4").tobytes())
            for part in blocks(x):
                out.write(np.ascontiguousarray(part).tobytes())
        else:
            length = np.array([x.shape[1]], "<i4").view("u1")
            for part in blocks(x):
                rows = np.ascontiguousarray(part).view("u1").reshape(len(part), x.shape[1] * x.dtype.itemsize)
                out.write(np.hstack([np.broadcast_to(length, (len(part), 4)), rows]).tobytes())


def read_truth(path: str | os.PathLike[str]) -> Truth:
    """Ground truth: .ivecs or .npy of ids; or big-ann's, of any suffix: m, k, m k ids of 4 bytes, m k distances or none.

    Parameters
    ----------
    path : path
        Of ids (m, k).

    Returns
    -------
    Truth
        Mapped where the format allows.

    Raises
    ------
    ValueError
        A file of another size than its header says, or of no integers.

    Examples
    --------
    >>> import numpy as np, tempfile, os
    >>> from annkern import io
    >>> path = os.path.join(tempfile.mkdtemp(), "truth.bin")
    >>> io.write_truth(path, np.array([[7, 2]]), np.array([[0.5, 0.75]]))
    >>> ids, distances = io.read_truth(path)
    >>> ids.tolist(), distances.tolist()
    ([[7, 2]], [[0.5, 0.75]])
    """
    path = Path(path)
    if path.suffix.lower() in (".ivecs", ".npy"):
        ids = read_vectors(path)
        if ids.dtype.kind not in "iu":
            raise ValueError(f"{path}: expected ids, integers, got {ids.dtype.name}")
        return Truth(ids, None)
    m, k, start = read_header(path, (4, 8))
    ids = mapped(path, "<i4", start, (m, k))
    behind = start + 4 * m * k
    return Truth(ids, mapped(path, "<f4", behind, (m, k)) if path.stat().st_size > behind else None)


def write_truth(path: str | os.PathLike[str], ids: Any, distances: Any = None) -> None:
    """Writes big-ann's form of ground truth.

    Parameters
    ----------
    path : path
        Where to.
    ids : integers (m, k)
        Below 2^31, as those that `read_truth` gives back.
    distances : array (m, k), optional
        Written as float32.

    Raises
    ------
    ValueError
        Ids out of range, or distances of another shape.

    Examples
    --------
    >>> import numpy as np, tempfile, os
    >>> from annkern import io
    >>> path = os.path.join(tempfile.mkdtemp(), "truth.ibin")
    >>> io.write_truth(path, np.array([[7, 2]]))
    >>> os.path.getsize(path)
    16
    """
    ids = asarray("ids", ids)
    if ids.ndim != 2 or ids.dtype.kind not in "iu":
        raise ValueError(f"ids: expected integers (m, k), got {ids.dtype.name} {ids.shape}")
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < 2**31:
        raise ValueError(f"ids: expected 0 to 2^31 - 1, got {ids.min()} to {ids.max()}")
    distances = None if distances is None else asarray("distances", distances)
    if distances is not None and distances.shape != ids.shape:
        raise ValueError(f"distances: expected the shape of ids, {ids.shape}, got {distances.shape}")
    with replacing(Path(path)) as out:
        out.write(np.array(ids.shape, "<u4").tobytes())
        out.write(ids.astype("<u4").tobytes())
        if distances is not None:
            out.write(np.asarray(distances, "<f4").tobytes())


def read_npy(path: Path) -> np.ndarray[Any, Any]:
    with open(path, "rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            if version not in ((1, 0), (2, 0), (3, 0)):
                raise ValueError(f"version {version}")
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, columns_first, dtype = read(file)
        except Exception as error:  # NumPy's parser raises nearly anything over bytes that it does not expect
            raise ValueError(
                f"{path}: expected an array in .npy form, got something else or a file cut off ({error})"
            ) from None
        start = file.tell()
    if dtype.kind not in "fiub":
        raise ValueError(f"{path}: expected numbers, got dtype {dtype}")
    if len(shape) != 2 or min(shape) < 0:
        raise ValueError(f"{path}: expected (n, d), got shape {shape}")
    n, d = (int(extent) for extent in shape)
    return mapped(path, dtype, start, (d, n)).T if columns_first else mapped(path, dtype, start, (n, d))


def read_header(path: Path, cells: tuple[int, ...]) -> tuple[int, int, int]:
    """Rows, columns and the header's length of a file that holds so many bytes a cell behind it. Of the two forms that the
    header has, it is in the one that the file's size fits."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        header = file.read(16)
    if len(header) < 8:
        raise ValueError(f"{path}: expected a header of 8 bytes, rows and columns, got {len(header)} bytes")
    forms = [np.frombuffer(header, form, 2).tolist() for form in HEADERS[: len(header) // 8]]
    for (n, d), length in zip(forms, (8, 16), strict=False):
        if max(n, d) <= MOST and size in [length + cell * n * d for cell in cells]:
            return n, d, length
    long = forms[0][1] == 0 and len(forms) > 1  # the upper word of a number of rows
    (n, d), length = forms[long], 16 if long else 8
    wanted = " or ".join(str(length + cell * n * d) for cell in cells)
    raise ValueError(f"{path} is cut off, or is not what its header says: expected {wanted} bytes for {n} x {d}, got {size}")


def read_rowwise(path: Path, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    size = path.stat().st_size
    if size == 0:
        return np.empty((0, 0), dtype)
    d = int(mapped(path, "<i4", 0, (1, 1))[0, 0]) if size >= 4 else -1
    row = 4 + d * dtype.itemsize
    if d < 0 or size % row:
        raise ValueError(f"{path}: expected rows of 4 + {d} x {dtype.itemsize} bytes, as the first says; got {size} bytes")
    step = max(1, BLOCK_BYTES // row)
    for first in range(0, size // row, step):  # each block is mapped by itself, so that what was read is let go
        rows = mapped(path, "u1", first * row, (min(step, size // row - first), row))
        lengths = np.ascontiguousarray(rows[:, :4]).view("<i4")[:, 0]
        if (lengths != d).any():
            at = int(np.argmax(lengths != d))
            raise ValueError(f"{path}: row {first + at} says it has {lengths[at]} elements, the first {d}")
    return mapped(path, "u1", 0, (size // row, row))[:, 4:].view(dtype)


def mapped(path: Path, dtype: Any, start: int, shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    """An array that begins at a byte of the file, and must end in it."""
    cells, size = shape[0] * shape[1], path.stat().st_size
    wanted = start + cells * np.dtype(dtype).itemsize
    if size < wanted or max(shape) > MOST:
        raise ValueError(f"{path} is cut off: expected {wanted} bytes for {shape[0]} x {shape[1]}, got {size}")
    if cells == 0:
        return np.empty(shape, dtype)
    return np.asarray(np.memmap(path, dtype, "r", start, shape))


def blocks(x: np.ndarray[Any, Any], size: int = 1 << 24) -> Iterator[np.ndarray[Any, Any]]:
    rows = max(1, size // max(1, x.shape[1] * x.dtype.itemsize))
    for start in range(0, len(x), rows):
        yield x[start : start + rows]
