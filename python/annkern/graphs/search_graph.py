# SPDX-License-Identifier: Apache-2.0
"""Searching a graph over any store. The contract is csrc/ops/search_graph.h, the definition reference/search_graph.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays.views import host_copy, view
from ..ops.operands import Scan, address_of, refuse_bad_row
from ..ops.rerank import finer_scan
from ..runtime.call import pair, refuse_overlap, whole_number
from ..stores.store import Store
from .graph import Graph
from .search_plan import again


def search_graph(
    graph: Graph,
    store: Any,
    queries: Any,
    k: int,
    *,
    window: int = 64,
    metric: str | None = None,
    rerank: Any = None,
    rerank_k: int | None = None,
    filter: Any = None,
    threads: int | None = None,
    stream: Any = None,
    out: Any = None,
    check_finite: bool = True,
) -> tuple[Any, Any]:
    """The k rows nearest to each query among those that a walk of the graph meets: nearly always the nearest of all.

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
        The best rows met so far that the walk keeps, and expands one after the other; raised to k, at most n. Larger
        finds more of the true neighbours, and takes time in proportion: 16 to 300, chosen by `tune`.
    metric : str, optional
        As in `knn`; by default the graph's own.
    rerank : array (n, d) or Store, optional
        The same rows in a finer form, by which the best of the walk are put in order; a store of two levels is walked by its
        primary, and reranked by its secondary.
    rerank_k : int, optional
        How many of the walk's best are reranked, at most `window`; by default max(2 k, k + 20).
    filter : array, optional
        Which rows may be returned, as in `knn`. Where few pass, all of those are compared.
    threads, stream, out
        As in `knn`.
    check_finite : bool
        Refuse NaN and infinity in the queries and, on the host, in the rows that are read. On a device this look at the
        queries waits for the stream once; without it nothing waits.

    Returns
    -------
    distances, indices : arrays (m, k)
        As from `knn`: in order, ties to the smaller index, missing neighbours -1. The same bytes for any number of threads
        and any way of cutting the queries into batches.

    Notes
    -----
    Distances are those of `distances` on the same backend, bit for bit. Costs about `window` hops of `degree` rows a query.
    On a device a block walks for a query; up to 32 queries with a window of 32 or more have blocks that make keys ahead of
    the walk, by more launches (35 for a window of 256), with the same result. Workspace on a device: what the queries take
    when prepared, and for filters, stores that are decoded and windows beyond 1024 up to 256 MiB more.

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
    if graph.again is not None and filter is None and stream is None and out is None:
        found = graph.again(graph, store, queries, k, window, metric, rerank, rerank_k, threads, check_finite)
        if found is not None:
            return found
    name = metric or graph.metric
    asked, finer = (store, rerank), rerank
    if isinstance(store, Store) and store.primary is not None:
        finer = store.secondary if rerank is None else rerank
        store = store.primary
    scan = Scan.of(store, queries, name, threads, stream, base_name="store")
    if scan.n != len(graph):
        raise ValueError(f"store: expected {len(graph)} rows, as graph has, got {scan.n}")
    for part, x in graph.views():
        scan.call.beside(part, x, "queries")
    count = whole_number("k", k, 0)
    wide = max(min(whole_number("window", window, 1), scan.n), count)
    passing = scan.filter(filter if graph.deleted is None else without_deleted(graph, filter))
    given = pair(out)
    fine = None
    if finer is not None or rerank_k is not None:
        fine = finer_scan(scan, finer, queries, threads, stream)
    with scan.call.scope():
        distances = scan.call.result("out[0]", given[0], (scan.m, count), scan.metric.dtype)
        indices = scan.call.result("out[1]", given[1], (scan.m, count), "int64")
        if out is not None:
            inputs = [*scan.inputs(), *graph.views(), *(fine.inputs() if fine else [])]
            refuse_overlap([("out[0]", distances), ("out[1]", indices)], inputs)
        bad = scan.look(check_finite, few_rows=True)
        if not distances.empty:
            backend, depth = scan.call.backend, 0
            if fine:
                depth = backend.default_rerank_k(count) if rerank_k is None else whole_number("rerank_k", rerank_k, count)
            reranked = (fine or scan).base_matrix, (fine or scan).query_matrix, min(wide, depth)
            scan.call.run(
                "search_graph",
                graph.backend_graph(backend),
                scan.base_matrix,
                scan.query_matrix,
                scan.metric.name,
                count,
                wide,
                *reranked,
                passing,
                distances.address,
                indices.address,
                address_of(bad),
            )
            refuse_bad_row("store", bad)
            graph.again = again(graph, *asked, metric, scan, fine) if graph.deleted is None else None
        return scan.call.hand_over(distances, given[0]), scan.call.hand_over(indices, given[1])


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
    return both if seen.device.on_host else seen.space.from_numpy(both, seen.device)
