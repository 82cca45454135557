# SPDX-License-Identifier: Apache-2.0
"""An index as parts of a file."""

from __future__ import annotations

import numpy as np

from ..files.container import Form, Parts, part_of, register
from ..graphs.graph import Graph
from ..ivf.lists import Lists
from ..ivf.search_lists import arranged
from ..ops.metrics import metric_known
from ..runtime.context import whole_number
from ..stores.store import Store, rows_of_store
from .index import Index
from .source import refuse_unlike


def _parts(index: Index) -> Parts:
    parameters = {name: getattr(index, name) for name in ("spec", "metric", "window", "rerank_k")}
    if index.expand is not None:  # versions that do not know it read all others
        parameters["expand"] = index.expand
    if index.lists is not None:
        parameters["probes"] = index.probes
    objects = {"store": index.store, "graph": index.graph, "lists": index.lists, "rerank": index.rerank}
    arrays = {} if index.order is None else {"order": index.order}
    return Parts(parameters, arrays, {name: part for name, part in objects.items() if part is not None})


def _from_parts(parts: Parts) -> Index:
    kinds = (("store", Store), ("graph", Graph), ("lists", Lists), ("rerank", Store))
    objects = {name: part_of(parts, name, kind) for name, kind in kinds}
    if objects["store"] is None or not set(parts.objects) <= set(objects):
        raise ValueError(f"expected an index of {', '.join(objects)}, got one of {', '.join(parts.objects) or 'nothing'}")
    index = Index(**parts.parameters, **objects, **parts.arrays)
    if type(index.spec) is not str:
        raise ValueError(f"expected an index's spec as text, got {index.spec!r}")
    index.metric = metric_known(index.metric)
    whole_number("window", index.window, 1)
    for name in ("rerank_k", "expand", "probes"):
        if getattr(index, name) is not None:
            whole_number(name, getattr(index, name), 1)
    if index.order is not None and not np.array_equal(np.sort(index.order), np.arange(len(index))):
        raise ValueError(f"expected order to hold each of {len(index)} rows once")
    if index.lists is not None and (index.graph is not None or index.order is not None):
        raise ValueError("expected a graph or lists, got both")
    if index.lists is None:
        rows_of_store("store", index.store)
    elif not arranged("store", index.lists, index.store):
        raise ValueError("store: expected one in the order of the lists, got one in that of the rows")
    refuse_unlike(len(index), index.store, index.graph, index.rerank)
    return index


register("index", Form(Index, _parts, _from_parts))
