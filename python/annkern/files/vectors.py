# SPDX-License-Identifier: Apache-2.0
"""Vector files, read without copying; a written file appears complete or not at all.

    .npy                               NumPy's format
    .fbin .f16bin .i8bin .u8bin .ibin  big-ann and cuVS: uint32 rows, uint32 columns, then the rows
    .fvecs .bvecs .ivecs               TexMex: before each row its length as int32
    .hdf5 .h5                          ann-benchmarks: train, test, neighbors, distances (needs h5py)

Vectors are mapped into memory where the format allows; a row of .fvecs then lies 4 bytes further than its length, which
the operations take as it is.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .atomic import replacing

BINARY = {".fbin": "<f4", ".f16bin": "<f2", ".i8bin": "i1", ".u8bin": "u1", ".ibin": "<i4"}
ROWWISE = {".fvecs": "<f4", ".bvecs": "u1", ".ivecs": "<i4"}
HDF5 = (".hdf5", ".h5")
SUFFIXES = (".npy", *BINARY, *ROWWISE, *HDF5)
# Row lengths of .fvecs are compared at this many rows at most: comparing all would read all of the file.
LOOKS = 4096


class Truth(NamedTuple):
    """The nearest of each query, nearest first."""

    ids: np.ndarray[Any, Any]  # (m, k)
    distances: np.ndarray[Any, Any] | None  # (m, k), where the file has them


class Hdf5Set(NamedTuple):
    """An ann-benchmarks file."""

    train: np.ndarray[Any, Any]
    test: np.ndarray[Any, Any]
    neighbors: np.ndarray[Any, Any] | None
    distances: np.ndarray[Any, Any] | None
    metric: str


# What ann-benchmarks calls them, and what they are called here.
HDF5_METRICS = {"euclidean": "sqeuclidean", "angular": "cosine", "dot": "inner_product", "ip": "inner_product"}
HDF5_METRICS |= {"hamming": "hamming", "jaccard": "jaccard"}


def suffix_of(path: Path, known: tuple[str, ...] = SUFFIXES) -> str:
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

    Raises
    ------
    ValueError
        A file that is not what its suffix says, or that is cut off; with the numbers.

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
        n, d = shape_in_header(path)
        x = mapped(path, BINARY[suffix], 8, n * d, exact=True).reshape(n, d)
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
    """
    path, x = Path(path), np.asarray(x)
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
    """Ground truth: .ivecs or .npy of ids; or big-ann's, of any suffix: uint32 m, uint32 k, m k ids, m k distances or none.

    Parameters
    ----------
    path : path
        Of ids (m, k).
    """
    path = Path(path)
    if path.suffix.lower() in (".ivecs", ".npy"):
        ids = read_vectors(path)
        if ids.dtype.kind not in "iu":
            raise ValueError(f"{path}: expected ids, integers, got {ids.dtype.name}")
        return Truth(ids, None)
    m, k = shape_in_header(path)
    size, cells = path.stat().st_size - 8, m * k
    if size not in (4 * cells, 8 * cells):
        raise ValueError(
            f"{path}: expected {m} x {k} ids of 4 bytes, with or without distances, {8 + 4 * cells} or {8 + 8 * cells} "
            f"bytes; got {size + 8}"
        )
    ids = mapped(path, "<i4", 8, cells).reshape(m, k)
    distances = mapped(path, "<f4", 8 + 4 * cells, cells).reshape(m, k) if size == 8 * cells else None
    return Truth(ids, distances)


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
    """
    ids = np.asarray(ids)
    if ids.ndim != 2 or ids.dtype.kind not in "iu":
        raise ValueError(f"ids: expected integers (m, k), got {ids.dtype.name} {ids.shape}")
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < 2**31:
        raise ValueError(f"ids: expected 0 to 2^31 - 1, got {ids.min()} to {ids.max()}")
    if distances is not None and np.shape(distances) != ids.shape:
        raise ValueError(f"distances: expected the shape of ids, {ids.shape}, got {np.shape(distances)}")
    with replacing(Path(path)) as out:
        out.write(np.array(ids.shape, "<u4").tobytes())
        out.write(ids.astype("<u4").tobytes())
        if distances is not None:
            out.write(np.asarray(distances, "<f4").tobytes())


def read_hdf5(path: str | os.PathLike[str]) -> Hdf5Set:
    """An ann-benchmarks file, in memory. Ground truth that it lacks is None.

    Parameters
    ----------
    path : path
        Of a file with at least `train` and `test`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        h5py = importlib.import_module("h5py")
    except ImportError:
        raise ImportError(f"{path}: HDF5 needs h5py (pip install 'annkern[bench]')") from None
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path}: expected HDF5, got something else or a file cut off ({error})") from None
    with file:
        missing = {"train", "test"} - set(file)
        if missing:
            raise ValueError(f"{path}: expected the arrays train and test, got {', '.join(sorted(file)) or 'none'}")
        name = file.attrs.get("distance", "euclidean")
        name = name.decode() if isinstance(name, bytes) else str(name)
        if name not in HDF5_METRICS:
            raise ValueError(f"{path}: expected a distance of {', '.join(HDF5_METRICS)}, got {name!r}")
        groups = [key for key in Hdf5Set._fields[:4] if isinstance(file.get(key), h5py.Group)]
        if groups:
            raise ValueError(f"{path}: expected arrays, got a group {groups[0]!r}")
        arrays: dict[str, Any] = {key: file[key][()] if key in file else None for key in Hdf5Set._fields[:4]}
        return Hdf5Set(arrays["train"], arrays["test"], arrays["neighbors"], arrays["distances"], HDF5_METRICS[name])


def read_npy(path: Path) -> np.ndarray[Any, Any]:
    try:
        x: np.ndarray[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}: expected an array in .npy form, got something else or a file cut off ({error})") from None
    if x.ndim != 2:
        raise ValueError(f"{path}: expected (n, d), got shape {x.shape}")
    return np.asarray(x)


def shape_in_header(path: Path) -> tuple[int, int]:
    with open(path, "rb") as file:
        header = file.read(8)
    if len(header) < 8:
        raise ValueError(f"{path}: expected a header of 8 bytes, rows and columns, got {len(header)} bytes")
    n, d = np.frombuffer(header, "<u4").tolist()
    return n, d


def read_rowwise(path: Path, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    size = path.stat().st_size
    if size == 0:
        return np.empty((0, 0), dtype)
    d = int(mapped(path, "<i4", 0, 1)[0]) if size >= 4 else -1
    row = 4 + d * dtype.itemsize
    if d < 0 or size % row:
        raise ValueError(f"{path}: expected rows of 4 + {d} x {dtype.itemsize} bytes, as the first says; got {size} bytes")
    rows = mapped(path, "u1", 0, size).reshape(size // row, row)
    looked = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), LOOKS)).astype(np.int64))
    lengths = np.ascontiguousarray(rows[looked, :4]).view("<i4")[:, 0]
    if (lengths != d).any():
        at = int(np.flatnonzero(lengths != d)[0])
        raise ValueError(f"{path}: row {looked[at]} says it has {lengths[at]} elements, the first {d}")
    return rows[:, 4:].view(dtype)


def mapped(path: Path, dtype: str, offset: int, count: int, exact: bool = False) -> np.ndarray[Any, Any]:
    """`count` elements from `offset`, which must be in the file, or with `exact` be all that is left of it."""
    wanted, size = offset + count * np.dtype(dtype).itemsize, path.stat().st_size
    if size < wanted or (exact and size != wanted):
        what = "is cut off" if size < wanted else "is longer than its header says, or of another type"
        raise ValueError(f"{path} {what}: expected {wanted} bytes, got {size}")
    if count == 0:
        return np.empty(0, dtype)
    return np.asarray(np.memmap(path, dtype, "r", offset, (count,)))


def blocks(x: np.ndarray[Any, Any], size: int = 1 << 24) -> Iterator[np.ndarray[Any, Any]]:
    rows = max(1, size // max(1, x.shape[1] * x.dtype.itemsize))
    for start in range(0, len(x), rows):
        yield x[start : start + rows]
