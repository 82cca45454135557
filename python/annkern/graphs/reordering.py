# SPDX-License-Identifier: Apache-2.0
"""Rows in the order in which searches visit them, for locality; callers see their ids all the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays.host import frozen
from ..arrays.libraries import aligned
from ..arrays.views import as_numpy, host_copy, view, with_adjacent_rows
from .graph import Graph

Array = np.ndarray[Any, np.dtype[Any]]


def visiting_order(graph: Graph) -> Array:
    """(n,) int64: the rows as they are first visited, breadth first from the entries: neighbours of a row come one after the
    other (Cuthill and McKee, 1969, without their sorting by degree)."""
    neighbors = graph.neighbors
    seen = np.zeros(len(graph), bool)
    front = graph.entries.astype(np.int64)
    levels = [np.empty(0, np.int64)]
    while len(front):
        seen[front] = True
        levels.append(front)
        there = neighbors[front].ravel()
        there = there[there >= 0]
        there = there[~seen[there]]
        _, first = np.unique(there, return_index=True)
        front = there[np.sort(first)].astype(np.int64)
    return np.concatenate([*levels, np.flatnonzero(~seen)])


def in_order(graph: Graph, order: Array) -> Graph:
    """The same graph over rows x[order]."""
    places = np.empty(len(order) + 1, np.int32)
    places[order] = np.arange(len(order), dtype=np.int32)
    places[-1] = -1
    neighbors = aligned(graph.neighbors.shape, "int32")
    neighbors[:] = places[graph.neighbors[order]]
    return Graph(frozen(neighbors), frozen(places[graph.entries]), graph.metric)


def rows_in_order(x: Any, order: Array) -> Any:
    """x[order], in host memory for arrays that are there."""
    seen = view("x", x)
    return seen.library.take(x, order)


def filter_in_order(given: Any, order: Array) -> Any:
    """A boolean array or packed bitset over the caller's ids, as booleans over the order's. None: as given, to be refused
    where it is wrong."""
    seen = view("filter", given)
    if seen.dtype not in ("bool", "uint32") or not seen.shape:
        return given
    seen = with_adjacent_rows(seen)
    allowed = host_copy(seen)
    if seen.dtype == "uint32" and seen.shape[-1] == -(-len(order) // 32):
        allowed = np.unpackbits(allowed.view(np.uint8), axis=-1, count=len(order), bitorder="little").view(bool)
    if allowed.dtype != bool or allowed.shape[-1] != len(order):
        return given
    return np.ascontiguousarray(allowed[..., order])


def in_ids(distances: Any, indices: Any, order: Array, similarity: bool) -> Any:
    """The indices as the caller's ids, those that are equally near in ascending order: written where they are, if they can
    be written."""
    seen = view("out[1]", indices)
    ids, record = as_numpy(seen), as_numpy(view("out[0]", distances))
    there = ids >= 0
    caller_ids = np.full(ids.shape, np.iinfo(np.int64).max)
    caller_ids[there] = order[ids[there]]
    caller_ids = np.take_along_axis(caller_ids, np.lexsort((caller_ids, -record if similarity else record), axis=1), axis=1)
    caller_ids[caller_ids == np.iinfo(np.int64).max] = -1
    if not seen.library.writable:
        return seen.library.from_numpy(caller_ids, seen.device)
    ids[:] = caller_ids
    return indices
