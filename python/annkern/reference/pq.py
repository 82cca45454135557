# SPDX-License-Identifier: Apache-2.0
"""Product quantization, float32 operation by float32 operation: kernels give these very bits, given the codebook.

The dimensions are cut into parts as `numpy.array_split` cuts them; codebook[s, j, c] is dimension j of codeword c of part s.
A row of few bytes stands for its nearest codewords. With a rotation (OPQ), rows and queries are multiplied by it first.
"""

# NumPy's stubs call many results Any.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .lvq import inverse_norms, sum16, wide_inverse_norms

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Doubles = NDArray[np.float64]
MOST = np.float32(2.0**126)  # tables are kept within, so that their spans are finite
LEVELS = np.float32(127)  # of a rounded table: two entries add up in a byte


def chain(terms: list[Floats]) -> Floats:
    """The sum of float32 terms in their order."""
    total = np.zeros_like(terms[0])
    for term in terms:
        total = total + term
    return total


def rotate(x: Floats, rotation: Floats | None) -> Floats:
    """x @ rotation, each number a chain over ascending dimensions."""
    if rotation is None:
        return x
    return chain([x[:, j : j + 1] * rotation[j] for j in range(x.shape[1])])


def parts_of(d: int, codebook: Floats) -> list[NDArray[np.int64]]:
    return np.array_split(np.arange(d), len(codebook))


def encode(x: Floats, codebook: Floats, rotation: Floats | None = None, exponent: int = 0) -> Bytes:
    """(n, m) codes: in each part the codeword of smallest squared distance, ties to the smaller."""
    unit = np.float32(2.0**-exponent)
    y, book = rotate(x, rotation) * unit, codebook * unit
    codes = np.zeros((len(x), len(codebook)), np.uint8)
    with np.errstate(over="ignore"):
        for s, columns in enumerate(parts_of(x.shape[1], codebook)):
            gaps = [y[:, j, None] - book[s, i] for i, j in enumerate(columns)]
            codes[:, s] = np.argmin(chain([gap * gap for gap in gaps]), axis=1)
    return codes


def encode_anisotropic(x: Floats, codebook: Floats, threshold: float, sweeps: int = 3) -> Bytes:
    """(n, m) codes that make |e|^2 + (eta - 1) <e, x / |x|>^2 small, e being a row less its codewords: from the nearest ones
    on, part after part takes the codeword of smallest loss, the others staying."""
    codes, parts = encode(x, codebook), parts_of(x.shape[1], codebook)
    eta = max(1.0, (x.shape[1] - 1) * threshold**2 / (1 - threshold**2))
    for row, own in zip(x.astype(np.float64), codes, strict=True):
        direction = row / (np.linalg.norm(row) or 1.0)
        for s in [*range(len(codebook))] * sweeps:
            errors = np.repeat((row - decode(own[None], codebook, len(row))[0])[None], codebook.shape[2], axis=0)
            errors[:, parts[s]] = row[parts[s]] - codebook[s, : len(parts[s])].T
            own[s] = np.argmin((errors**2).sum(axis=1) + (eta - 1) * (errors @ direction) ** 2)
    return codes


def decode(codes: Bytes, codebook: Floats, d: int, rotation: Floats | None = None) -> Floats:
    """(n, d) float32."""
    y = np.empty((len(codes), d), np.float32)
    for s, columns in enumerate(parts_of(d, codebook)):
        y[:, columns] = codebook[s, : len(columns), codes[:, s]]
    return y if rotation is None else rotate(y, np.ascontiguousarray(rotation.T))


def pack(codes: Bytes) -> Bytes:
    """4-bit codes (n, m) in blocks of 32 rows, (blocks, m up to 4, 16): rows 0-15 in low halves, 16-31 in high ones."""
    n, m = codes.shape
    padded = np.zeros((-(-n // 32) * 32, -(-m // 4) * 4), np.uint8)
    padded[:n, :m] = codes
    halves = padded.reshape(-1, 2, 16, padded.shape[1]).transpose(1, 0, 3, 2)
    return halves[0] | halves[1] << 4


def unpack(packed: Bytes, n: int, m: int) -> Bytes:
    halves = np.stack([packed & 15, packed >> 4], axis=1)  # (blocks, 2, parts, 16)
    return np.ascontiguousarray(halves.transpose(0, 1, 3, 2).reshape(-1, packed.shape[1])[:n, :m])


def split(queries: Floats, metric: str, rotation: Floats | None, mean: Floats | None) -> tuple[Floats, Doubles]:
    """The rotated query (over its norm, under cosine), less what it has along the mean where there is one; and that."""
    q = np.asarray(queries, np.float32)
    scale = wide_inverse_norms(sum16(q.astype(np.float64) ** 2))[:, None] if metric == "cosine" else np.ones((len(q), 1))
    if mean is None:
        return rotate(q * scale.astype(np.float32) if metric == "cosine" else q, rotation), np.zeros((len(q), 1))
    wide, y = mean.astype(np.float64), rotate(q, rotation).astype(np.float64)
    length = float(np.float32(np.sqrt(sum16(wide * wide))))
    along = sum16(y * wide)[:, None] * scale / length
    return (y * scale - along / length * wide).astype(np.float32), along


def tables(
    queries: Floats, codebook: Floats, metric: str, rotation: Floats | None = None, mean: Floats | None = None
) -> Floats:
    """(queries, m, codewords): what each codeword adds to the key."""
    q, _ = split(queries, metric, rotation, mean)
    table = np.empty((len(q), len(codebook), codebook.shape[2]), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for s, columns in enumerate(parts_of(q.shape[1], codebook)):
            pairs = [(q[:, j, None], codebook[s, i]) for i, j in enumerate(columns)]
            if metric in ("inner_product", "cosine"):
                table[:, s] = chain([-(value * word) for value, word in pairs])
            else:
                table[:, s] = chain([(value - word) * (value - word) for value, word in pairs])
    return table


def rounded(table: Floats) -> tuple[Bytes, Floats, Floats]:
    """4-bit tables as numbers of 7 bits: (bytes, step, bias); a key is bias + step * (the sum of bytes)."""
    table = np.where(table < MOST, np.maximum(table, -MOST), MOST)
    low = table.min(axis=2, keepdims=True)
    span = (table - low).max(axis=(1, 2))
    lift = np.where(span < np.float32(2.0**-100), np.float32(2.0**64), np.float32(1))
    steps = np.where(span > 0, LEVELS / np.where(span > 0, span * lift, np.float32(1)), np.float32(0))
    scaled = (table - low) * lift[:, None, None]
    table_bytes = np.minimum(np.rint(scaled * steps[:, None, None]), LEVELS).astype(np.uint8)
    return table_bytes, span / LEVELS, sum16(low[:, :, 0].astype(np.float64)).astype(np.float32)


def pairwise(
    queries: Floats,
    codes: Bytes,
    codebook: Floats,
    metric: str = "sqeuclidean",
    rotation: Floats | None = None,
    mean: Floats | None = None,
    zeros: NDArray[np.bool_] | None = None,
) -> Floats:
    """(m, n) distances under sqeuclidean, euclidean, inner_product or cosine; codes (n, parts). With the mean of rotated
    rows, cosine splits queries along it; `zeros` says which rows were zero before they were encoded."""
    table = tables(queries, codebook, metric, rotation, mean)
    rows = range(codes.shape[1])
    if codebook.shape[2] == 16:
        table_bytes, step, bias = rounded(table)
        total = sum((table_bytes[:, s][:, codes[:, s]].astype(np.int64) for s in rows), np.zeros((1, 1), np.int64))
        key = bias[:, None] + step[:, None] * total.astype(np.float32)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            key = chain([table[:, s][:, codes[:, s]] for s in rows])
    if metric == "cosine":
        decoded = decode(codes, codebook, queries.shape[1]).astype(np.float64)
        squared = np.where(False if zeros is None else zeros, 0.0, sum16(decoded * decoded))
        along = split(queries, metric, rotation, mean)[1]
        tilts = np.zeros(len(codes), np.float32) if mean is None else tilts_of(decoded, squared, mean.astype(np.float64))
        start, along = (1.0 - along).astype(np.float32), along.astype(np.float32)
        return np.clip((start + along * tilts) + key * inverse_norms(squared), np.float32(0), np.float32(2))
    if metric == "inner_product":
        return np.float32(0) - key
    return np.sqrt(key) if metric == "euclidean" else key


def tilts_of(decoded: NDArray[np.float64], squared: NDArray[np.float64], mean: NDArray[np.float64]) -> Floats:
    """1 - cos(mean, row) of decoded rows, before they are rotated back."""
    tilts = 1.0 - sum16(decoded * mean) * wide_inverse_norms(squared) / np.sqrt(sum16(mean * mean))
    return np.asarray(tilts, np.float32)


def symmetric(codes: Bytes, others: Bytes, codebook: Floats, d: int, metric: str = "sqeuclidean") -> Floats:
    """Code to code: the distances of decoded rows, as queries, to the others."""
    return pairwise(decode(codes, codebook, d), others, codebook, metric)
