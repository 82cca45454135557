# SPDX-License-Identifier: Apache-2.0
"""One top-k out of the top-k of several parts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metrics import find
from .select_k import select_k


def merge_topk(
    dists: NDArray[Any], ids: NDArray[np.int64], k: int, metric: str = "sqeuclidean"
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The k best of `dists`, `ids` (parts, m, width) for each of the m queries; entries of id -1 are missing."""
    parts, m, width = dists.shape
    row = find(metric)
    side_by_side = (m, parts * width)
    return select_k(
        dists.transpose(1, 0, 2).reshape(side_by_side),
        k,
        largest=row.similarity,
        ids=ids.transpose(1, 0, 2).reshape(side_by_side),
        missing=row.missing,
    )
