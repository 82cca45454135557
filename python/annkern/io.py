# SPDX-License-Identifier: Apache-2.0
"""Vector files, read without copying, and written completely or not at all: the public names of files/vectors.py
and files/hdf5.py."""

from .files.hdf5 import HDF5_METRICS, Hdf5Set, read_hdf5
from .files.vectors import (
    BINARY,
    HDF5,
    ROWWISE,
    SUFFIXES,
    Truth,
    read_truth,
    read_vectors,
    suffix_of,
    write_truth,
    write_vectors,
)

__all__ = [
    "BINARY",
    "HDF5",
    "HDF5_METRICS",
    "ROWWISE",
    "SUFFIXES",
    "Hdf5Set",
    "Truth",
    "read_hdf5",
    "read_truth",
    "read_vectors",
    "suffix_of",
    "write_truth",
    "write_vectors",
]
