# SPDX-License-Identifier: Apache-2.0
"""Rows that estimators learn from."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays.host import host_rows
from ..arrays.views import view
from ..runtime.context import KERNEL_DTYPES, refuse_dtype

BLOCK_BYTES = 32 << 20  # of float32, read at once
EQUAL_NORMS = 1.02  # the ratio of the largest to the smallest: such rows rank by inner product as by angle


def training_sample(x: Any, most: int, seed: int = 0, name: str = "x") -> np.ndarray[Any, np.dtype[np.float32]]:
    """At most `most` rows of `x` as float32 on the host, chosen by `seed`, in ascending order; all where they are few."""
    seen = view(name, x)
    if len(seen.shape) != 2:
        raise ValueError(f"{name}: expected 2 dimensions (rows, columns), got shape {seen.shape}")
    refuse_dtype(name, seen, tuple(KERNEL_DTYPES))
    n = seen.shape[0]
    chosen = None
    if n > most:
        chosen = np.sort(np.random.Generator(np.random.Philox(seed)).permutation(n)[:most])
    rows = host_rows(x, seen, chosen)
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        at = int(np.argmax(bad))
        raise ValueError(
            f"{name}: expected finite numbers, got NaN or infinity in row {at if chosen is None else int(chosen[at])}"
        )
    return rows


def mean_of(rows: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(d,) of rows (n, d); zeros of none."""
    return rows.mean(axis=0, dtype=np.float64).astype(np.float32) if len(rows) else np.zeros(rows.shape[1], np.float32)


def offset_of(
    rows: np.ndarray[Any, np.dtype[np.float32]], mean: np.ndarray[Any, np.dtype[np.float32]]
) -> np.ndarray[Any, np.dtype[np.float32]] | None:
    """|mean| as an array (1,), where it is half the rows' distance from it or more, at magnitudes whose squares float32
    holds; else None. Then queries are split along the mean (csrc/store/lvq.h)."""
    wide = mean.astype(np.float64)
    length = float(np.sqrt((wide * wide).sum()))
    if not 2.0**-56 < length < 2.0**60:
        return None
    blocks = (rows[first : first + 4096] - mean for first in range(0, len(rows), 4096))
    spread = sum(float(np.square(part, dtype=np.float64).sum()) for part in blocks) / len(rows)
    return np.array([length], np.float32) if 4.0 * length * length >= spread else None


def norms_are_equal(rows: np.ndarray[Any, np.dtype[np.float32]]) -> bool:
    """Whether the rows (n, d) have about the same length, and there are some."""
    norms = np.linalg.norm(rows.astype(np.float64), axis=1)
    return bool(len(norms) and norms.min() > 0 and norms.max() <= EQUAL_NORMS * norms.min())
