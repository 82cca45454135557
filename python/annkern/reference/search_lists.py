# SPDX-License-Identifier: Apache-2.0
"""The k nearest rows of each query in the lists that are near to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .knn import allowed_rows
from .metrics import find
from .pairwise import pairwise


def taken_lists(
    order: NDArray[Any], members: list[NDArray[Any]], allowed: NDArray[np.bool_], probes: int, least: int
) -> list[int]:
    """The first lists of `order` (count,) that hold as many allowed rows as the first `probes` hold rows, and `least`."""
    wanted = max(least, sum(len(members[of]) for of in order[:probes]))
    taken: list[int] = []
    held = 0
    for of in order:
        if held >= wanted:
            break
        taken.append(int(of))
        held += int(allowed[members[of]].sum())
    return taken


def search_lists(
    members: list[NDArray[Any]],
    order: NDArray[Any],
    base: NDArray[Any],
    queries: NDArray[Any],
    k: int,
    probes: int,
    metric: str = "sqeuclidean",
    filter: NDArray[Any] | None = None,
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Distances and indices (m, k) of the rows nearest to each query in the lists that it takes, ties to the smaller index.

    members: the rows of each list. order (m, lists): the lists of each query, those of the nearest centroids first.
    """
    row = find(metric)
    copies = int(np.bincount(np.concatenate(members)).max(initial=1)) if members else 1
    allowed = allowed_rows(filter, len(queries), len(base))
    distances = pairwise(queries, base, metric)
    out = np.full((len(queries), k), row.missing, distances.dtype)
    ids = np.full((len(queries), k), -1, np.int64)
    for q, own in enumerate(distances):
        taken = taken_lists(order[q], members, allowed[q], probes, copies * k)
        rows = np.unique(np.concatenate([np.empty(0, np.int64), *(members[of] for of in taken)])).astype(np.int64)
        rows = rows[allowed[q][rows]]
        best = rows[np.lexsort((rows, row.key(own[rows])))][:k]
        ids[q, : len(best)], out[q, : len(best)] = best, own[best]
    return out, ids
