# SPDX-License-Identifier: Apache-2.0
"""Codewords chosen for inner products: an error along the row counts more than one across it (Guo et al., "Accelerating
large-scale inference with anisotropic vector quantization", ICML 2020). The definition is reference/pq.py."""

from __future__ import annotations

from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float32]]
Codes = np.ndarray[Any, np.dtype[np.uint8]]
SWEEPS = 3  # over the parts, each choosing its codeword while the others stay
BLOCK_ENTRIES = 1 << 21  # pairs of row and codeword at once
THRESHOLD = 0.2


def extra_weight(dims: int, threshold: float) -> float:
    """What errors along a row of length 1 count more than others, for products above `threshold`."""
    squared = threshold * threshold
    return max(0.0, (dims - 1) * squared / (1.0 - squared) - 1.0)


def chosen_words(rows: Floats, codes: Codes, book: Floats, weight: float) -> Floats:
    """(n, d): the codewords of each row (zeros of a row of zeros) that make |e|^2 + weight <e, x / |x|>^2 small, e
    being x less its codewords. `codes` (n, parts) are where it begins: the nearest ones; `book` (parts, widest part,
    codewords)."""
    out = np.empty_like(rows)
    step = max(1, BLOCK_ENTRIES // max(1, book.shape[0] * book.shape[2]))
    for first in range(0, len(rows), step):
        block = slice(first, first + step)
        _choose(rows[block], codes[block].copy(), book, np.float32(weight), out[block])
    return out


def _choose(rows: Floats, codes: Codes, book: Floats, weight: np.float32, out: Floats) -> None:
    n, columns = len(rows), np.array_split(np.arange(rows.shape[1]), len(book))
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))[:, None]
    directions = (rows / np.where(norms > 0, norms, 1.0)).astype(np.float32)
    at = np.arange(n)
    squares = np.zeros((len(book), n, book.shape[2]), np.float32)
    along = np.zeros_like(squares)
    for s, part in enumerate(columns):
        for i, j in enumerate(part):
            gaps = rows[:, j, None] - book[s, i]
            squares[s] += gaps * gaps
            along[s] += gaps * directions[:, j, None]
    total = np.zeros(n, np.float32)
    for s in range(len(book)):
        total += along[s, at, codes[:, s]]
    for _ in range(SWEEPS):
        before = codes.copy()
        for s in range(len(book)):
            total -= along[s, at, codes[:, s]]
            tilt = total[:, None] + along[s]
            codes[:, s] = np.argmin(squares[s] + weight * (tilt * tilt), axis=1)
            total += along[s, at, codes[:, s]]
        if np.array_equal(before, codes):
            break
    for s, part in enumerate(columns):
        out[:, part] = np.where(norms > 0, book[s, : len(part)].T[codes[:, s]], 0)
