# SPDX-License-Identifier: Apache-2.0
"""How LeanVec finds its projections, in float64 on second moments. What loss is: reference/leanvec.py.

Every function takes and returns plain matrices: k (d, d) second moments, a and b (d', d).
"""

# NumPy's stubs call many results Any.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import Any

import numpy as np

Matrix = np.ndarray[Any, np.dtype[np.float64]]
Rows = np.ndarray[Any, np.dtype[np.float32]]
BLOCK_ROWS = 8192
STEPS = 64  # the eigenvector search tries multiples of 1 / STEPS: the loss is flat about its minimum
GRID = 2.0**-20  # entries are rounded to it, so that last bits of LAPACK, which depend on its threads, do not show
MOST_ITERATIONS, SETTLED = 200, 1e-4


def second_moment(rows: Rows, centre: Matrix | None = None, unit: bool = False) -> Matrix:
    """Mean of x x^T over the rows, less the centre, or each over its norm; a block of rows at a time."""
    total = np.zeros((rows.shape[1], rows.shape[1]))
    for first in range(0, len(rows), BLOCK_ROWS):
        x = rows[first : first + BLOCK_ROWS].astype(np.float64)
        if centre is not None:
            x -= centre
        if unit:
            norms = np.sqrt((x * x).sum(axis=1, keepdims=True))
            x /= np.where(norms > 0.0, norms, 1.0)
        total += x.T @ x
    return total / max(len(rows), 1)


def normalised(k: Matrix) -> Matrix:
    """Of trace 1, so that moments of other units can be mixed, and products of them neither overflow nor vanish."""
    trace = float(np.trace(k))
    return k / trace if trace > 0.0 else k


def loss(a: Matrix, b: Matrix, kq: Matrix, kx: Matrix) -> float:
    """Relative to that of no dimension at all; 0 where nothing can be lost."""
    total = float(np.sum(kq * kx))
    missing = a.T @ b - np.eye(len(kx))
    return max(float(np.sum((kq @ missing) * (missing @ kx))) / total, 0.0) if total > 0.0 else 0.0


def basis(k: Matrix) -> Matrix:
    """Eigenvectors as rows, of the largest value first; the largest entry of each is positive."""
    vectors = np.linalg.eigh(k)[1].T[::-1]
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1)
    return np.where(largest < 0.0, -vectors, vectors)


def losses(directions: Matrix, kq: Matrix, kx: Matrix) -> Matrix:
    """Relative loss of the first 0, 1, ..., d rows of an orthonormal basis as both projections.

    Without the directions v_i, i >= d', the loss is the sum of (v_i K_Q v_j)(v_i K_X v_j) over i, j >= d'.
    """
    products = (directions @ kq @ directions.T) * (directions @ kx @ directions.T)
    total = products.sum()
    tails = products[::-1, ::-1].cumsum(axis=0).cumsum(axis=1).diagonal()[::-1]
    left = np.append(np.maximum(tails, 0.0), 0.0)
    return left / total if total > 0.0 else np.zeros_like(left)


def eigenvector_search(kq: Matrix, kx: Matrix, dim: int) -> Matrix:
    """The best basis of (1 - beta) K_Q + beta K_X, 0 <= beta <= 1: by eighths, then halving the step about the best."""
    found: dict[int, tuple[float, Matrix]] = {}

    def loss_at(step: int) -> float:
        if not 0 <= step <= STEPS:
            return np.inf
        if step not in found:
            share = step / STEPS
            directions = basis((1.0 - share) * kq + share * kx)
            found[step] = float(losses(directions, kq, kx)[dim]), directions[:dim]
        return found[step][0]

    width = STEPS // 8
    best = min(range(0, STEPS + 1, width), key=loss_at)
    while width > 1:
        width //= 2
        best = min((best, best - width, best + width), key=loss_at)
    return found[best][1]


def closed_form(kq: Matrix, kx: Matrix, dim: int) -> tuple[Matrix, Matrix]:
    """The pair of least loss among all: A^T B is the rank-d' matrix that whitening turns into the truncated SVD."""
    left, left_inverse = _root(kq)
    right, right_inverse = _root(kx)
    u, s, vt = np.linalg.svd(left.T @ right)
    return split((left_inverse @ u[:, :dim] * s[:dim]) @ (vt[:dim] @ right_inverse.T), dim)


def _root(k: Matrix) -> tuple[Matrix, Matrix]:
    """L with k = L L^T, and the transpose of its pseudo-inverse."""
    values, vectors = np.linalg.eigh(k)
    roots = np.sqrt(np.maximum(values, 0.0))
    kept = values > values[-1:] * (len(k) * 1e-15)
    return vectors * roots, vectors * np.where(kept, 1.0 / np.where(kept, roots, 1.0), 0.0)


def split(product: Matrix, dim: int) -> tuple[Matrix, Matrix]:
    """(a, b) with a^T b = product, which is of rank dim at most, and the rows of b orthonormal.

    So the code's error, which is about the same in all directions of b x, weighs by the length of a q alone.
    """
    b = np.linalg.svd(product)[2][:dim]
    return b @ product.T, b


def frank_wolfe(a: Matrix, b: Matrix, kq: Matrix, kx: Matrix) -> tuple[Matrix, Matrix]:
    """Block descent from (a, b) within the matrices of spectral norm 1: each in turn goes towards the point of that ball
    that its gradient points away from.

    Steps are exact, since the loss is quadratic along a line: unlike the paper's 1 / (t + 1)^a they never climb, nor throw
    the start away.
    """
    before = loss(a, b, kq, kx)
    for _ in range(MOST_ITERATIONS):
        a = _towards(a, b, kq, kx)
        b = _towards(b, a, kx, kq)
        after = loss(a, b, kq, kx)
        if before - after <= SETTLED * after:
            break
        before = after
    return split(a.T @ b, len(a))


def _towards(a: Matrix, b: Matrix, kq: Matrix, kx: Matrix) -> Matrix:
    weight = b @ kx
    gradient = (weight @ b.T) @ a @ kq - weight @ kq
    # The corner is -U V^T of the gradient's SVD; by the d' x d' eigenproblem, which is a tenth of the work.
    values, vectors = np.linalg.eigh(gradient @ gradient.T)
    small = values[-1:] * 1e-14
    corner = -(vectors / np.sqrt(np.where(values > small, values, np.inf))) @ (vectors.T @ gradient)
    step = corner - a
    slope, curve = np.sum(gradient * step), np.sum((step @ kq) * ((weight @ b.T) @ step))
    share = float(np.clip(-slope / curve, 0.0, 1.0)) if curve > 0.0 else 0.0
    return a + share * step


def turned(a: Matrix, b: Matrix, kx: Matrix, seed: int) -> tuple[Matrix, Matrix]:
    """The same products from other axes: the principal ones of b x, which do not depend on how b was found, then turned at
    random. A scaled code serves all dimensions by one range, and does best where their spreads are alike."""
    axes = basis(b @ kx @ b.T)
    noise = np.random.Generator(np.random.Philox(seed)).standard_normal(axes.shape)
    turn, upper = np.linalg.qr(noise)
    turn = turn * np.where(upper.diagonal() < 0.0, -1.0, 1.0) @ axes
    return turn @ a, turn @ b


def rounded(a: Matrix) -> Rows:
    """To float32, on a grid coarse enough that noise in the last bits of float64 does not show."""
    largest = float(np.abs(a).max(initial=0.0))
    unit = GRID * 2.0 ** np.ceil(np.log2(largest)) if largest > 0.0 else 1.0
    return (np.rint(a / unit) * unit).astype(np.float32)


def loss_curve(method: str, kq: Matrix, kx: Matrix) -> Matrix:
    """Relative losses (d + 1,) that the method reaches, or is sure to reach, with 0, 1, ..., d dimensions."""
    if method == "pca":
        return losses(basis(kx), kq, kx)
    if method == "closed_form":
        squares = np.linalg.svd(_root(kq)[0].T @ _root(kx)[0], compute_uv=False) ** 2
        left = np.append(squares[::-1].cumsum()[::-1], 0.0)
        return left / left[0] if left[0] > 0.0 else np.zeros_like(left)
    shares = np.arange(9) / 8
    return np.min([losses(basis((1.0 - share) * kq + share * kx), kq, kx) for share in shares], axis=0)
