# SPDX-License-Identifier: Apache-2.0
"""The metrics: what each distance is, in float64, and how far from it a float32 kernel may lie.

A metric is one row of `METRICS`. The C++ list is csrc/core/kinds.h; a test compares the two.

Bounds hold for d roundings (fused or not) over terms t_j, in one chain or in several: at most
``(d + 8) * 2**-24 * sum |t_j|``, where the 8 pays for the roundings inside a term and at the end, plus what each
term loses where float32 is subnormal.
"""
# NumPy's stubs call every reduction Any.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float64]
ROUNDING = 2.0**-24  # half the gap between 1 and the next float32
SUBNORMAL = 2.0**-149  # the smallest float32: what a product may lose outright
LARGEST = float(np.finfo(np.float32).max)
LARGEST_INVERSE_NORM = 3e38  # a vector whose 1 / norm is above counts as zero: float32 cannot hold it
LARGEST_NORM = 2.0**126  # so does one as long: float32 may not hold its products


@dataclass(frozen=True)
class Metric:
    """One distance between a query `q` (d,) and rows `x` (n, d), both float64; packed bits arrive as zeros and ones."""

    name: str
    distance: Callable[[Vectors, Vectors], Vectors]  # (q, x) -> (n,), as reported
    bound: Callable[[Vectors, Vectors], Vectors]  # (q, x) -> (n,), the error allowed to float32 kernels
    aliases: tuple[str, ...] = ()
    bits: bool = False  # takes packed bits, and nothing else
    integer: bool = False  # reported as int32, not float32
    similarity: bool = False  # larger is nearer

    def key(self, distances: Any) -> Any:
        """What is sorted: smaller is nearer."""
        return -distances if self.similarity else distances

    @property
    def missing(self) -> float | int:
        """The distance reported beside index -1."""
        if self.integer:
            return int(np.iinfo(np.int32).max)
        return -np.inf if self.similarity else np.inf


def chain_bound(terms: Vectors) -> Vectors:
    """Error of a float32 sum over the last axis of `terms`; without limit where a partial sum may overflow."""
    d, total = terms.shape[-1], np.abs(terms).sum(axis=-1)
    return np.where(total < LARGEST, (d + 8) * (ROUNDING * total + SUBNORMAL), np.inf)


def sqeuclidean(q: Vectors, x: Vectors) -> Vectors:
    return ((q - x) ** 2).sum(axis=-1)


def sqeuclidean_bound(q: Vectors, x: Vectors) -> Vectors:
    return chain_bound((q - x) ** 2)


def euclidean(q: Vectors, x: Vectors) -> Vectors:
    return np.sqrt(sqeuclidean(q, x))


def euclidean_bound(q: Vectors, x: Vectors) -> Vectors:
    # |sqrt(s + e) - sqrt(s)| <= e / sqrt(s), and <= sqrt(e) where s is near zero.
    distance, error = euclidean(q, x), sqeuclidean_bound(q, x)
    return np.minimum(np.sqrt(error), error / np.maximum(distance, 1e-300)) + 2 * ROUNDING * distance


def inner_product(q: Vectors, x: Vectors) -> Vectors:
    return (q * x).sum(axis=-1)


def inner_product_bound(q: Vectors, x: Vectors) -> Vectors:
    return chain_bound(q * x)


def inverse_norm(x: Vectors) -> Vectors:
    """1 / |x|; 0 for a zero vector, and for one so short or so long that float32 cannot hold its inverse or its products."""
    norm = np.sqrt((x * x).sum(axis=-1))
    inverse = 1.0 / np.where(norm == 0.0, np.inf, norm)
    return np.where((inverse < LARGEST_INVERSE_NORM) & (norm < LARGEST_NORM), inverse, 0.0)


def cosine(q: Vectors, x: Vectors) -> Vectors:
    return np.clip(1.0 - inner_product(q * inverse_norm(q), x) * inverse_norm(x), 0.0, 2.0)


def cosine_bound(q: Vectors, x: Vectors) -> Vectors:
    # Twice the chain's error: once for the product, and half of one for each norm.
    return 2 * chain_bound(q * inverse_norm(q) * x) * inverse_norm(x) + 4 * ROUNDING


def cityblock(q: Vectors, x: Vectors) -> Vectors:
    return np.abs(q - x).sum(axis=-1)


def cityblock_bound(q: Vectors, x: Vectors) -> Vectors:
    return chain_bound(q - x)


def chebyshev(q: Vectors, x: Vectors) -> Vectors:
    return np.abs(q - x).max(axis=-1, initial=0.0)


def chebyshev_bound(q: Vectors, x: Vectors) -> Vectors:
    return ROUNDING * chebyshev(q, x) + SUBNORMAL


def hamming(q: Vectors, x: Vectors) -> Vectors:
    return np.abs(q - x).sum(axis=-1)


def hamming_bound(q: Vectors, x: Vectors) -> Vectors:
    return np.zeros(len(x))


def jaccard(q: Vectors, x: Vectors) -> Vectors:
    either = np.maximum(q, x).sum(axis=-1)
    return np.where(either == 0.0, 0.0, 1.0 - np.minimum(q, x).sum(axis=-1) / np.maximum(either, 1.0))


def jaccard_bound(q: Vectors, x: Vectors) -> Vectors:
    return np.full(len(x), 2 * ROUNDING)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("sqeuclidean", sqeuclidean, sqeuclidean_bound, aliases=("l2",)),
        Metric("euclidean", euclidean, euclidean_bound),
        Metric("inner_product", inner_product, inner_product_bound, aliases=("ip", "dot"), similarity=True),
        Metric("cosine", cosine, cosine_bound, aliases=("cos", "angular")),
        Metric("cityblock", cityblock, cityblock_bound, aliases=("l1", "manhattan")),
        Metric("chebyshev", chebyshev, chebyshev_bound, aliases=("linf",)),
        Metric("hamming", hamming, hamming_bound, bits=True, integer=True),
        Metric("jaccard", jaccard, jaccard_bound, bits=True),
    )
}
ALIASES = {alias: metric.name for metric in METRICS.values() for alias in metric.aliases}


def find(name: str) -> Metric:
    """The metric of that name or alias."""
    return METRICS[ALIASES.get(name, name)]


def vectors(x: NDArray[np.generic], metric: Metric) -> Vectors:
    """Rows as float64: exact for every element type; bits are unpacked, bit j % 8 of byte j // 8 being dimension j."""
    if metric.bits:
        return np.unpackbits(np.ascontiguousarray(x), axis=1, bitorder="little").astype(np.float64)
    return np.asarray(x).astype(np.float64)
