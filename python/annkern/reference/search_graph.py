# SPDX-License-Identifier: Apache-2.0
"""Best-first search of a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metrics import find
from .pairwise import pairwise

Keyed = list[tuple[Any, int]]


def walk(neighbors: NDArray[np.int32], entries: NDArray[np.int32], keys: NDArray[Any], window: int) -> tuple[Keyed, Keyed]:
    """The `window` smallest (key, id) met on a walk to the row of smallest key, and what was expanded, in that order.

    `keys` (n,) holds the key of every row, though only those met are looked at.
    """
    met = {int(row) for row in entries}
    pool = sorted((keys[row], row) for row in met)[:window]
    expanded: Keyed = []
    while left := [candidate for candidate in pool if candidate not in expanded]:
        expanded.append(left[0])
        found = {int(row) for row in neighbors[left[0][1]] if row >= 0} - met
        met |= found
        pool = sorted(pool + [(keys[row], row) for row in found])[:window]
    return pool, expanded


def search_graph(
    neighbors: NDArray[np.int32],
    entries: NDArray[np.int32],
    base: NDArray[Any],
    queries: NDArray[Any],
    k: int,
    window: int,
    metric: str = "sqeuclidean",
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Distances and indices (m, k), nearest first, ties to the smaller index; -1 where the walk met fewer."""
    row = find(metric)
    distances = pairwise(queries, base, metric)
    out = np.full((len(queries), k), row.missing, distances.dtype)
    ids = np.full((len(queries), k), -1, np.int64)
    for q, own in enumerate(distances):
        pool, _ = walk(neighbors, entries, row.key(own), max(window, k))
        ids[q, : len(pool)] = [candidate for _, candidate in pool[:k]]
        out[q, : len(pool)] = own[ids[q, : len(pool)]][:k]
    return out, ids
