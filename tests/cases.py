# SPDX-License-Identifier: Apache-2.0
"""The one table of cases: metrics x dtypes x sizes x contents. Tests and benches draw from it."""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np

from annkern.reference import METRICS

DTYPES = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "int8": np.dtype(np.int8),
    "uint8": np.dtype(np.uint8),
}
# (base, queries): the same, or float32 queries.
DTYPE_PAIRS = [(name, name) for name in DTYPES] + [(name, "float32") for name in DTYPES if name != "float32"]
NUMBER_METRICS = [metric.name for metric in METRICS.values() if not metric.bits]
BIT_METRICS = [metric.name for metric in METRICS.values() if metric.bits]

# (n, m, d, k). Around the widths of registers (4, 8, 16), of their tiles and of warps, and at every zero. For bits d is
# in bytes.
SIZES = [
    (1, 1, 1, 1),
    (2, 1, 3, 1),
    (7, 2, 4, 3),
    (15, 3, 7, 15),
    (16, 4, 8, 5),
    (17, 5, 9, 20),
    (31, 13, 15, 31),
    (33, 14, 16, 8),
    (63, 6, 17, 2),
    (129, 33, 31, 17),
    (257, 1, 33, 10),
    (500, 7, 100, 100),
    (1030, 2, 65, 1030),
    (0, 3, 5, 2),
    (4, 0, 5, 2),
    (5, 3, 6, 0),
    (6, 3, 0, 2),
]
# For backends where every lane is a fiber: the same corners, few.
SMALL_SIZES = [
    (1, 1, 1, 1),
    (17, 5, 9, 20),
    (70, 3, 33, 10),
    (129, 33, 31, 17),
    (257, 1, 17, 70),
    (0, 3, 5, 2),
    (4, 0, 5, 2),
    (5, 3, 6, 0),
    (6, 3, 0, 2),
]

CONTENTS = ["normal", "duplicates", "equal", "zeros", "huge", "tiny", "far"]


@dataclass(frozen=True)
class Case:
    metric: str
    base: str
    queries: str
    n: int
    m: int
    d: int
    k: int
    contents: str = "normal"

    def __str__(self) -> str:
        return f"{self.metric}-{self.base}-{self.queries}-n{self.n}-m{self.m}-d{self.d}-k{self.k}-{self.contents}"

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """(base, queries), the same for the same case."""
        rng = np.random.default_rng(abs(hash_of(str(self))))
        if METRICS[self.metric].bits:
            return bits(rng, self.n, self.d, self.contents), bits(rng, self.m, self.d, self.contents)
        base = numbers(rng, self.n, self.d, DTYPES[self.base], self.contents)
        queries = numbers(rng, self.m, self.d, DTYPES[self.queries], self.contents)
        if self.queries == "float32" and self.base in ("int8", "uint8"):
            queries *= 50
        if self.m and self.n:
            queries[0] = base[-1].astype(queries.dtype)  # a distance of zero
        return base, queries


def hash_of(text: str) -> int:
    """A seed that does not change from run to run, as hash() of a string does."""
    return int.from_bytes(text.encode(), "little") % (2**61 - 1)


def numbers(rng: np.random.Generator, n: int, d: int, dtype: np.dtype, contents: str = "normal") -> np.ndarray:
    """(n, d) vectors, finite in `dtype`."""
    if dtype.itemsize == 1:
        limits = np.iinfo(dtype)
        x = rng.integers(limits.min, limits.max, (n, d), dtype, endpoint=True)
    else:
        x = rng.standard_normal((n, d))
    if contents == "duplicates":
        x = x[rng.integers(0, max(1, n // 4), n)] if n else x
    elif contents == "equal":
        x = np.repeat(x[:1], n, axis=0)
    elif contents == "zeros":
        x = x * (rng.random((n, 1)) < 0.5)
    elif contents == "huge":
        x = x * largest_scale(dtype)
    elif contents == "tiny":
        x = x * (1.0 if dtype.itemsize == 1 else 1e-24 if dtype.itemsize == 4 else 1e-6)
    elif contents == "far" and dtype.itemsize == 4:
        x = x * 1e-3 + 1000.0
    return x.astype(dtype)


def largest_scale(dtype: np.dtype) -> float:
    """So large that squares overflow, where the type has such numbers."""
    return {"float32": 1e24, "bfloat16": 1e24, "float16": 1e4}.get(dtype.name, 1.0)


def bits(rng: np.random.Generator, n: int, width: int, contents: str = "normal") -> np.ndarray:
    """(n, width) bytes of packed bits."""
    x = rng.integers(0, 256, (n, width), np.uint8)
    if contents == "duplicates":
        return x[rng.integers(0, max(1, n // 4), n)] if n else x
    if contents == "equal":
        return np.repeat(x[:1], n, axis=0)
    if contents in ("zeros", "tiny"):
        return (x * (rng.random((n, 1)) < 0.5)).astype(np.uint8)
    return x


def table(small: bool = False) -> list[Case]:
    """Every metric and dtype at every size, then every kind of contents at one size."""
    sizes = SMALL_SIZES if small else SIZES
    kinds = [(metric, *pair) for metric in NUMBER_METRICS for pair in DTYPE_PAIRS]
    kinds += [(metric, "bits", "bits") for metric in BIT_METRICS]
    cases = [Case(*kind, *size) for kind in kinds for size in sizes if not small or size[0] > 10 or kind[1] == kind[2]]
    one_size = (40, 4, 19, 12) if small else (200, 9, 19, 50)
    cases += [
        Case(*kind, *one_size, contents) for kind in kinds for contents in CONTENTS[1:] if not small or kind[1] == kind[2]
    ]
    return cases
