# SPDX-License-Identifier: Apache-2.0
"""A Vamana graph, built by batches that search the graph as it was before them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metrics import find
from .pairwise import pairwise
from .search_graph import beam_search

Keys = NDArray[Any]


def prune(row: int, candidates: Sequence[int], keys: Keys, degree: int, alpha: float, similarity: bool = False) -> list[int]:
    """The candidates kept as neighbours of `row`: by ascending (key, id), each unless a kept one is so near to it that
    alpha key(kept, candidate) < key(row, candidate), until there are `degree`. Of those as near as the nearest, half of
    that: they may be the row's equals, which occlude nothing. Under a similarity, a kept one longer than the row counts as
    if it were as long. keys (n, n): of all pairs."""
    kept: list[int] = []
    nearest = min((keys[row, c] for c in candidates), default=0)

    def scale(s: int) -> np.float32:
        longer = similarity and keys[s, s] < keys[row, row]
        shorter = np.sqrt(np.float32(keys[row, row] / keys[s, s])) if longer else np.float32(1)
        scaled: np.float32 = np.float32(alpha) * shorter
        return scaled

    for c in sorted(candidates, key=lambda c: (keys[row, c], c)):
        most = (degree + 1) // 2 if keys[row, c] == nearest else degree
        if len(kept) < most and not any(scale(s) * keys[s, c] < keys[row, c] for s in kept):
            kept.append(c)
    return kept


def build_graph(
    base: NDArray[Any],
    order: NDArray[np.int32],
    entry_count: int,
    passes: Iterable[tuple[float, Iterable[tuple[int, int]]]],
    degree: int,
    room: int,
    window: int,
    most: int,
    metric: str = "sqeuclidean",
) -> NDArray[np.int32]:
    """(n, degree) int32, -1 behind shorter lists, before rows out of reach are connected. Each pass has its alpha and its
    batches, (first, count). A pruning takes `most` rows: what a list held, and the last of those that a search expanded, or
    the nearest of the new ones."""
    similarity = find(metric).similarity
    keys = find(metric).key(pairwise(base, base, "sqeuclidean" if metric == "euclidean" else metric))
    lists: list[list[int]] = [[] for _ in base]

    def padded(width: int) -> NDArray[np.int32]:
        out = np.full((len(base), width), -1, np.int32)
        for row, listed in enumerate(lists):
            out[row, : len(listed)] = listed
        return out

    def add(first: int, count: int, entries: NDArray[np.int32], alpha: float) -> None:
        snapshot, arrivals = padded(room), [int(row) for row in order[first : first + count]]
        for row in arrivals:
            _, expanded = beam_search(snapshot, entries, keys[row], window)
            visited = [id for _, id in expanded if id != row]
            visited = visited[max(0, len(visited) + len(lists[row]) - most) :]
            lists[row] = prune(row, list({*visited, *lists[row]}), keys, degree, alpha, similarity)
        sources: dict[int, list[int]] = {}
        for row in arrivals:
            for target in lists[row]:
                if row not in lists[target]:
                    sources.setdefault(target, []).append(row)
        for target, new in sources.items():
            listed = lists[target]
            lists[target] = listed + new
            if len(listed) + len(new) > room:
                near = sorted(new, key=lambda c: (keys[target, c], c))[: most - len(listed)]
                lists[target] = prune(target, listed + near, keys, degree, alpha, similarity)

    for turn, (alpha, batches) in enumerate(passes):
        for first, count in batches:
            if turn > 0 or first > 0:
                add(first, count, order[:entry_count] if turn > 0 else order[: min(entry_count, first)], alpha)
    for row, listed in enumerate(lists):
        if len(listed) > degree:
            lists[row] = prune(row, listed, keys, degree, alpha, similarity)
    return padded(degree)
