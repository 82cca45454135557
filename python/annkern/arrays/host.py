# SPDX-License-Identifier: Apache-2.0
"""Rows of any array in host memory, arrays that nobody writes to, and the pages of mapped files that have been read."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

from .libraries import aligned, numpy_dtype
from .views import View, as_numpy, host_copy, view


def release_pages(x: View, first: int, count: int) -> None:
    """Releases the pages of rows that will not be read again, where they are mapped from a file read-only. The system would
    do so when memory runs short, but counts them as this process's until then."""
    owner = x.owner
    while isinstance(owner, np.ndarray) and not isinstance(owner, np.memmap):
        owner = owner.base
    memory = getattr(owner, "_mmap", None)
    if memory is None or getattr(owner, "mode", "") != "r" or x.strides[0] <= 0 or not hasattr(mmap, "MADV_DONTNEED"):
        return
    start = x.address + first * x.strides[0] - np.frombuffer(memory, np.uint8).ctypes.data
    end = start + count * x.strides[0]
    start, end = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE
    if start < end:
        memory.madvise(mmap.MADV_DONTNEED, start, min(end, len(memory)) - start)


def typed_numpy(x: View) -> np.ndarray[Any, np.dtype[Any]]:
    """The same host memory as a NumPy array of its type, bfloat16 too."""
    return as_numpy(x).view(numpy_dtype(x.dtype))


def host_rows(x: Any, seen: View, chosen: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Rows of an array of any library as float32 in host memory."""
    if seen.device.on_host:
        rows = as_numpy(seen)
        rows = rows if chosen is None else rows[chosen]
    else:
        part = x if chosen is None else seen.library.take(x, seen.library.from_numpy(chosen, seen.device))
        rows = host_copy(view("x", part))
    if seen.dtype == "bfloat16":
        rows = (rows.astype(np.uint32) << 16).view(np.float32)
    return np.ascontiguousarray(rows, np.float32)


def frozen(array: Any) -> Any:
    """An array that nobody else writes to, made read-only; others' arrays than NumPy's as they are."""
    own = array
    while isinstance(own, np.ndarray):
        own.flags.writeable = False
        own = own.base
    return array


def read_only(name: str, given: Any) -> Any:
    """The array, where it cannot be written to or lies on a device; else a copy."""
    own = given
    while isinstance(own, np.ndarray) and not own.flags.writeable:
        own = own.base
    if isinstance(given, np.ndarray) and not isinstance(own, np.ndarray):
        return given
    x = view(name, given)
    if not x.device.on_host:
        return given
    copy = aligned(x.shape, x.dtype)
    copy[...] = as_numpy(x)
    return frozen(copy)
