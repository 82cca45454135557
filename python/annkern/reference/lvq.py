# SPDX-License-Identifier: Apache-2.0
"""LVQ and the scalar quantizers, float32 operation by float32 operation: kernels give these very bits.

Each row is scaled by itself. With x' = (x - mean) 2^-e,

    low = min x' rounded down to float16          step = (max x' - low) / (2^bits - 1) rounded up to float16
    code = rint((x' - low) / step), clamped       x ~ mean + 2^e (low + step code)

The residual level codes what is left over in steps of step / 2^residual_bits. sq8 and sq4 give all rows one (step, low).
A row none of whose numbers exceeds half a step has an inverse norm of zero: its direction was made up by rounding.
With several centroids, a mean of shape (centroids, d), each row is taken from the nearest.
"""

# NumPy's stubs call many results Any.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metrics import LARGEST_INVERSE_NORM, LARGEST_NORM

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
LEVELS = 127  # of a query's elements, on either side of zero


def sum16(terms: NDArray[Any]) -> NDArray[Any]:
    """Sums over the last axis in the contract's order: term j joins partial sum j % 16; the 16 are added one by one."""
    (*rows, d), dtype = terms.shape, terms.dtype
    padded = np.concatenate([terms, np.zeros((*rows, -d % 16), dtype)], axis=-1).reshape(*rows, -1, 16)
    partial = np.zeros((*rows, 16), dtype)
    for group in range(padded.shape[-2]):
        partial = partial + padded[..., group, :]
    total = np.zeros(rows, dtype)
    for i in range(16):
        total = total + partial[..., i]
    return total


def turbo_place(d: int, bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(byte, shift) of each dimension in a row of codes: blocks of 64 bytes, 16 lanes of 32 bits."""
    j = np.arange(d)
    in_block = j % (512 // bits)
    bit = in_block // 16 * bits
    return j // (512 // bits) * 64 + in_block % 16 * 4 + bit // 8, bit % 8


def pack(codes: NDArray[np.int64], bits: int) -> Bytes:
    """(n, d) codes as rows of whole turbo blocks."""
    n, d = codes.shape
    byte, shift = turbo_place(d, bits)
    packed = np.zeros((n, -(-d * bits // 512) * 64), np.uint8)
    for j in range(d):
        packed[:, byte[j]] |= (codes[:, j] << shift[j]).astype(np.uint8)
    return packed


def unpack(packed: Bytes, d: int, bits: int) -> NDArray[np.int64]:
    byte, shift = turbo_place(d, bits)
    return packed[:, byte].astype(np.int64) >> shift & (1 << bits) - 1


def narrow(x: Floats, up: bool) -> NDArray[np.float16]:
    """The nearest float16 that is not below (above) x."""
    near = x.astype(np.float16)
    wrong = near.astype(np.float32) < x if up else near.astype(np.float32) > x
    return np.where(wrong, np.nextafter(near, np.float16(np.inf if up else -np.inf)), near).astype(np.float16)


def nearest_centroids(x: Floats, centroids: Floats, unit: np.float32) -> Bytes:
    """The number of each row's centroid; ties to the smaller. Sums in float32, in the order of sum16."""
    distances = np.stack([sum16(((x - centroid) * (np.float32(1) / unit)) ** 2) for centroid in centroids])
    return np.argmin(distances, axis=0).astype(np.uint8)


def encode(
    x: Floats,
    mean: Floats,
    bits: int,
    residual_bits: int = 0,
    exponent: int = 0,
    scale: NDArray[np.float16] | None = None,
    offset: Floats | None = None,
) -> dict[str, NDArray[Any]]:
    """The arrays of a store: codes, scales, norms, mean; with residual_bits residual, with several centroids selectors."""
    x, unit = np.asarray(x, np.float32), np.float32(2.0**exponent)
    n, d = x.shape
    arrays: dict[str, NDArray[Any]] = {"mean": mean, **({} if offset is None else {"offset": offset})}
    if mean.ndim == 2:
        arrays["selectors"] = nearest_centroids(x, mean, unit)
        mean = mean[arrays["selectors"]]
    scaled = (x - mean) * (np.float32(1) / unit)
    if scale is None:
        low = narrow(scaled.min(axis=1), up=False)
        step = narrow((scaled.max(axis=1) - low.astype(np.float32)) / np.float32(2**bits - 1), up=True)
        scales = np.stack([step, low], axis=1)
    else:
        scales = scale
    step, low = scales.astype(np.float32).T[:, :, None]
    safe = np.where(step > 0, step, np.float32(1))
    codes = np.where(step > 0, np.clip(np.rint((scaled - low) / safe), 0, 2**bits - 1), 0).astype(np.int64)
    value = low + step * codes.astype(np.float32)
    arrays |= {"codes": pack(codes, bits), "scales": scales}

    step64, low64 = step[:, 0].astype(np.float64), low[:, 0].astype(np.float64)
    squared = d * (low64 * low64) + 2.0 * low64 * step64 * codes.sum(axis=1) + step64 * step64 * (codes**2).sum(axis=1)
    decoded = (mean + unit * value).astype(np.float64)
    most = np.abs(x).max(axis=1, initial=0.0)
    decoded_as_zero = np.float32(-0.0 if residual_bits or "selectors" in arrays else 0.0)
    made_up = np.where(most == 0, decoded_as_zero, np.float32(0))
    inverse = np.where(most > np.float32(0.5) * (unit * step[:, 0]), inverse_norms(sum16(decoded * decoded)), made_up)
    with np.errstate(over="ignore"):
        squared = (squared * (float(unit) * float(unit))).astype(np.float32)
    arrays["norms"] = np.stack([np.broadcast_to(squared, n), inverse], axis=1)
    if residual_bits:
        half = 2 ** (residual_bits - 1)
        fine = safe / np.float32(2**residual_bits)
        residual = np.where(step > 0, np.clip(np.rint((scaled - value) / fine), -half, half - 1), 0).astype(np.int64)
        arrays["residual"] = pack(residual + half, residual_bits)
    return arrays


def decode(arrays: dict[str, NDArray[Any]], bits: int, residual_bits: int = 0, exponent: int = 0) -> Floats:
    """(n, d) float32."""
    mean, d = arrays["mean"], arrays["mean"].shape[-1]
    if mean.ndim == 2:
        mean = mean[arrays["selectors"]]
    step, low = arrays["scales"].astype(np.float32).T[:, :, None]
    value = low + step * unpack(arrays["codes"], d, bits).astype(np.float32)
    if residual_bits:
        residual = unpack(arrays["residual"], d, residual_bits) - 2 ** (residual_bits - 1)
        value = value + step / np.float32(2**residual_bits) * residual.astype(np.float32)
    inverse = arrays["norms"][:, 1:]
    return np.asarray(
        np.where((inverse == 0) & np.signbit(inverse), 0, mean + np.float32(2.0**exponent) * value), np.float32
    )


def along_mean(norms: Floats, offset: np.float32, metric: str) -> Floats:
    """What each row has along the mean, of length `offset`: <mean, x'> / offset under inner_product, 1 - cos(mean, x) under
    cosine, from |x'|^2 and 1 / |x|."""
    squared, inverse = norms.T.astype(np.float64)
    length = float(offset)
    norm = np.where(inverse > 0, 1.0 / np.where(inverse > 0, inverse, 1.0), 0.0)
    along = 0.5 * ((norm - length) * (norm + length) - squared) / length
    if metric != "cosine":
        return along.astype(np.float32)
    cosine, across = (length + along) * inverse, np.maximum(squared - along * along, 0.0)
    small = across * inverse * inverse / (1.0 + np.maximum(cosine, 0.0))
    return np.where(cosine > 0, small, 1.0 - cosine).astype(np.float32)


def pairwise(
    queries: Floats, arrays: dict[str, NDArray[Any]], bits: int, exponent: int = 0, metric: str = "sqeuclidean"
) -> Floats:
    """(m, n) distances of the primary level under sqeuclidean, euclidean, inner_product or cosine, bit for bit.

    The query (less the mean under L2, over its norm under cosine) is rounded to 255 levels, so that its product with the
    codes is a sum of integers, and so is what the rows' lower ends are multiplied by. With an offset, the length of the
    mean, cosine and inner_product round what is left of the query across the mean; what lies along it is multiplied by the
    row's part along the mean, unrounded.
    """
    mean, unit = arrays["mean"], np.float32(2.0**exponent)
    v = np.asarray(queries, np.float32)
    along, start = np.zeros((len(v), 1), np.float32), np.ones((len(v), 1), np.float32)
    row_along = np.zeros((1, 1), np.float32)
    wide = v.astype(np.float64)
    inverses = wide_inverse_norms(sum16(wide**2))[:, None]
    split = "offset" in arrays and metric in ("cosine", "inner_product")
    if split:
        (offset,), row_along = arrays["offset"], along_mean(arrays["norms"], arrays["offset"][0], metric)[None]
        scale = inverses if metric == "cosine" else np.float64(1)
        whole_shift = sum16(wide * mean.astype(np.float64))[:, None] * scale
        part = whole_shift / float(offset)
        v = (wide * scale - part / float(offset) * mean.astype(np.float64)).astype(np.float32)
        along, start = part.astype(np.float32), (1.0 - part).astype(np.float32)
    elif metric == "cosine":
        v = v * inverses.astype(np.float32)
    if metric in ("sqeuclidean", "euclidean"):
        v = v - mean
        shift = sum16(v.astype(np.float64) ** 2).astype(np.float32)
    else:
        shift = sum16(v.astype(np.float64) * mean.astype(np.float64)).astype(np.float32)
    if split and metric == "inner_product":
        shift = whole_shift[:, 0].astype(np.float32)
    most = np.abs(v).max(axis=1, initial=0.0)
    steps = np.where(most > 0, np.float32(LEVELS) / np.where(most > 0, most, np.float32(1)), np.float32(0))
    rounded = np.clip(np.rint(v * steps[:, None]), -LEVELS, LEVELS).astype(np.int64)
    scale = most / np.float32(LEVELS)
    total = scale * rounded.sum(axis=1).astype(np.float32)

    step, low = (arrays["scales"].astype(np.float32) * unit).T[:, None, :]
    squared, inverse = arrays["norms"].T[:, None, :]
    dot = (rounded @ unpack(arrays["codes"], len(mean), bits).T).astype(np.float32)
    product = low * total[:, None] + step * (scale[:, None] * dot)
    if metric == "inner_product":
        return (shift[:, None] + along * row_along) + product + np.float32(0)  # -0 is reported as 0
    if metric == "cosine":
        return np.clip((start + along * row_along) - (shift[:, None] + product) * inverse, np.float32(0), np.float32(2))
    distance = np.maximum((shift[:, None] + squared) - np.float32(2) * product, np.float32(0))
    return np.sqrt(distance) if metric == "euclidean" else distance


def wide_inverse_norms(squares: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / norm from sums of squares; 0 where float32 could not hold it."""
    inverse = 1.0 / np.sqrt(np.where((squares > 0.0) & (squares < LARGEST_NORM**2), squares, np.inf))
    return np.where(inverse < LARGEST_INVERSE_NORM, inverse, 0.0)


def inverse_norms(squares: NDArray[np.float64]) -> Floats:
    return wide_inverse_norms(squares).astype(np.float32)
