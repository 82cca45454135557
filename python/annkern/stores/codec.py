# SPDX-License-Identifier: Apache-2.0
"""What every estimator that makes a store does: encode arrays, maps and iterators, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..arrays.host import release_pages, typed_numpy
from ..arrays.libraries import NUMPY, numpy_dtype
from ..arrays.views import View, view
from ..ops.sampling import BLOCK_BYTES
from ..runtime.context import KERNEL_DTYPES, Context, matrix_of, shaped
from ..runtime.progress import Bar
from ..runtime.shown import Shown
from ..runtime.types import MetricName
from .store import Store


class Codec(Shown):
    """What the estimators share. A subclass stores its parameters in __init__ and gives

    kind, spec
    fit(x)                      sets attributes that end in _, dims_ among them; returns self
    _allocate(n, empty)         the arrays of n rows, by name; empty(shape, dtype) makes one
    layout(store)               shape and dtype of all its arrays, which a file is checked against
    _numbers()                  as csrc/store/<kind>.h orders them
    _store(n, arrays)           the finished store, where it is more than one level
    """

    kind = ""
    spec = ""
    metric: MetricName = "sqeuclidean"
    dims_: int

    def fit(self, x: Any) -> Codec:
        raise NotImplementedError

    def _allocate(self, n: int, empty: Callable[[tuple[int, ...], str], Any]) -> dict[str, Any]:
        raise NotImplementedError

    def _numbers(self) -> dict[str, int]:
        return {}

    @staticmethod
    def layout(store: Store) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape and dtype of each array that a store of this kind, shape and numbers has: what kernels rely on. ValueError
        where the numbers are not such as this kind has."""
        raise NotImplementedError

    def _store(self, n: int, arrays: dict[str, Any]) -> Store:
        return Store(self.kind, self.spec, (n, self.dims_), arrays, self._numbers(), self.metric)

    def encode(self, x: Any, *, threads: int | None = None, stream: Any = None, progress: bool = False) -> Store:
        """Compress `x` by what `fit` has learnt.

        Parameters
        ----------
        x : array (n, d), or an iterator of arrays (rows, d)
            Floats or 8-bit integers. A memory-mapped array is read block by block, and of an iterator one block is held
            at a time, so that the floats are never in memory all at once.
        threads : int, optional
            CPU threads.
        stream : int or stream object, optional
            Where device work is enqueued; by default the current stream of the library of `x`.
        progress : bool
            Show a bar on the terminal.

        Returns
        -------
        Store
            In the library and on the device of `x`; NumPy where `x` is an iterator, or in host memory and of a library that
            lacks a type of the store's arrays, as the array API standard lacks float16. A row's code depends on the row
            and on `fit` alone: never on threads or blocks.
        """
        self._require_fit()
        if isinstance(x, Iterator):
            return self._encode_blocks(x, threads, progress)
        return self._encode_array(self._held(x), threads, stream, progress)

    def _held(self, x: Any) -> Any:
        """`x`; as a NumPy array where it is in host memory and its library lacks a type of the store's arrays."""
        seen = view("x", x)
        dtypes = [value.dtype.name for value in self._fitted().values()]
        self._allocate(0, lambda _, dtype: dtypes.append(dtype))
        return x if not seen.device.on_host or all(map(seen.library.holds, dtypes)) else typed_numpy(seen)

    def _require_fit(self) -> None:
        if not hasattr(self, "dims_"):
            raise ValueError(f"{type(self).__name__}: expected fit(x) before encode(x)")

    def _encode_array(self, x: Any, threads: int | None, stream: Any, progress: bool) -> Store:
        lead = view("x", x)
        context = Context.at(lead, threads, stream)
        with context.scope():
            rows = shaped("x", lead, "n, d", tuple(KERNEL_DTYPES))
            self._check_width(rows)
            n = rows.shape[0]
            arrays = self._allocate(n, lambda shape, dtype: context.library.empty(shape, dtype, context.device))
            self._finish_fitted(arrays, context)
            step = max(1, BLOCK_BYTES // max(1, 4 * self.dims_)) if context.device.on_host else max(n, 1)
            bar = Bar(n, progress)
            for first in range(0, n, step):
                self._encode_rows(context, rows, first, min(step, n - first), self._store(n, arrays), first)
                release_pages(rows, first, min(step, n - first))
                bar.at(min(n, first + step))
            return self._store(n, {name: context.library.finish(array) for name, array in arrays.items()})

    def _encode_blocks(self, blocks: Iterator[Any], threads: int | None, progress: bool) -> Store:
        encoder, bar = BlockEncoder(self, threads), Bar(0, progress)
        for block in blocks:
            encoder.add(block)
            bar.at(encoder.n)
        bar.close()
        return encoder.store()

    def grown(self, arrays: dict[str, Any], rows: int) -> dict[str, Any]:
        """The arrays with room for so many rows. Memory that was never written to is not resident. The kernel moves large
        arrays without a copy, as long as none was freed: malloc would keep the next ones in its heap."""
        shapes = self._allocate(rows, lambda shape, dtype: (shape, numpy_dtype(dtype)))
        if not arrays:
            arrays = {name: np.empty(shape, dtype) for name, (shape, dtype) in shapes.items()}
            self._finish_fitted(arrays, None)
        for name, (shape, _) in shapes.items():
            if arrays[name].shape != shape:
                arrays[name].resize(shape, refcheck=False)
        return arrays

    def _finish_fitted(self, arrays: dict[str, Any], context: Context | None) -> None:
        """Arrays that fit() made are NumPy's: they go where the codes are."""
        for name, value in self._fitted().items():
            arrays[name] = (
                value if context is None or context.library is NUMPY else context.library.from_numpy(value, context.device)
            )

    def _fitted(self) -> dict[str, np.ndarray[Any, Any]]:
        return {}

    def _check_width(self, x: View) -> None:
        if x.shape[1] != self.dims_:
            raise ValueError(f"x: expected {self.dims_} columns, as in fit, got shape {x.shape}")

    def _encode_rows(self, context: Context, x: View, first: int, count: int, store: Store, to: int) -> None:
        matrix, cells = matrix_of(context.backend, x, first=first, count=count), context.cells()
        context.backend.encode(matrix, store.native(context.backend), to, cells.address(), context.executor())
        row = cells.read()[0]
        if row >= 0:
            raise ValueError(
                f"x: row {to + row} holds NaN, infinity, or a number that this store cannot hold ({self.limits()})"
            )

    def limits(self) -> str:
        """What numbers the store can hold, in words."""
        return "any finite float32"


class BlockEncoder:
    """A store that grows by one block of rows after the other. `codec` is fitted."""

    def __init__(self, codec: Codec, threads: int | None) -> None:
        self.codec, self.threads = codec, threads
        self.arrays: dict[str, Any] = {}
        self.n = self.room = 0

    def add(self, block: Any) -> None:
        codec, lead = self.codec, view("x", block)
        context = Context.at(lead, self.threads, None)
        if not context.device.on_host:
            raise ValueError("x: expected blocks in host memory, got a device array; encode each by itself")
        rows = shaped("x", lead, "n, d", tuple(KERNEL_DTYPES))
        codec._check_width(rows)
        here = rows.shape[0]
        if not self.arrays or self.n + here > self.room:  # the first block may be empty
            self.room = max(self.n + here, self.room + self.room // 4)
            self.arrays = codec.grown(self.arrays, self.room)
        codec._encode_rows(context, rows, 0, here, codec._store(self.room, self.arrays), self.n)
        release_pages(rows, 0, here)
        self.n += here

    def store(self) -> Store:
        self.arrays = self.codec.grown(self.arrays, self.n)
        return self.codec._store(self.n, self.arrays)
