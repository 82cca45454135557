# SPDX-License-Identifier: Apache-2.0
"""What estimators share: rows to learn from, memory that they have read, and a bar that shows how far they are."""

from __future__ import annotations

import mmap
import sys
from typing import Any

import numpy as np

from ._arrays import View, as_numpy, host_copy, view
from ._call import KERNEL_DTYPES, refuse_dtype


class Bar:
    """A progress bar on standard error, where one was asked for."""

    def __init__(self, total: int, shown: bool, what: str = "encode", unit: str = "rows") -> None:
        self.total, self.shown, self.what, self.unit = total, shown, what, unit

    def at(self, done: int) -> None:
        if not self.shown:
            return
        share = f"{done / self.total:5.1%}" if self.total else ""
        end = "\n" if done == self.total else ""
        print(f"\r{self.what} {done:,} {self.unit} {share}", end=end, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Where the total was not known before."""
        if self.shown:
            print(file=sys.stderr, flush=True)


def let_go(x: View, first: int, count: int) -> None:
    """Rows that were read and will not be again: where they are mapped from a file to read alone, their pages leave this
    process. They would do so when memory runs short, but count as its own until then."""
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


def training_sample(x: Any, most: int, seed: int = 0, name: str = "x") -> np.ndarray[Any, np.dtype[np.float32]]:
    """At most `most` rows of `x` as float32 on the host, chosen by `seed`, in ascending order; all where they are few."""
    seen = view(name, x)
    if len(seen.shape) != 2:
        raise ValueError(f"{name}: expected 2 dimensions (rows, columns), got shape {seen.shape}")
    refuse_dtype(name, seen, tuple(KERNEL_DTYPES))
    n = seen.shape[0]
    chosen = None
    if n > most:
        chosen = np.sort(np.random.Generator(np.random.Philox(seed)).permutation(n)[:most])
    rows = host_rows(x, seen, chosen)
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        at = int(np.argmax(bad))
        raise ValueError(
            f"{name}: expected finite numbers, got NaN or infinity in row {at if chosen is None else int(chosen[at])}"
        )
    return rows


def mean_of(rows: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(d,) of rows (n, d); zeros of none."""
    return rows.mean(axis=0, dtype=np.float64).astype(np.float32) if len(rows) else np.zeros(rows.shape[1], np.float32)


def host_rows(x: Any, seen: View, chosen: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Rows of an array of any library as float32 in host memory."""
    if seen.device.on_host:
        rows = as_numpy(seen)
        rows = rows if chosen is None else rows[chosen]
    else:
        part = x if chosen is None else seen.space.take(x, seen.space.from_numpy(chosen, seen.device))
        rows = host_copy(view("x", part))
    if seen.dtype == "bfloat16":
        return (rows.astype(np.uint32) << 16).view(np.float32)
    return np.ascontiguousarray(rows, np.float32)
