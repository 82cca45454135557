# SPDX-License-Identifier: Apache-2.0
"""Best-first search of a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metrics import find
from .pairwise import pairwise

Keyed = list[tuple[Any, int]]


def beam_search(
    neighbors: NDArray[np.int32], entries: NDArray[np.int32], keys: NDArray[Any], window: int, expand: int | None = None
) -> tuple[Keyed, Keyed]:
    """The `window` smallest (key, id) visited by a search for the row of smallest key, and what was expanded, in that order.
    Of the window, only the `expand` smallest are expanded; all where it is None.

    `keys` (n,) holds the key of every row, though only those of visited rows are read.
    """
    visited = {int(row) for row in entries}
    buffer = sorted((keys[row], row) for row in visited)[:window]
    expanded: Keyed = []
    while left := [candidate for candidate in buffer[:expand] if candidate not in expanded]:
        expanded.append(left[0])
        found = {int(row) for row in neighbors[left[0][1]] if row >= 0} - visited
        visited |= found
        buffer = sorted(buffer + [(keys[row], row) for row in found])[:window]
    return buffer, expanded


# csrc/ops/filter_plan.h says what they are.
EXACT_ROWS, ROWS_A_STEP, MOST_STEPS, SAMPLE, PLAIN_SHARE = 128, 32, 4096, 8, 0.2


def filtered_search(
    neighbors: NDArray[np.int32], entries: NDArray[np.int32], keys: NDArray[Any], allowed: NDArray[np.bool_], window: int
) -> Keyed:
    """The smallest allowed (key, id) that a search comes to, or all that are allowed, where that is less work or where the
    search does not come to an end. `allowed` (n,): neither none nor all."""
    n, count, window = len(keys), int(allowed.sum()), max(window, SAMPLE)
    all_allowed = sorted((keys[row], int(row)) for row in np.flatnonzero(allowed))
    steps = min(count // ROWS_A_STEP, max(4 * window, MOST_STEPS))
    if count <= EXACT_ROWS * window or 2 * SAMPLE * n > steps * count:
        return all_allowed
    visited = {int(row) for row in entries}
    buffer = sorted((keys[row], row) for row in visited)[:steps]
    expanded: set[tuple[Any, int]] = set()
    judged, two_hop, least = False, False, 0
    while any(candidate not in expanded for candidate in buffer):
        place = next(at for at, candidate in enumerate(buffer) if candidate not in expanded)
        confirmed = sum(bool(allowed[row]) for _, row in buffer[:place])
        if not judged and confirmed >= SAMPLE:
            judged, sparse = True, place * count > 2 * SAMPLE * n
            least = 2 * place if sparse else 0
            two_hop = not sparse and PLAIN_SHARE * place > SAMPLE
            if two_hop:
                waiting = {candidate for candidate in buffer if candidate not in expanded and not allowed[candidate[1]]}
                buffer = [candidate for candidate in buffer if candidate not in waiting]
                visited -= {row for _, row in waiting}
        if not judged and 2 * place > steps:
            break
        if confirmed >= window and place >= least:
            return [candidate for candidate in buffer if allowed[candidate[1]]]
        left = [candidate for candidate in buffer if candidate not in expanded]
        if left:
            expanded.add(left[0])
            found = _hop(neighbors, left[0][1], allowed if two_hop else np.ones(n, bool), visited)
            buffer = sorted(buffer + [(keys[row], row) for row in found])[:steps]
    return all_allowed


def _hop(neighbors: NDArray[np.int32], row: int, allowed: NDArray[np.bool_], visited: set[int]) -> list[int]:
    """Neighbours that are allowed and were not visited before, and then those of excluded neighbours, one after the other,
    until there are `degree`."""
    found: list[int] = []
    excluded: list[int] = []
    for id in neighbors[row].tolist():
        if id >= 0 and id not in visited:
            visited.add(id)
            (found if allowed[id] else excluded).append(id)
    for between in excluded:
        if len(found) >= neighbors.shape[1]:
            break
        for id in neighbors[between].tolist():
            if id >= 0 and allowed[id] and id not in visited:
                visited.add(id)
                found.append(id)
    return found


def search_graph(
    neighbors: NDArray[np.int32],
    entries: NDArray[np.int32],
    base: NDArray[Any],
    queries: NDArray[Any],
    k: int,
    window: int,
    metric: str = "sqeuclidean",
    filter: NDArray[np.bool_] | None = None,
    expand: int | None = None,
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Distances and indices (m, k), nearest first, ties to the smaller index; -1 where it visited fewer. filter: what
    may be returned, (n,) or (m, n). expand: as in `beam_search`."""
    row = find(metric)
    distances = pairwise(queries, base, metric)
    out = np.full((len(queries), k), row.missing, distances.dtype)
    ids = np.full((len(queries), k), -1, np.int64)
    for q, of_query in enumerate(distances):
        allowed = np.ones(len(base), bool) if filter is None else np.broadcast_to(filter, distances.shape)[q]
        if allowed.all():
            buffer, _ = beam_search(neighbors, entries, row.key(of_query), max(window, k), expand)
        else:
            buffer = filtered_search(neighbors, entries, row.key(of_query), allowed, max(window, k))
        ids[q, : len(buffer)] = [candidate for _, candidate in buffer[:k]]
        out[q, : len(buffer)] = of_query[ids[q, : len(buffer)]][:k]
    return out, ids
