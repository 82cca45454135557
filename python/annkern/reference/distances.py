# SPDX-License-Identifier: Apache-2.0
"""Distances to the rows that each query names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metrics import find
from .pairwise import pairwise


def distances(
    base: NDArray[Any], queries: NDArray[Any], ids: NDArray[np.int64], metric: str = "sqeuclidean"
) -> NDArray[Any]:
    """(m, c): the distance of query q and row ids[q, i]; missing where the id is negative."""
    everything = pairwise(queries, base, metric)
    chosen = (
        np.take_along_axis(everything, np.maximum(ids, 0), axis=1) if len(base) else np.zeros(ids.shape, everything.dtype)
    )
    return np.where(ids < 0, np.array(find(metric).missing, everything.dtype), chosen)
