# SPDX-License-Identifier: Apache-2.0
"""The k nearest rows of each query."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metrics import find
from .pairwise import pairwise
from .select_k import select_k


def allowed_rows(filter: NDArray[Any] | None, m: int, n: int) -> NDArray[np.bool_]:
    """(m, n): which rows each query may return. Packed filters hold row i in bit i % 32 of word i // 32."""
    if filter is None:
        return np.ones((m, n), bool)
    if filter.dtype == np.uint32:
        row = np.arange(n)
        filter = (filter[..., row >> 5] >> (row & 31).astype(np.uint32)) & np.uint32(1)
    return np.broadcast_to(filter.astype(bool), (m, n))


def knn(
    base: NDArray[Any],
    queries: NDArray[Any],
    k: int,
    metric: str = "sqeuclidean",
    *,
    filter: NDArray[Any] | None = None,
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Distances and indices (m, k) of the rows nearest to each query, nearest first, ties to the smaller index."""
    row = find(metric)
    distances = pairwise(queries, base, metric)
    ids = np.where(allowed_rows(filter, *distances.shape), np.arange(len(base)), -1)
    return select_k(distances, k, largest=row.similarity, ids=ids, missing=row.missing)
