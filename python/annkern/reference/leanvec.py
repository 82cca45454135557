# SPDX-License-Identifier: Apache-2.0
"""LeanVec: what a pair of projections is worth, and the least that any pair can lose.

Queries q become A q and rows x become B x, both of d' < d dimensions, so that <q, x> ~ <A q, B x>. With the second moments
K_Q = E q q^T of the queries and K_X = E x x^T of the rows, the mean squared error of the products is

    loss(A, B) = E <q, (A^T B - 1) x>^2 = tr(K_Q E K_X E^T),  E = A^T B - 1

and its share of E <q, x>^2 = tr(K_Q K_X) is the relative loss. Tepper et al., "LeanVec: Searching vectors faster by making
them fit", arXiv 2312.16335.
"""

# NumPy's stubs call every reduction Any.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .pairwise import exact

Matrix = NDArray[np.float64]


def second_moment(x: NDArray[np.float32]) -> Matrix:
    x = np.asarray(x, np.float64)
    return x.T @ x / len(x)


def loss(a: Matrix, b: Matrix, kq: Matrix, kx: Matrix) -> float:
    """Relative loss of the projections a, b (d', d)."""
    missing = a.T @ b - np.eye(len(kx))
    return float(np.trace(kq @ missing @ kx @ missing.T) / np.trace(kq @ kx))


def gradients(a: Matrix, b: Matrix, kq: Matrix, kx: Matrix) -> tuple[Matrix, Matrix]:
    """Of loss() by a and by b."""
    missing, total = a.T @ b - np.eye(len(kx)), np.trace(kq @ kx)
    return 2 * b @ kx @ missing.T @ kq / total, 2 * a @ kq @ missing @ kx / total


def bound(kq: Matrix, kx: Matrix, dim: int) -> float:
    """The least relative loss of any pair of projections: with K_Q = L_Q L_Q^T and K_X = L_X L_X^T, the loss of A, B is
    that of a matrix of rank d' in the place of L_Q^T L_X, and so at least the sum of its smaller singular values squared."""

    def root(k: Matrix) -> Matrix:
        values, vectors = np.linalg.eigh(k)
        return vectors * np.sqrt(np.maximum(values, 0.0))

    values = np.linalg.svd(root(kq).T @ root(kx), compute_uv=False) ** 2
    return float(values[dim:].sum() / values.sum())


def pairwise(
    queries: NDArray[np.float32], projection: NDArray[np.float32], decoded: NDArray[np.float32], metric: str
) -> Matrix:
    """(m, n) distances of the primary level, in float64: from the projected queries to what its rows decode to."""
    return exact(np.asarray(queries, np.float64) @ np.asarray(projection, np.float64).T, decoded, metric)
