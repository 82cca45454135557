# SPDX-License-Identifier: Apache-2.0
"""All rows within a radius of each query."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .knn import allowed_rows
from .metrics import find
from .pairwise import pairwise


def radius(
    base: NDArray[Any],
    queries: NDArray[Any],
    r: float,
    metric: str = "sqeuclidean",
    *,
    filter: NDArray[Any] | None = None,
) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64]]:
    """`lims` (m + 1,), distances and indices: the hits of query q lie in [lims[q], lims[q + 1]), by ascending index.

    A hit has distance <= r (inner product >= r), r being rounded to float32 first.
    """
    row = find(metric)
    distances = pairwise(queries, base, metric)
    near = row.key(distances) <= row.key(np.float32(r))
    near &= allowed_rows(filter, *distances.shape)
    lims = np.concatenate([[0], np.cumsum(near.sum(axis=1))]).astype(np.int64)
    return lims, distances[near], np.nonzero(near)[1].astype(np.int64)
