# SPDX-License-Identifier: Apache-2.0
"""Searching a graph over any store. The contract is csrc/ops/search_graph.h, the definition reference/search_graph.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ..arrays.views import host_copy, view
from ..ops.operands import Operands
from ..ops.rerank import finer_rows
from ..runtime.backend import load
from ..runtime.context import pair, refuse_overlap, result_count, whole_number
from ..runtime.types import A, Distances, GraphOptions, Indices, MetricName, NumpyArray
from ..stores.store import Store
from .graph import Graph

if TYPE_CHECKING:
    from typing_extensions import Unpack


@overload
def search_graph(
    graph: Graph, store: Any, queries: NumpyArray, k: int, **options: Unpack[GraphOptions]
) -> tuple[Distances, Indices]: ...
@overload
def search_graph(graph: Graph, store: Any, queries: A, k: int, **options: Unpack[GraphOptions]) -> tuple[A, A]: ...
@overload
def search_graph(graph: Graph, store: Any, queries: Any, k: int, **options: Unpack[GraphOptions]) -> tuple[Any, Any]: ...
def search_graph(
    graph: Graph,
    store: Any,
    queries: Any,
    k: int,
    *,
    window: int = 64,
    expand: int | None = None,
    metric: MetricName | None = None,
    rerank: Any = None,
    rerank_k: int | None = None,
    filter: Any = None,
    threads: int | None = None,
    stream: Any = None,
    out: Any = None,
    check_finite: bool = True,
) -> tuple[Any, Any]:
    """The k rows nearest to each query among those that a beam search of the graph visits: nearly always the nearest of all.

    Parameters
    ----------
    graph : Graph
        From `build_graph`, or of another library: `Graph.of`. For queries on a device it has to be there, too:
        `Graph.convert`.
    store : array (n, d) or Store
        The rows: those that the graph was built over, in this or in a coarser or finer form.
    queries : array (m, d)
        As in `knn`, in host memory or on a device.
    k : int
        Neighbours for each query.
    window : int
        The best rows visited so far, which the search keeps and expands one after the other; raised to k, at most n. Larger
        finds more of the true neighbours, and takes time in proportion: 16 to 300, chosen by `tune`.
    expand : int, optional
        Of these, only the nearest `expand` are expanded; by default all. Where k is large, this is the way to less time than
        a window of k takes, at less recall: `tune` finds it. Not used where a filter excludes rows.
    metric : str, optional
        As in `knn`; by default the graph's.
    rerank : array (n, d) or Store, optional
        The same rows in a finer form, by which the best rows visited are put in order; a store of two levels is searched
        by its primary, and reranked by its secondary.
    rerank_k : int, optional
        How many of the best rows visited are reranked, at most `window`; by default max(2 k, k + 20).
    filter : array, optional
        Which rows may be returned, as in `knn`. The search goes on until `window` of these are among the nearest that it
        found; where few are allowed, or none near the query, all that are allowed are compared.
    threads, stream, out
        As in `knn`; `out` may have been written where a row of the store is refused.
    check_finite : bool
        Refuse NaN and infinity in the queries and, on the host, in the rows that are read. On a device this check of the
        queries waits for the stream once; without it nothing waits.

    Returns
    -------
    distances, indices : arrays (m, k)
        As from `knn`: in order, ties to the smaller index, missing neighbours -1. The same bytes for any number of threads
        and any way of cutting the queries into batches.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.

    Notes
    -----
    Distances are those of `distances` on the same backend, bit for bit. Costs about `window` hops of `degree` rows a query,
    or `expand` hops.
    On a device one block searches for a query; up to 32 queries with a window of 32 or more have blocks that compute keys
    ahead of the search, by more launches (35 for a window of 256), with the same result. Workspace on a device: what the
    queries take when prepared, and for filters, stores that are decoded and windows beyond 1024 up to 256 MiB more.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.random.default_rng(0).standard_normal((2000, 32), dtype=np.float32)
    >>> graph, store = ak.build_graph(x, degree=32), ak.compress(x, "lvq4x8")
    >>> dist, idx = ak.search_graph(graph, store, x[:3], 5)
    >>> idx[:, 0]
    array([0, 1, 2])
    """
    if not isinstance(graph, Graph):
        raise TypeError(f"graph: expected a Graph, got {type(graph).__name__}; Graph.of takes an array of neighbours")
    if graph.plan is not None and stream is None and (filter is None or graph.deleted is None):
        found: tuple[Any, Any] | None = load("cpu").search_graph_direct(
            *(graph.plan, store, queries, k, window, expand, metric or graph.metric, rerank, rerank_k),
            *(graph.live if filter is None else filter, threads, out, check_finite),
        )
        if found is not None:
            return found
    if isinstance(store, Store) and store.primary is not None:
        rerank = store.secondary if rerank is None else rerank
        store = store.primary
    name = metric or graph.metric
    operands = Operands.of(store, queries, name, threads, stream, rerank=rerank, base_name="store")
    context, base = operands.context, operands.base
    if operands.n != len(graph):
        raise ValueError(f"store: expected {len(graph)} rows, as graph has, got {operands.n}")
    for part, x in graph.views():
        context.require_same_device(part, x, "queries")
    count = result_count(k)
    wide = max(min(whole_number("window", window, 1), operands.n), count)
    narrow = wide if expand is None else min(whole_number("expand", expand, 1), wide)
    allowed = operands.filter(filter if graph.deleted is None else without_deleted(graph, filter))
    given = pair(out)
    fine = base if operands.rerank is None and rerank_k is None else finer_rows(operands)
    with context.scope():
        distances = context.result("out[0]", given[0], (operands.m, count), operands.metric.dtype)
        indices = context.result("out[1]", given[1], (operands.m, count), "int64")
        if out is not None:
            refuse_overlap([("out[0]", distances), ("out[1]", indices)], [*operands.inputs(), *graph.views()])
        operands.check_finite(check_finite, few_rows=True)
        if not distances.empty:
            backend, depth = context.backend, 0
            if operands.rerank is not None:
                depth = backend.default_rerank_k(count) if rerank_k is None else whole_number("rerank_k", rerank_k, count)
            context.run(
                "search_graph",
                *(graph.native(backend), base.native, base.query_matrix, operands.metric.name, count, wide, narrow),
                *(fine.native, fine.query_matrix, min(wide, depth), allowed),
                *(distances.address, indices.address, base.bad_row_address),
            )
            base.refuse_bad_row()
            if graph.plan is None and context.device.on_host:
                graph.plan = backend.GraphPlan(graph.native(backend), [x.extent for _, x in graph.views()])
        return context.to_caller(distances, given[0]), context.to_caller(indices, given[1])


def without_deleted(graph: Graph, given: Any) -> Any:
    """The filter, or what stands for none, without the rows that the graph has as deleted; one of a wrong type or shape as
    it is, to be refused."""
    if given is None:
        return graph.live
    seen, n = view("filter", given), len(graph)
    packed = seen.dtype == "uint32"
    if not (packed or seen.dtype == "bool") or not seen.shape or seen.shape[-1] != (-(-n // 32) if packed else n):
        return given
    live = ~graph.deleted
    if packed:
        live = np.packbits(np.pad(live, (0, -n % 32)), bitorder="little").view("<u4").astype(np.uint32, copy=False)
    both = host_copy(seen) & live
    return both if seen.device.on_host else seen.library.from_numpy(both, seen.device)
