# SPDX-License-Identifier: Apache-2.0
"""Every distance between two sets of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metrics import Vectors, find, vectors


def exact(queries: NDArray[Any], base: NDArray[Any], metric: str = "sqeuclidean") -> Vectors:
    """(m, n) float64 distances, not rounded."""
    row = find(metric)
    q, x = vectors(queries, row), vectors(base, row)
    return np.array([row.distance(query, x) for query in q]).reshape(len(q), len(x))


def bound(queries: NDArray[Any], base: NDArray[Any], metric: str = "sqeuclidean") -> Vectors:
    """(m, n) largest difference allowed between a kernel's float32 and `exact`.

    8-bit vectors against 8-bit vectors are summed in integers, so that their inner product and squared distance are
    rounded once.
    """
    row = find(metric)
    q, x = vectors(queries, row), vectors(base, row)
    whole_numbers = queries.dtype.itemsize == base.dtype.itemsize == 1 and row.name in ("sqeuclidean", "inner_product")
    if whole_numbers:
        return 2.0**-24 * np.abs(exact(queries, base, metric))
    return np.array([row.bound(query, x) for query in q]).reshape(len(q), len(x))


def pairwise(queries: NDArray[Any], base: NDArray[Any], metric: str = "sqeuclidean") -> NDArray[Any]:
    """(m, n) distances: int32 for hamming, float32 otherwise (infinite where float32 cannot hold them)."""
    with np.errstate(over="ignore"):
        return exact(queries, base, metric).astype(np.int32 if find(metric).integer else np.float32)
