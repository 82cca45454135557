# SPDX-License-Identifier: Apache-2.0
"""Which two lists each row goes to, the centroids being known (kmeans.py)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def build_lists(
    x: NDArray[Any], centroids: NDArray[Any], soar: bool = True, soar_lambda: float = 1.0
) -> list[NDArray[np.int64]]:
    """The rows of each list: those whose centroid is the nearest, and those whose second list it is, that of smallest loss
    among the others; ties to the nearer."""
    x, centroids = x.astype(np.float64), centroids.astype(np.float64)
    squares = ((x[:, None] - centroids) ** 2).sum(axis=2)
    order = np.argsort(squares, axis=1, kind="stable")
    first = order[:, 0]
    if not soar or len(centroids) == 1:
        return members(first[:, None], len(centroids))
    residuals = x - centroids[first]
    norms = np.linalg.norm(residuals, axis=1, keepdims=True)
    directions = residuals / np.where(norms > 0, norms, 1)
    along = np.einsum("nd,ncd->nc", directions, x[:, None] - centroids)
    losses = np.take_along_axis(squares + soar_lambda * along**2, order, axis=1)[:, 1:]
    second = order[np.arange(len(x)), 1 + np.argmin(losses, axis=1)]
    return members(np.stack([first, second], axis=1), len(centroids))


def members(labels: NDArray[np.int64], count: int) -> list[NDArray[np.int64]]:
    return [np.flatnonzero((labels == of).any(axis=1)) for of in range(count)]
