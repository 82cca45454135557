# SPDX-License-Identifier: Apache-2.0
"""Definition of RaBitQ: codes, decoded rows and keys, bit for bit. The formulas are explained in csrc/store/rabitq.h."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GROUP = 64
F = np.float32


def sum16(terms):
    """Row sums of float64 terms (n, d): term j joins partial sum j % 16 in order, then the 16 are added in order."""
    n, d = terms.shape
    partial = np.zeros((n, 16))
    for at in range(0, d, 16):
        here = terms[:, at : at + 16]
        partial[:, : here.shape[1]] += here
    total = np.zeros(n)
    for lane in range(16):
        total += partial[:, lane]
    return total


def dot(a, b):
    return sum16(a.astype(np.float64) * b.astype(np.float64))


def power_of_two(largest):
    """About the size of each magnitude."""
    exponent = np.clip((largest.view(np.uint32) >> 23).astype(np.int64) - 127, -126, 126)
    return np.ldexp(F(1), exponent).astype(F)


def _hadamard(x):
    power = x.shape[1]
    half, log = power // 2, power.bit_length() - 1
    for _ in range(log):
        x = np.stack([x[:, :half] + x[:, half:], x[:, :half] - x[:, half:]], axis=2).reshape(-1, power)
    scale = np.ldexp(F(1), -(log // 2))
    return x * (scale * F(0.70710678) if log % 2 else scale)


def _butterfly(z):
    a, b = np.split(z, 2, axis=1)
    return np.concatenate([(a + b) * F(0.70710678), (a - b) * F(0.70710678)], axis=1)


def _segment(t, width):
    power = 1 << (width.bit_length() - 1)
    return slice(0, power) if t % 2 == 0 else slice(width - power, width)


def rotate(z, signs):
    """z (n, D) float32, signs (rounds, D)."""
    z, width = z.copy(), z.shape[1]
    for t, own in enumerate(signs):
        z *= own.astype(F)
        at = _segment(t, width)
        z[:, at] = _hadamard(z[:, at])
        if width & (width - 1):
            z = _butterfly(z)
    return z


def rotate_back(z, signs):
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
    mean: np.ndarray
    axis: np.ndarray
    signs: np.ndarray
    binary: bool = False
    own_terms: bool = True
    terms: np.ndarray | None = None

    @property
    def width(self):
        return -(-len(self.mean) // GROUP) * GROUP

    @property
    def middle(self):
        return F((2**self.bits - 1) / 2)

    def pad(self, x):
        return np.pad(x, ((0, 0), (0, self.width - x.shape[1])))

    # Rows

    def encode(self, x):
        """Codes (n, D) uint8 and terms (n, 4) float32: step, along, |p|^2, 1 / |x|."""
        r = x - self.mean
        along = dot(r, self.axis[None]).astype(F)
        p = r - along[:, None] * self.axis
        unit = power_of_two(np.abs(p).max(axis=1, initial=0).astype(F))
        y = p * (1 / unit)[:, None]
        z = rotate(self.pad(y), self.signs)
        m = self.magnitudes(np.abs(z))
        half = 2 ** (self.bits - 1)
        codes = np.where(z >= 0, half + m, half - 1 - m).astype(np.uint8)
        if self.binary:
            return codes, self.binary_terms(codes)
        cross = sum16((2.0 * m + 1) * np.abs(z).astype(np.float64)) * 0.5
        squared, wide = dot(y, y), unit.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            step = np.where(cross > 0, squared / cross * wide, 0)
            inverse = 1 / np.sqrt(dot(x, x))
        inverse[~(inverse < 3e38)] = 0
        return codes, np.stack([step, along, squared * (wide * wide), inverse], axis=1).astype(F)

    def magnitudes(self, z):
        """floor(t |z|) for the best of 16 values of t a row; z are magnitudes."""
        if self.bits == 1:
            return np.zeros(z.shape, np.int64)
        top, largest = 2 ** (self.bits - 1), z.max(axis=1, initial=0)
        with np.errstate(divide="ignore"):
            least = np.where(largest > 0, F(top) / largest, 0).astype(F)
        best, most = None, None
        for i in range(16):
            t = least * (F(1) + F(i) / F(16))
            m = np.minimum((t[:, None] * z).astype(np.int64), top - 1)
            w = 2 * m + 1
            inner = sum16(w.astype(np.float64) * z.astype(np.float64))
            gain = inner * inner / (w * w).sum(axis=1).astype(np.float64)
            if best is None:
                best, most = m, gain
            better = gain > most
            best, most = np.where(better[:, None], m, best), np.where(better, gain, most)
        return best

    def binary_terms(self, codes):
        terms = np.repeat(self.terms, len(codes), axis=0)
        if self.own_terms:
            decoded = self.decode(codes, terms)
            with np.errstate(divide="ignore"):
                inverse = 1 / np.sqrt(dot(decoded, decoded))
            terms[:, 3] = np.where(inverse < 3e38, inverse, 0)
            r = decoded - self.mean
            terms[:, 2] = dot(r, r)
        return terms

    def decode(self, codes, terms):
        y = rotate_back(codes.astype(F) - self.middle, self.signs)[:, : len(self.mean)]
        y = terms[:, :1] * y
        rest = terms[:, 1] - dot(y, self.axis[None]).astype(F)
        return self.mean + (y + rest[:, None] * self.axis)

    # Keys

    def query(self, queries, metric):
        """Whole numbers (m, D) and float32 terms (m, 4): scale, along, shift, and what halves. Queries under `cosine` are
        of length 1 already."""
        w = queries if metric in ("inner_product", "cosine") else queries - self.mean
        along = dot(w, self.axis[None]).astype(F)
        p = w - along[:, None] * self.axis
        shift = dot(w, self.mean[None]) if metric in ("inner_product", "cosine") else dot(p, p)
        unit = power_of_two(np.abs(p).max(axis=1, initial=0).astype(F))
        z = rotate(self.pad(p * (1 / unit)[:, None]), self.signs)
        top = F({1: 15, 7: 127 * 128, 8: 127 * 128}.get(self.bits, 127))
        most = np.abs(z).max(axis=1, initial=0).astype(F)
        with np.errstate(divide="ignore"):
            steps = np.where(most > 0, top / most, 0).astype(F)
        a = np.clip(np.rint(z * steps[:, None]), -top, top).astype(np.int64)
        return a, np.stack([most / top * unit, along, shift.astype(F)], axis=1)

    def dots(self, a, codes):
        """<a, v> (m, n) as float32."""
        if self.bits < 7:
            return (a @ (2 * codes.astype(np.int64) - (2**self.bits - 1)).T / 2).astype(F)
        high = (a + 64) >> 7
        parts, halves = [], F(0)
        for part, unit in ((high, 64), (a - 128 * high, 0.5)):
            twice = part.sum(axis=1, keepdims=True) * (2**self.bits - 1)
            parts.append((part @ codes.astype(np.int64).T - ((twice + 1) >> 1)).astype(F))
            halves = halves + ((twice & 1) * unit).astype(F)
        return (parts[0] * F(128) + parts[1]) + halves

    def keys(self, queries, codes, terms, metric):
        """(m, n) float32, smaller is nearer; squared ones for `euclidean`."""
        a, own = self.query(queries, metric)
        scale, along, shift = (own[:, i : i + 1] for i in range(3))
        step, row_along, squared, inverse = terms.T
        product = step * (scale * self.dots(a, codes))
        if metric in ("inner_product", "cosine"):
            whole = (shift + along * row_along) + product
            return F(0) - whole if metric == "inner_product" else F(1) - whole * inverse
        gap = along - row_along
        return np.maximum(F(0), ((shift + squared) + gap * gap) - F(2) * product)
