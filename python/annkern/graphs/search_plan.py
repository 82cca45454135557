# SPDX-License-Identifier: Apache-2.0
"""A repeated search of the same graph over the same stores: only the queries are checked again.

The kernels take 10 to 20 us for a single query, and the checks of everything else as long again. So a graph keeps what the
last call found of its stores, which are immutable and which it does not keep alive, where all is host memory and the queries
are plain NumPy arrays. What is kept is a function of csrc/bind/search_again.h.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from ..ops.operands import Operands
from ..stores.store import Store

# (graph, store, queries, k, window, metric, rerank, rerank_k, threads, check_finite) -> (distances, indices), or None where
# something is not as it was, or not as it should be: then the call is checked in full.
SearchPlan = Callable[[Any, Any, Any, Any, Any, Any, Any, Any, Any, Any], "tuple[Any, Any] | None"]


def search_plan(graph: Any, store: Any, rerank: Any, metric: str | None, operands: Operands) -> SearchPlan | None:
    """None where a repeated call must be checked again: arrays can be written to, and projections are a step apart."""
    stores = [x for x in (store, rerank) if x is not None]
    if not operands.context.device.on_host or not all(isinstance(x, Store) for x in stores) or operands.metric.integer:
        return None
    if any(level.projection is not None for x in stores for level in (x, x.primary, x.secondary) if level is not None):
        return None
    backend, base = operands.context.backend, operands.base
    finer = None if operands.rerank is None else operands.rerank.native
    known = graph.native(backend), base.native, finer, operands.metric.name, base.queries.shape[1]
    first, second = weakref.ref(store), None if rerank is None else weakref.ref(rerank)
    plan: SearchPlan = backend.search_again(graph.neighbors, graph.entries, first, second, metric, known)
    return plan
