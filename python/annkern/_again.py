# SPDX-License-Identifier: Apache-2.0
"""A search of the same graph over the same stores, asked again: nothing but the queries is checked anew.

A query on its own takes the kernels 10 to 20 us, and the checks of everything else as long again. So a graph keeps what the
last call found of its stores, which are immutable and which it does not keep alive, where all is host memory and the queries
are plain NumPy arrays.
"""

from __future__ import annotations

import functools
import weakref
from typing import Any, NamedTuple

import numpy as np

from ._call import KERNEL_DTYPES, whole_number
from ._scan import BadRow, Scan, address_of, refuse_bad_row
from ._spaces import aligned
from ._store import Store

FLOAT = KERNEL_DTYPES["float32"]


class Again(NamedTuple):
    """One graph, its stores and a metric, as the kernels see them."""

    neighbors: Any
    entries: Any
    store: weakref.ref[Store]
    rerank: weakref.ref[Store] | None
    metric: str | None
    dims: int
    backend: Any
    graph: Any
    base: Any
    finer: Any
    name: str
    dtype: str
    no_filter: Any

    @classmethod
    def of(cls, graph: Any, store: Any, rerank: Any, metric: str | None, scan: Scan, fine: Scan | None) -> Again | None:
        """None where a call must be looked at anew: arrays can be written to, and projections are a step of their own."""
        stores = [x for x in (store, rerank) if x is not None]
        if not scan.call.device.on_host or not all(isinstance(x, Store) for x in stores):
            return None
        if any(level.projection is not None for x in stores for level in (x, x.primary, x.secondary) if level is not None):
            return None
        backend = scan.call.backend
        arrays = graph.neighbors, graph.entries
        finer = None if fine is None else fine.base_matrix
        kernels = graph.backend_graph(backend), scan.base_matrix, finer, scan.metric.name
        own, other = weakref.ref(store), None if rerank is None else weakref.ref(rerank)
        dims, dtype = scan.queries.shape[1], scan.metric.dtype
        return cls(*arrays, own, other, metric, dims, backend, *kernels, dtype, backend.Filter())

    def fits(self, graph: Any, store: Any, queries: Any, rerank: Any, metric: str | None) -> bool:
        return (
            graph.neighbors is self.neighbors
            and graph.entries is self.entries
            and store is self.store()
            and (rerank is None if self.rerank is None else rerank is not None and rerank is self.rerank())
            and metric == self.metric
            and type(queries) is np.ndarray
            and queries.dtype == np.float32
            and queries.ndim == 2
            and queries.shape[1] == self.dims
            and queries.shape[0] > 0
            and queries.flags.c_contiguous
            and queries.flags.aligned
        )

    def search(self, queries: Any, k: int, window: int, depth: int, threads: Any, check_finite: bool) -> tuple[Any, Any]:
        backend, (m, d) = self.backend, queries.shape
        matrix = backend.Matrix(queries.__array_interface__["data"][0], m, d, 4 * d, FLOAT)
        where = _executor(backend, 0 if threads is None else whole_number("threads", threads, 1))
        bad = BadRow(-1) if check_finite else None
        if bad is not None:
            backend.first_nonfinite(matrix, address_of(bad), where)
            refuse_bad_row("queries", bad)
        distances, indices = aligned((m, k), self.dtype), aligned((m, k), "int64")
        backend.search_graph(
            *(self.graph, self.base, matrix, self.name, k, window),
            *(self.base if self.finer is None else self.finer, matrix, 0 if self.finer is None else depth, self.no_filter),
            *(distances.__array_interface__["data"][0], indices.__array_interface__["data"][0], address_of(bad), where),
        )
        refuse_bad_row("store", bad)
        return distances, indices


@functools.cache
def _executor(backend: Any, threads: int) -> Any:
    return backend.Exec(threads, 0)
