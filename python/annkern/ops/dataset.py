# SPDX-License-Identifier: Apache-2.0
"""What operations read, besides arrays: vectors in some form that the kernels know, of one level or two."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..arrays.views import View, as_numpy, view
from ..runtime.backend import load
from ..runtime.context import Context, ids_of, matrix_of, shaped
from ..runtime.types import MetricName

D = TypeVar("D", bound="Dataset")


class Dataset:
    """The base of every store: its arrays, levels and projection, and its form for a backend."""

    def __init__(
        self,
        kind: str,
        spec: str,
        shape: tuple[int, int],
        arrays: Mapping[str, Any],
        numbers: Mapping[str, int] | None = None,
        metric: MetricName = "sqeuclidean",
        levels: tuple[Any, Any] | None = None,
        projection: Any = None,
        arranged: str | None = None,
    ) -> None:
        self.kind = kind
        self.spec = spec
        self.shape = shape
        self.arrays: Mapping[str, Any] = MappingProxyType(dict(arrays))  # addresses of them are kept
        self.numbers = dict(numbers or {})
        self.metric = metric
        self._levels = levels
        self.projection = projection
        self.arranged = arranged
        self._views: _Views | None = None

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: value for name, value in self.__dict__.items() if name != "direct"}
        return kept | {"_views": None, "arrays": dict(self.arrays)}  # views, and `direct`, hold addresses

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, arrays=MappingProxyType(state["arrays"]))

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def query_dims(self) -> int:
        return int(self.shape[1] if self.projection is None else self.projection.shape[1])

    @property
    def primary(self: D) -> D | None:
        return self._levels[0] if self._levels else None

    @property
    def secondary(self: D) -> D | None:
        return self._levels[1] if self._levels else None

    @property
    def fine(self: D) -> D:
        """The level that decode, distances, pairwise and radius read: the secondary, where there are two."""
        return self._levels[1] if self._levels else self

    def array_names(self) -> Sequence[str]:
        """Its arrays in the order of csrc/store/<kind>.h."""
        return tuple(self.arrays)

    def shared_arrays(self) -> dict[str, Any]:
        """Those of its arrays that belong to no single row."""
        return {}

    def decode(self, ids: Any = None, *, threads: int | None = None, stream: Any = None) -> Any:
        """The vectors that the codes stand for.

        Parameters
        ----------
        ids : array (c,) of int64, or int32 (copied), optional
            Which rows, each in [0, n); all by default.
        threads, stream
            As in `knn`.

        Returns
        -------
        array (c, d) of float32
            In the library and on the device of the store's arrays.
        """
        level = self.fine
        lead = view("store", next(iter(level.arrays.values())))
        context = Context.at(lead, threads, stream)
        with context.scope():
            chosen = None if ids is None else _checked_ids(context, ids, len(self))
            if level.kind == "array":
                rows = lead.owner if chosen is None else lead.library.take(lead.owner, chosen.owner)
                return lead.library.astype(rows, "float32")
            count = len(self) if chosen is None else chosen.shape[0]
            out = context.result("decoded", None, (count, level.shape[1]), "float32")
            if not out.empty:
                address = 0 if chosen is None else chosen.address
                context.backend.decode(level.native(context.backend), address, count, out.address, context.executor())
            return context.to_caller(out, None)

    def array_views(self) -> list[View]:
        return self._known().views

    def native(self, backend: ModuleType) -> Any:
        """The store as the kernels see it."""
        bases = self._known().bases
        if backend.__name__ not in bases:
            bases[backend.__name__] = self._native(backend)
        return bases[backend.__name__]

    @functools.cached_property
    def direct(self) -> Any:
        """What direct calls read (csrc/bind/direct.h): its level for the kernels of the host, or the two; None elsewhere."""
        if self._levels is None:
            return self._direct_level()
        levels = tuple(level._direct_level() for level in self._levels)
        return None if None in levels else levels

    def _direct_level(self) -> Any:
        arrays = self.array_views()
        matrix = None if self.projection is None else view("projection", self.projection)
        if not all(x.device.on_host and x.rows_adjacent for x in (arrays if matrix is None else [*arrays, matrix])):
            return None
        backend = load("cpu")
        native = self.native(backend)
        rows = native if isinstance(native, backend.Base) else backend.Base(native)
        projection = backend.Matrix(0, 0, 0, 0, "f32") if matrix is None else matrix_of(backend, matrix)
        return backend.StoreLevel(rows, projection, [x.extent for x in arrays])

    def _known(self) -> _Views:
        """The arrays' views, kept for the next call where they are host memory: making them takes as long as a search for
        one query, 20 us."""
        key = tuple(map(id, self.arrays.values()))
        if self._views is None or self._views.key != key:
            seen = _Views(key, [view(f"store.arrays[{name!r}]", x) for name, x in self.arrays.items()], {})
            if not all(x.device.on_host for x in seen.views):
                return seen
            self._views = seen
        return self._views

    def _native(self, backend: ModuleType) -> Any:
        if self.kind == "array":
            return matrix_of(backend, self.array_views()[0])
        names = self.array_names()
        addresses = [view("store", self.arrays[name]).address if name in self.arrays else 0 for name in names]
        return backend.Base(self.kind, *self.shape, addresses, list(self.numbers.values()))


class _Views(NamedTuple):
    """What a store's arrays are, for as long as it holds the same ones."""

    key: tuple[int, ...]
    views: list[View]
    bases: dict[str, Any]  # by backend


def _checked_ids(context: Context, ids: Any, n: int) -> View:
    seen = shaped("ids", ids_of("ids", ids, context.stream), "count", ("int64",))
    context.require_same_device("ids", seen, "the store")
    if context.device.on_host and not seen.empty:
        values = as_numpy(seen)
        wrong = (values < 0) | (values >= n)
        if wrong.any():
            place = int(np.argmax(wrong))
            raise ValueError(f"ids: expected rows in [0, {n}), got {values[place]} at {place}")
    return seen
