# SPDX-License-Identifier: Apache-2.0
"""Compressed vectors: what every store is. How estimators make one: _codec.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ._arrays import ITEMSIZES, View, as_numpy, view
from ._call import KERNEL_DTYPES, Call, shaped

# Arrays of each kind in the order of csrc/store/<kind>.h; those of one row a vector, which encode() fills, are in ROWWISE.
ARRAYS = {
    "array": ("data",),
    "lvq": ("codes", "scales", "norms", "mean", "residual", "selectors"),
    "rabitq": ("rows", "terms", "mean", "axis", "signs"),
    "pq": ("codes", "codebook", "norms", "rotation"),
}
ROWWISE = {
    "array": ("data",),
    "lvq": ("codes", "scales", "norms", "residual", "selectors"),
    "rabitq": ("rows",),
    "pq": ("codes", "norms"),
}


class Store:
    """`n` vectors of `d` dimensions in compressed form. Searched wherever an array is: ``knn(store, queries, k)``.

    Made by `compress` or by an estimator's `encode`; immutable. What a row decodes to is what distances to it are
    distances to, so ``knn`` of a store is ``knn`` of ``store.decode()``, but for the rounding of the queries that integer
    kernels ask for.

    Attributes
    ----------
    kind : str
        Whose layout the arrays have: "array", "lvq", "rabitq", "pq" or "leanvec".
    spec : str
        What `compress` would take to make such a store: "lvq4x8".
    shape : (n, d)
    metric : str
        The default metric of this store's own methods.
    arrays : dict of str to array
        The memory itself, by documented names (docs/stores.md).
    numbers : dict of str to int
        What else describes the layout.
    nbytes : int
        Of all arrays.
    primary, secondary : Store or None
        The two levels of a store that has two: `knn` searches the first, and orders its candidates by the second.
    projection : array (d, d_query) float32, or None
        Queries of this store are multiplied by it first (LeanVec's primary level).
    """

    def __init__(
        self,
        kind: str,
        spec: str,
        shape: tuple[int, int],
        arrays: Mapping[str, Any],
        numbers: Mapping[str, int] | None = None,
        metric: str = "sqeuclidean",
        levels: tuple[Store, Store] | None = None,
        projection: Any = None,
    ) -> None:
        self.kind = kind
        self.spec = spec
        self.shape = shape
        self.arrays = dict(arrays)
        self.numbers = dict(numbers or {})
        self.metric = metric
        self._levels = levels
        self.projection = projection
        self._seen: _Seen | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_seen": None}  # holds addresses

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        n, d = self.shape
        return f"Store({self.spec!r}, n={n}, d={d}, {self.nbytes / max(n, 1):.0f} bytes a vector)"

    @property
    def nbytes(self) -> int:
        seen = {id(x): x for x in self._all_arrays()}
        views = [view("store", x) for x in seen.values()]
        return sum(int(np.prod(x.shape, dtype=np.int64)) * ITEMSIZES[x.dtype] for x in views)

    @property
    def query_dims(self) -> int:
        return int(self.shape[1] if self.projection is None else self.projection.shape[1])

    @property
    def primary(self) -> Store | None:
        return self._levels[0] if self._levels else None

    @property
    def secondary(self) -> Store | None:
        return self._levels[1] if self._levels else None

    @property
    def fine(self) -> Store:
        """The level that decode, distances, pairwise and radius read: the secondary, where there are two."""
        return self._levels[1] if self._levels else self

    def _all_arrays(self) -> list[Any]:
        own = [*self.arrays.values(), *([] if self.projection is None else [self.projection])]
        return [*own, *(x for level in self._levels or () if level is not self for x in level._all_arrays())]

    def decode(self, ids: Any = None, *, threads: int | None = None, stream: Any = None) -> Any:
        """The vectors that the codes stand for.

        Parameters
        ----------
        ids : array (c,) of int64, optional
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
        call = Call.at(lead, threads, stream)
        with call.scope():
            chosen = None if ids is None else _checked_ids(call, ids, len(self))
            if level.kind == "array":
                rows = lead.owner if chosen is None else lead.space.take(lead.owner, chosen.owner)
                return lead.space.astype(rows, "float32")
            count = len(self) if chosen is None else chosen.shape[0]
            out = call.result("decoded", None, (count, level.shape[1]), "float32")
            if not out.empty:
                address = 0 if chosen is None else chosen.address
                call.backend.decode(level.backend_base(call.backend), address, count, out.address, call.executor())
            return call.hand_over(out, None)

    def distances(
        self, queries: Any, ids: Any, metric: str | None = None, *, threads: int | None = None, stream: Any = None
    ) -> Any:
        """Distances (m, c) of each of the `queries` (m, d) to the rows that it names by `ids` (m, c): `annkern.distances`
        with this store as base, by its own metric where `metric` is None. threads, stream: as there."""
        from .distances import distances

        return distances(self, queries, ids, metric or self.metric, threads=threads, stream=stream)

    def error_bounds(self, queries: Any, ids: Any, metric: str | None = None, *, e0: float = 1.9) -> Any:
        """How far the distances to the rows that each query names may be off: of RaBitQ stores in host memory.

        Parameters
        ----------
        queries, ids, metric
            As in `distances`, which gives the estimates.
        e0 : float
            Standard deviations. 1.9 leaves about 5% of the true distances outside ``distances +- error_bounds``.

        Returns
        -------
        ndarray (m, c) of float32
            +inf where the id is negative. Of "euclidean" the larger side of an interval that is not symmetric.

        Examples
        --------
        >>> import numpy as np, annkern as ak
        >>> x = np.random.default_rng(0).standard_normal((1000, 64), dtype=np.float32)
        >>> store, ids = ak.compress(x, "rabitq2"), np.arange(1000)[None]
        >>> off = store.distances(x[:1], ids) - ak.distances(x, x[:1], ids)
        >>> bool(0.9 < (np.abs(off) <= store.error_bounds(x[:1], ids)).mean() < 1)
        True
        """
        if self.kind != "rabitq" or self.numbers["binary"]:
            raise ValueError(f"store: expected one of rabitq1 .. rabitq8, which have error bounds, got {self.spec!r}")
        from .stores.rabitq import error_bounds

        return error_bounds(self, queries, ids, metric or self.metric, e0)

    def convert(self, to: Callable[[Any], Any]) -> Store:
        """The same store with every array passed through `to`: ``store.convert(cupy.asarray)`` moves it to the GPU."""
        moved: dict[int, Any] = {}

        def move(x: Any) -> Any:
            return moved.setdefault(id(x), to(x))

        return self._rebuilt(move)

    def _rebuilt(self, move: Callable[[Any], Any]) -> Store:
        levels = None
        own = Store(
            self.kind, self.spec, self.shape, {k: move(x) for k, x in self.arrays.items()}, self.numbers, self.metric
        )
        own.projection = None if self.projection is None else move(self.projection)
        if self._levels:
            first, second = self._levels
            levels = first._rebuilt(move), own if second is self else second._rebuilt(move)
        own._levels = levels
        return own

    def save(self, path: Any) -> None:
        """Write the store as a safetensors file at `path`; see `annkern.load`."""
        from .files import save

        save(self, path)

    def array_views(self) -> list[View]:
        return self._look().views

    def backend_base(self, backend: ModuleType) -> Any:
        """The store as the kernels see it."""
        bases = self._look().bases
        if backend.__name__ not in bases:
            bases[backend.__name__] = self._base(backend)
        return bases[backend.__name__]

    def _look(self) -> _Seen:
        """The arrays' views, kept for the next call where they are host memory: a query on its own takes 20 us, and so
        would they."""
        key = tuple(map(id, self.arrays.values()))
        if self._seen is None or self._seen.key != key:
            seen = _Seen(key, [view(f"store.arrays[{name!r}]", x) for name, x in self.arrays.items()], {})
            if not all(x.device.on_host for x in seen.views):
                return seen
            self._seen = seen
        return self._seen

    def _base(self, backend: ModuleType) -> Any:
        if self.kind == "array":
            x = view("store", self.arrays["data"])
            (n, d), stride = x.shape, x.strides[0] if x.shape[0] > 1 else x.shape[1] * x.itemsize
            return backend.Matrix(x.address, n, d, stride, KERNEL_DTYPES[x.dtype])
        names = ARRAYS[self.kind]
        addresses = [view("store", self.arrays[name]).address if name in self.arrays else 0 for name in names]
        return backend.Base(self.kind, *self.shape, addresses, list(self.numbers.values()))


class _Seen(NamedTuple):
    """What a store's arrays are, for as long as it holds the same ones."""

    key: tuple[int, ...]
    views: list[View]
    bases: dict[str, Any]  # by backend


def _checked_ids(call: Call, ids: Any, n: int) -> View:
    seen = shaped("ids", view("ids", ids, call.stream), "count", ("int64",))
    call.beside("ids", seen, "the store")
    if call.device.on_host and not seen.empty:
        values = as_numpy(seen)
        wrong = (values < 0) | (values >= n)
        if wrong.any():
            place = int(np.argmax(wrong))
            raise ValueError(f"ids: expected rows in [0, {n}), got {values[place]} at {place}")
    return seen
