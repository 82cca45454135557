# SPDX-License-Identifier: Apache-2.0
"""class Store: compressed vectors. How estimators make one: codec.py."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..arrays.views import ITEMSIZES, view
from ..files.container import save
from ..ops.dataset import Dataset
from ..ops.distances import distances
from ..runtime.types import MetricName


class Kind(NamedTuple):
    """What is known of the stores of one kind."""

    arrays: tuple[str, ...]  # in the order of csrc/store/<kind>.h
    # Shape and dtype of each array that a store of this kind, shape and numbers has: what kernels rely on.
    layout: Callable[[Store], dict[str, tuple[tuple[int, ...], str]]]
    error_bounds: Callable[[Store, Any, Any, MetricName, float], Any] | None = None


KINDS: dict[str, Kind] = {}


class Store(Dataset):
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
        The metric of calls that name none.
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
    arranged : str or None
        Of a store whose rows are the members of lists, in their order: the fingerprint of the lists (`compress`).

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.random.default_rng(0).standard_normal((1000, 64), dtype=np.float32)
    >>> store = ak.compress(x, "lvq8")
    >>> store.arrays["codes"].shape, store.nbytes // len(store)
    ((1000, 64), 76)
    >>> dist, idx = ak.knn(store, x[:3], 1)
    >>> idx[:, 0]
    array([0, 1, 2])
    """

    def array_names(self) -> tuple[str, ...]:
        return KINDS[self.kind].arrays

    def shared_arrays(self) -> dict[str, Any]:
        longer = copy.copy(self)
        longer.shape = self.shape[0] + (1 << 20), self.shape[1]
        here, there = (KINDS[self.kind].layout(store) for store in (self, longer))
        return {name: x for name, x in self.arrays.items() if here[name] == there[name]}

    def __repr__(self) -> str:
        n, d = self.shape
        return f"Store({self.spec!r}, n={n}, d={d}, {self.nbytes / max(n, 1):.0f} bytes a vector)"

    @property
    def nbytes(self) -> int:
        seen = {id(x): x for x in self._all_arrays()}
        views = [view("store", x) for x in seen.values()]
        return sum(int(np.prod(x.shape, dtype=np.int64)) * ITEMSIZES[x.dtype] for x in views)

    def _all_arrays(self) -> list[Any]:
        arrays = [*self.arrays.values(), *([] if self.projection is None else [self.projection])]
        return [*arrays, *(x for level in self._levels or () if level is not self for x in level._all_arrays())]

    def distances(
        self, queries: Any, ids: Any, metric: MetricName | None = None, *, threads: int | None = None, stream: Any = None
    ) -> Any:
        """Distances of each query to the rows that it names: `annkern.distances` with this store as base.

        Parameters
        ----------
        queries : array (m, d)
            As in `knn`.
        ids : array (m, c) of int64
            Rows of the store; negative ones are missing.
        metric : str, optional
            By default the store's.
        threads, stream
            As in `knn`.

        Returns
        -------
        array (m, c)
            As from `annkern.distances`.
        """
        return distances(self, queries, ids, metric, threads=threads, stream=stream)

    def error_bounds(self, queries: Any, ids: Any, metric: MetricName | None = None, *, e0: float = 1.9) -> Any:
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
        bounds = KINDS[self.kind].error_bounds
        if bounds is None:
            raise ValueError(f"store: expected one of rabitq1 .. rabitq8, which have error bounds, got {self.spec!r}")
        return bounds(self, queries, ids, metric or self.metric, e0)

    def convert(self, to: Callable[[Any], Any]) -> Store:
        """The same store with every array passed through `to`: ``store.convert(cupy.asarray)`` moves it to the GPU.

        Parameters
        ----------
        to : callable
            Of an array to an array of the same numbers: another library's, or on another device.

        Returns
        -------
        Store
            A new one; `to` may return what it was given.
        """
        moved: dict[int, Any] = {}

        def move(x: Any) -> Any:
            return moved.setdefault(id(x), to(x))

        return self._rebuilt(move)

    def _rebuilt(self, move: Callable[[Any], Any]) -> Store:
        levels = None
        rebuilt = Store(
            self.kind, self.spec, self.shape, {k: move(x) for k, x in self.arrays.items()}, self.numbers, self.metric
        )
        rebuilt.arranged = self.arranged
        rebuilt.projection = None if self.projection is None else move(self.projection)
        if self._levels:
            first, second = self._levels
            levels = first._rebuilt(move), rebuilt if second is self else second._rebuilt(move)
        rebuilt._levels = levels
        return rebuilt

    def save(self, path: Any) -> None:
        """Write the store as a safetensors file, which `annkern.load` reads.

        Parameters
        ----------
        path : str or path-like
            The file appears complete or not at all; one that is there is replaced.
        """
        save(self, path)


def rows_of_store(name: str, store: Store) -> Store:
    """The store, unless its rows are members of lists: what it returned would be their places, not ids."""
    if store.arranged is not None:
        raise ValueError(f"{name}: expected a store of rows in their own order, got one that compress made with lists")
    return store
