# SPDX-License-Identifier: Apache-2.0
"""HDF5 files of ann-benchmarks. A file may name other files, and declare more than it holds: neither is read."""

from __future__ import annotations

import importlib
import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

# What ann-benchmarks calls them, and what they are called here.
HDF5_METRICS = {"euclidean": "sqeuclidean", "angular": "cosine", "dot": "inner_product", "ip": "inner_product"}
HDF5_METRICS |= {"hamming": "hamming", "jaccard": "jaccard"}
MOST_RATIO = 1100  # of what compressed chunks declare to what they take: deflate, the densest, reaches 1032


class Hdf5Set(NamedTuple):
    """An ann-benchmarks file.

    Parameters
    ----------
    train, test : ndarray (n, d), (m, d)
        Rows to search, and queries.
    neighbors, distances : ndarray (m, k), or None
        Ground truth, where the file has it.
    metric : str
        As annkern names it.

    Examples
    --------
    >>> import numpy as np
    >>> from annkern import io
    >>> found = io.Hdf5Set(np.eye(3, dtype=np.float32), np.eye(2, 3, dtype=np.float32), None, None, "cosine")
    >>> found.test.shape, found.metric
    ((2, 3), 'cosine')
    """

    train: np.ndarray[Any, Any]
    test: np.ndarray[Any, Any]
    neighbors: np.ndarray[Any, Any] | None
    distances: np.ndarray[Any, Any] | None
    metric: str


class _Refused(ValueError):
    """What is said as it stands."""


def read_hdf5(path: str | os.PathLike[str]) -> Hdf5Set:
    """An ann-benchmarks file, in memory. Ground truth that it lacks is None.

    Parameters
    ----------
    path : path
        Of a file with at least `train` and `test`, (n, d) and (m, d). They must lie in the file itself: links, external
        storage and virtual datasets are refused, and so is what declares more than the file can hold.

    Returns
    -------
    Hdf5Set

    Raises
    ------
    ImportError
        Without h5py.
    ValueError
        Whatever is wrong with the file, with its path.

    Examples
    --------
    >>> import os, tempfile, numpy as np, h5py
    >>> from annkern import io
    >>> path = os.path.join(tempfile.mkdtemp(), "x.hdf5")
    >>> with h5py.File(path, "w") as file:
    ...     file["train"], file["test"] = np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32)[:1]
    ...     file.attrs["distance"] = "angular"
    >>> io.read_hdf5(path).train.shape, io.read_hdf5(path).metric
    ((4, 4), 'cosine')
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        h5py = importlib.import_module("h5py")
    except ImportError:
        raise ImportError(f"{path}: HDF5 needs h5py (pip install h5py)") from None
    size = path.stat().st_size
    try:
        with h5py.File(path, "r") as file:
            return _set(h5py, file, size)
    except _Refused as error:
        raise ValueError(f"{path}: {error}") from None
    except Exception as error:  # h5py raises nearly anything over bytes that it does not expect
        raise ValueError(f"{path}: expected HDF5, got something else or a damaged file ({error})") from None


def _set(h5py: Any, file: Any, size: int) -> Hdf5Set:
    missing = {"train", "test"} - set(file)
    if missing:
        raise _Refused(f"expected the arrays train and test, got {', '.join(sorted(file)) or 'none'}")
    name = file.attrs.get("distance", "euclidean")
    name = name.decode() if isinstance(name, bytes) else str(name)
    if name not in HDF5_METRICS:
        raise _Refused(f"expected a distance of {', '.join(HDF5_METRICS)}, got {name!r}")
    found = {key: _checked(h5py, file, key, size) for key in Hdf5Set._fields[:4] if key in file}
    train, test = found["train"], found["test"]
    if train.shape[1] != test.shape[1]:
        raise _Refused(f"expected test of {train.shape[1]} columns, as train has, got shape {test.shape}")
    for key in ("neighbors", "distances"):
        if key in found and len(found[key]) != len(test):
            raise _Refused(f"expected {key} of {len(test)} rows, as test has, got shape {found[key].shape}")
    if "neighbors" in found and found["neighbors"].dtype.kind not in "iu":
        raise _Refused(f"expected neighbors to be integers, got {found['neighbors'].dtype}")
    arrays: dict[str, Any] = {key: found[key][()] if key in found else None for key in Hdf5Set._fields[:4]}
    return Hdf5Set(**arrays, metric=HDF5_METRICS[name])


def _checked(h5py: Any, file: Any, key: str, size: int) -> Any:
    """The dataset, once it is known to be numbers that lie in this file."""
    link = file.get(key, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise _Refused(f"expected {key} in the file itself, got a link to {getattr(link, 'filename', 'another place')}")
    data = file[key]
    if not isinstance(data, h5py.Dataset):
        raise _Refused(f"expected arrays, got a {type(data).__name__.lower()} {key!r}")
    if data.external or data.is_virtual:
        raise _Refused(f"expected {key} in the file itself, got one that is kept in other files")
    if data.shape is None or len(data.shape) != 2 or data.dtype.kind not in "fiub":
        raise _Refused(f"expected {key} to be numbers (n, d), got shape {data.shape} of {data.dtype}")
    declared = math.prod(data.shape) * data.dtype.itemsize
    chunked = data.chunks is not None
    held = data.id.get_storage_size()
    if chunked and declared:
        there, wanted = data.id.get_num_chunks(), math.prod(-(-n // c) for n, c in zip(data.shape, data.chunks, strict=True))
        declared = max(declared, math.prod(data.chunks) * data.dtype.itemsize)
        if there < wanted:
            raise _Refused(f"expected {wanted} chunks of {key}, got {there}")
    most = min(held, size) * (MOST_RATIO if chunked and data.id.get_create_plist().get_nfilters() else 1)
    if declared > most:
        raise _Refused(f"expected {declared} bytes of {key} {data.shape}, got {held} in a file of {size}")
    return data
