# SPDX-License-Identifier: Apache-2.0
"""Definition of RaBitQ: codes, decoded rows and keys, bit for bit. The formulas are explained in csrc/store/rabitq.h."""

# NumPy's stubs call many results Any.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .lvq import along_mean, sum16, wide_inverse_norms
from .metrics import LARGEST_INVERSE_NORM, LARGEST_NORM

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Codes = NDArray[np.uint8]
GROUP = 64
F = np.float32
HALF_ROOT = F(0.70710678)
DOTS = ("inner_product", "cosine")


def dot(a: Floats, b: Floats) -> Doubles:
    return sum16(a.astype(np.float64) * b.astype(np.float64))


def inverse_norm(squares: Doubles) -> Floats:
    with np.errstate(divide="ignore"):
        inverse = 1 / np.sqrt(squares)
    return np.where((inverse < LARGEST_INVERSE_NORM) & (squares < LARGEST_NORM**2), inverse, 0).astype(F)


def power_of_two(largest: Floats) -> Floats:
    """About the size of each magnitude."""
    exponent = np.clip((largest.view(np.uint32) >> 23).astype(np.int64) - 127, -126, 126)
    return np.ldexp(F(1), exponent).astype(F)


def _hadamard(x: Floats) -> Floats:
    power = x.shape[1]
    half, log = power // 2, power.bit_length() - 1
    for _ in range(log):
        x = np.stack([x[:, :half] + x[:, half:], x[:, :half] - x[:, half:]], axis=2).reshape(-1, power)
    scale = np.ldexp(F(1), -(log // 2))
    return x * (scale * HALF_ROOT if log % 2 else scale)


def _butterfly(z: Floats) -> Floats:
    a, b = np.split(z, 2, axis=1)
    return np.concatenate([(a + b) * HALF_ROOT, (a - b) * HALF_ROOT], axis=1)


def _segment(t: int, width: int) -> slice:
    power = 1 << (width.bit_length() - 1)
    return slice(0, power) if t % 2 == 0 else slice(width - power, width)


def rotate(z: Floats, signs: NDArray[np.int8]) -> Floats:
    """z (n, D) float32, signs (rounds, D)."""
    z, width = z.copy(), z.shape[1]
    for t, row_signs in enumerate(signs):
        z *= row_signs.astype(F)
        at = _segment(t, width)
        z[:, at] = _hadamard(z[:, at])
        if width & (width - 1):
            z = _butterfly(z)
    return z


def rotate_back(z: Floats, signs: NDArray[np.int8]) -> Floats:
    z, width = z.copy(), z.shape[1]
    for t in range(len(signs) - 1, -1, -1):
        if width & (width - 1):
            z = _butterfly(z)
        at = _segment(t, width)
        z[:, at] = _hadamard(z[:, at])
        z *= signs[t].astype(F)
    return z


@dataclass
class Rabitq:
    """A fitted store: `bits`, mean (d,), axis (d,), signs (rounds, D); for `bin` also the terms that all rows share."""

    bits: int
    mean: Floats
    axis: Floats
    signs: NDArray[np.int8]
    binary: bool = False
    own_terms: bool = True
    terms: Floats | None = None
    offset: Floats | None = None  # (1,): |mean|, where rows lie far from zero

    @property
    def width(self) -> int:
        return -(-len(self.mean) // GROUP) * GROUP

    @property
    def middle(self) -> Any:
        return F((2**self.bits - 1) / 2)

    def pad(self, x: Floats, filling: float = 0) -> Floats:
        return np.pad(x, ((0, 0), (0, self.width - x.shape[1])), constant_values=filling)

    # Rows

    def encode(self, x: Floats) -> tuple[Codes, Floats]:
        """Codes (n, D) uint8 and terms (n, 4) float32: step, along, |p|^2, 1 / |x|."""
        r = x - self.mean
        along = dot(r, self.axis[None]).astype(F)
        p = r - along[:, None] * self.axis
        unit = power_of_two(np.abs(p).max(axis=1, initial=0).astype(F))
        y = (p * (F(1) / unit)[:, None]).astype(F)
        # Rows that are their signs end in zero bits, as those of numpy.packbits do.
        z = rotate(self.pad(y, -1 if self.binary and not len(self.signs) else 0), self.signs)
        m = self.magnitudes(np.abs(z))
        half = 2 ** (self.bits - 1)
        codes = np.where(z >= 0, half + m, half - 1 - m).astype(np.uint8)
        if self.binary:
            return codes, self.binary_terms(codes, x)
        cross = sum16((2 * m + 1).astype(np.float64) * np.abs(z).astype(np.float64)) * 0.5
        squared, wide = dot(y, y), unit.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            step = np.where(cross > 0, squared / cross * wide, 0)
            lost = dot(x, x) <= 2.0**-36 * dot(self.mean[None], self.mean[None])
            inverse = np.where(lost, 0, inverse_norm(dot(x, x)))
            return codes, np.stack([step, along, squared * (wide * wide), inverse], axis=1).astype(F)

    def magnitudes(self, z: Floats) -> NDArray[np.int64]:
        """floor(t |z|) for the best of 16 values of t a row; z are magnitudes."""
        if self.bits == 1:
            return np.zeros(z.shape, np.int64)
        top, largest = 2 ** (self.bits - 1), z.max(axis=1, initial=0)
        with np.errstate(divide="ignore"):
            least = np.where(largest > 0, F(top) / largest, 0).astype(F)
        best, most = np.zeros(z.shape, np.int64), np.full(len(z), -1.0)
        for i in range(16):
            t = least * (F(1) + F(i) / F(16))
            m = np.minimum((t[:, None] * z).astype(np.int64), top - 1)
            w = 2 * m + 1
            inner = sum16(w.astype(np.float64) * z.astype(np.float64))
            gain = inner * inner / np.maximum((w * w).sum(axis=1), 1).astype(np.float64)
            better = gain > most
            best, most = np.where(better[:, None], m, best), np.where(better, gain, most)
        return best

    def binary_terms(self, codes: Codes, x: Floats) -> Floats:
        assert self.terms is not None
        terms = np.repeat(self.terms, len(codes), axis=0)
        if self.own_terms:
            decoded = self.decode(codes, terms)
            terms[:, 3] = np.where((x == 0).all(axis=1), 0, inverse_norm(dot(decoded, decoded)))
            r = decoded - self.mean
            terms[:, 2] = dot(r, r)
        return terms

    def decode(self, codes: Codes, terms: Floats) -> Floats:
        y = rotate_back(codes.astype(F) - self.middle, self.signs)[:, : len(self.mean)]
        y = terms[:, :1] * y
        rest = terms[:, 1] - dot(y, self.axis[None]).astype(F)
        return self.mean + (y + rest[:, None] * self.axis)

    # Keys

    def splits(self, metric: str) -> bool:
        """Whether what a query has along the mean is taken out before it is rounded."""
        return self.offset is not None and (metric == "cosine" or (metric == "inner_product" and self.binary))

    def tilts(self, terms: Floats, metric: str) -> Floats:
        """Its factor in each row: 1 - cos(mean, row) under cosine, <mean, row - mean> / |mean| under inner_product."""
        if not self.splits(metric):
            return np.zeros(len(terms), F)
        assert self.offset is not None
        if self.binary:
            return along_mean(terms[:, 2:], self.offset[0], metric)
        along, squared, inverse = terms.T[1:].astype(np.float64)
        cosine = (float(self.offset[0]) + along) * inverse
        small = squared * inverse * inverse / (1.0 + np.maximum(cosine, 0.0))
        return np.where(cosine > 0, small, 1.0 - cosine).astype(F)

    def query(self, queries: Floats, metric: str) -> tuple[NDArray[np.int64], Floats]:
        """Whole numbers (m, D), and float32 terms (m, 5): scale, along, shift, start, share."""
        start, share = np.ones(len(queries), F), np.zeros(len(queries), F)
        if self.splits(metric):
            assert self.offset is not None
            length, wide = float(self.offset[0]), self.mean.astype(np.float64)
            scale = wide_inverse_norms(dot(queries, queries)) if metric == "cosine" else np.ones(len(queries))
            product = dot(queries, self.mean[None])
            part = product * scale / length
            w = (queries.astype(np.float64) * scale[:, None] - (part / length)[:, None] * wide).astype(F)
            start, share = (1.0 - part).astype(F), part.astype(F)
        else:
            if metric == "cosine":
                queries = queries * inverse_norm(dot(queries, queries))[:, None]
            w = queries if metric in DOTS else queries - self.mean
            product = dot(w, self.mean[None])
        if metric == "cosine":
            product = dot(w, self.mean[None])
        along = dot(w, self.axis[None]).astype(F)
        p = w - along[:, None] * self.axis
        shift = product if metric in DOTS else dot(p, p)
        unit = power_of_two(np.abs(p).max(axis=1, initial=0).astype(F))
        z = rotate(self.pad((p * (F(1) / unit)[:, None]).astype(F)), self.signs)
        top = F({1: 31, 7: 127 * 128, 8: 127 * 128}.get(self.bits, 127))
        most = np.abs(z).max(axis=1, initial=0).astype(F)
        with np.errstate(divide="ignore"):
            steps = np.where(most > 0, top / most, 0).astype(F)
        a = np.clip(np.rint(z * steps[:, None]), -top, top).astype(np.int64)
        return a, np.stack([most / top * unit, along, shift.astype(F), start, share], axis=1)

    def dots(self, a: NDArray[np.int64], codes: Codes) -> Floats:
        """<a, v> (m, n) as float32."""
        if self.bits < 7:
            return (a @ (2 * codes.astype(np.int64) - (2**self.bits - 1)).T / 2).astype(F)
        high = (a + 64) >> 7
        parts, halves = [], np.zeros((len(a), 1), F)
        for part, unit in ((high, 64), (a - 128 * high, 0.5)):
            twice = part.sum(axis=1, keepdims=True) * (2**self.bits - 1)
            parts.append((part @ codes.astype(np.int64).T - ((twice + 1) >> 1)).astype(F))
            halves = halves + ((twice & 1) * unit).astype(F)
        return (parts[0] * F(128) + parts[1]) + halves

    def keys(self, queries: Floats, codes: Codes, terms: Floats, metric: str) -> Floats:
        """(m, n) float32, smaller is nearer."""
        a, query_terms = self.query(queries, metric)
        scale, along, shift, start, share = (query_terms[:, i : i + 1] for i in range(5))
        step, row_along, squared, inverse = terms.T
        product = step * (scale * self.dots(a, codes))
        tilt = self.tilts(terms, metric)
        if metric == "inner_product":
            return F(0) - (((shift + share * tilt) + along * row_along) + product)
        if metric == "cosine":
            total = (shift + along * row_along) + product
            return np.clip((start + share * tilt) - total * inverse, F(0), F(2))
        gap = along - row_along
        keys = np.maximum(F(0), ((shift + squared) + gap * gap) - F(2) * product)
        return np.sqrt(keys) if metric == "euclidean" else keys
