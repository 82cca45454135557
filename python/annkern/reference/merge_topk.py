# SPDX-License-Identifier: Apache-2.0
"""One top-k out of the top-k of several parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metrics import find


def merge_topk(
    dists: NDArray[Any],
    ids: NDArray[np.int64],
    k: int,
    metric: str = "sqeuclidean",
    *,
    offsets: Sequence[int] | None = None,
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The k best of `dists`, `ids` (parts, m, width) for each of the m queries, best first, ties to the smaller id.

    An entry at the missing distance, or with a negative id, is missing; offsets[p] is added to the ids of part p that are
    not. NaN ranks behind every number. Of one id that comes twice, equal distances (two NaN, or 0 and -0) go by their bits.
    """
    largest = find(metric).similarity
    limits = (-np.inf, np.inf) if dists.dtype == np.float32 else (np.iinfo(np.int32).min, np.iinfo(np.int32).max)
    missing = np.array(limits[0 if largest else 1], dists.dtype)
    shift = np.zeros(len(dists), np.int64) if offsets is None else np.asarray(offsets, np.int64)
    there = (ids >= 0) & (dists != missing)
    ids = np.where(there, ids + shift[:, None, None], -1)
    m = dists.shape[1]
    best, best_ids = np.full((m, k), missing, dists.dtype), np.full((m, k), -1, np.int64)
    for query in range(m):
        present = ids[:, query] >= 0
        values, names = dists[:, query][present], ids[:, query][present]
        wide = values.astype(np.float64)  # holds each int32, and minus the least of them
        order = np.lexsort((values.view(np.uint32), names, -wide if largest else wide))[:k]
        best[query, : len(order)], best_ids[query, : len(order)] = values[order], names[order]
    return best, best_ids
