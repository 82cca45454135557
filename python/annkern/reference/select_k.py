# SPDX-License-Identifier: Apache-2.0
"""The k best values of each row: the one definition of order and of ties."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def select_k(
    values: NDArray[Any],
    k: int,
    *,
    largest: bool = False,
    ids: NDArray[np.int64] | None = None,
    missing: float | None = None,
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The k smallest (largest) of each row of `values` (m, n), best first, and their `ids` ((n,) or (m, n)).

    Ties go to the smaller id; NaN ranks behind everything; an entry with a negative id is skipped; where fewer than k
    remain, the id is -1 and the value `missing` (+inf, or -inf where `largest`).
    """
    m, n = values.shape
    ids = np.broadcast_to(np.arange(n) if ids is None else ids, (m, n))
    if missing is None:
        missing = -np.inf if largest else np.inf
    best_values = np.full((m, k), missing, values.dtype)
    best_ids = np.full((m, k), -1, np.int64)
    for row in range(m):
        present = np.flatnonzero(ids[row] >= 0)
        keys = -values[row, present] if largest else values[row, present]
        order = present[np.lexsort((ids[row, present], keys))][:k]
        best_values[row, : len(order)] = values[row, order]
        best_ids[row, : len(order)] = ids[row, order]
    return best_values, best_ids
