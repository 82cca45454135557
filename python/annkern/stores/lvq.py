# SPDX-License-Identifier: Apache-2.0
"""Locally-adaptive vector quantization, and the scalar quantizers that share its layout. Formulas: csrc/store/lvq.h."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..ops.kmeans import KMeans
from ..ops.sampling import mean_of, offset_of, training_sample
from ..runtime.context import thread_count, whole_number
from ..runtime.types import MetricName
from .codec import Codec
from .registry import register_kind, register_spec
from .store import Kind, Store

MOST_CENTROIDS = 256
SAMPLE_ROWS = 1 << 20
BLOCK_ROWS = 1 << 14  # read at once by fit
FLOAT16_MAX = 65504.0
LARGEST_PLAIN, SMALLEST_PLAIN = 4096.0, 2.0**-4  # between them binary16 holds scales without an exponent beside it


def turbo_bytes(d: int, bits: int) -> int:
    """Bytes of a row of d codes, rounded up to blocks of 64."""
    return -(-d * bits // 512) * 64


def narrow(x: np.ndarray[Any, Any], up: bool) -> np.ndarray[Any, Any]:
    """float32 to the nearest float16 that is not below (above) it."""
    with np.errstate(over="ignore"):
        near = x.astype(np.float16)
    wrong = near.astype(np.float32) < x if up else near.astype(np.float32) > x
    return np.where(wrong, np.nextafter(near, np.float16(np.inf if up else -np.inf)), near).astype(np.float16)


class _Turbo(Codec):
    """Codes in turbo blocks under a scale for each row, or one for all."""

    kind = "lvq"
    bits: int
    residual_bits = 0
    n_centroids = 1
    mean_: np.ndarray[Any, np.dtype[np.float32]]
    exponent_: int
    scale_: np.ndarray[Any, np.dtype[np.float16]] | None = None  # (1, 2): step, low
    offset_: np.ndarray[Any, np.dtype[np.float32]] | None = None  # (1,): |mean|, where it outweighs the rows' spread

    def _set_exponent(self, largest: float) -> None:
        plain = largest == 0.0 or SMALLEST_PLAIN <= largest <= LARGEST_PLAIN
        self.exponent_ = 0 if plain else int(np.clip(np.ceil(np.log2(largest)), -120, 120))

    def _numbers(self) -> dict[str, int]:
        shared = self.scale_ is not None
        numbers = {"bits": self.bits, "residual_bits": self.residual_bits, "exponent": self.exponent_}
        numbers["scales_stride"] = 0 if shared else 1
        return {**numbers, "centroids": self.n_centroids} if self.n_centroids > 1 else numbers

    def _allocate(self, n: int, empty: Callable[[tuple[int, ...], str], Any]) -> dict[str, Any]:
        arrays = {"codes": empty((n, turbo_bytes(self.dims_, self.bits)), "uint8"), "norms": empty((n, 2), "float32")}
        if self.scale_ is None:
            arrays["scales"] = empty((n, 2), "float16")
        if self.residual_bits:
            arrays["residual"] = empty((n, turbo_bytes(self.dims_, self.residual_bits)), "uint8")
        if self.n_centroids > 1:
            arrays["selectors"] = empty((n,), "uint8")
        return arrays

    def _fitted(self) -> dict[str, np.ndarray[Any, Any]]:
        optional = {"scales": self.scale_, "offset": self.offset_}
        return {"mean": self.mean_, **{name: value for name, value in optional.items() if value is not None}}

    def _store(self, n: int, arrays: dict[str, Any]) -> Store:
        numbers = self._numbers()
        store = Store(self.kind, self.spec, (n, self.dims_), arrays, numbers, self.metric)
        if self.residual_bits:
            coarse = {name: array for name, array in arrays.items() if name != "residual"}
            spec = f"lvq{self.bits}"
            primary = Store(self.kind, spec, store.shape, coarse, {**numbers, "residual_bits": 0}, self.metric)
            store._levels = primary, store
        return store

    @staticmethod
    def layout(store: Store) -> dict[str, tuple[tuple[int, ...], str]]:
        (n, d), numbers = store.shape, store.numbers
        allowed = {"bits": (4, 8), "residual_bits": (0, 4, 8), "exponent": range(-120, 121), "scales_stride": (0, 1)}
        if "centroids" in numbers:
            allowed["centroids"] = range(2, MOST_CENTROIDS + 1)
        if list(numbers) != list(allowed) or any(numbers[name] not in those for name, those in allowed.items()):
            raise ValueError(f"expected numbers {allowed}, got {numbers}")
        shapes = {
            "codes": ((n, turbo_bytes(d, numbers["bits"])), "uint8"),
            "norms": ((n, 2), "float32"),
            "scales": ((n if numbers["scales_stride"] else 1, 2), "float16"),
            "mean": ((d,), "float32"),
        }
        if "offset" in store.arrays and "centroids" not in numbers:
            shapes["offset"] = ((1,), "float32")
        if numbers["residual_bits"]:
            shapes["residual"] = ((n, turbo_bytes(d, numbers["residual_bits"])), "uint8")
        if "centroids" in numbers:
            count, chosen = numbers["centroids"], store.arrays.get("selectors")
            shapes |= {"mean": ((count, d), "float32"), "selectors": ((n,), "uint8")}
            if chosen is not None and chosen.size and int(chosen.max()) >= count:
                raise ValueError(f"expected selectors below {count}, the number of centroids, got {int(chosen.max())}")
        return shapes

    def limits(self) -> str:
        most = FLOAT16_MAX * 2.0**self.exponent_
        return f"numbers up to {most:.3g} from the mean, as the rows that fit saw suggest"


class LVQ(_Turbo):
    """Locally-adaptive vector quantization: each row is scaled by its own range, in 4 or 8 bits a dimension.

    Parameters
    ----------
    bits : {4, 8}
        Of the primary level, which is searched.
    residual_bits : {0, 4, 8}
        Of the secondary level, which holds what the primary left over and is read by reranking alone.
    n_centroids : int
        1 to 256. With several, each row is centred by the nearest of them, which narrows its range where rows come in
        clusters; a row takes one byte more, and is decoded to be searched, which is slower (docs/stores.md).
    seed : int
        Of the centroids.
    threads : int, optional
        CPU threads for finding centroids.
    metric : str
        The default metric of the stores made.

    Attributes
    ----------
    mean_ : ndarray (d,) float32
        Of the rows that fit saw, subtracted from each row before its range is taken. With several centroids these,
        (n_centroids, d).
    exponent_ : int
        A power of two taken out of all scales: 0 unless binary16 could not hold them.

    Notes
    -----
    A row takes d * bits / 8 bytes rounded up to blocks of 64, 4 for its scale, 8 for its norms, and the residual. The error
    of a dimension is at most half a step of the row (a step is its range / (2^bits - 1)). Aguerrebere et al., "Similarity
    search in the blink of an eye with compressed indices", arXiv 2304.04759. Centroids are those of `KMeans`.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.random.default_rng(0).standard_normal((1000, 64), dtype=np.float32)
    >>> store = ak.LVQ(bits=4, residual_bits=8).fit(x).encode(x)
    >>> store.spec, store.primary.spec
    ('lvq4x8', 'lvq4')
    >>> step = store.primary.arrays["scales"][:, :1].astype(np.float32)
    >>> bool((abs(store.primary.decode() - x) <= 0.501 * step).all())
    True
    """

    def __init__(
        self,
        bits: int = 8,
        residual_bits: int = 0,
        n_centroids: int = 1,
        *,
        seed: int = 0,
        threads: int | None = None,
        metric: MetricName = "sqeuclidean",
    ) -> None:
        if bits not in (4, 8):
            raise ValueError(f"bits: expected 4 or 8, got {bits!r}")
        if residual_bits not in (0, 4, 8):
            raise ValueError(f"residual_bits: expected 0, 4 or 8, got {residual_bits!r}")
        if whole_number("n_centroids", n_centroids, 1) > MOST_CENTROIDS:
            raise ValueError(f"n_centroids: expected 1 to {MOST_CENTROIDS}, got {n_centroids}")
        self.bits = bits
        self.residual_bits = residual_bits
        self.n_centroids = int(n_centroids)
        self.seed = seed
        self.threads = threads
        self.metric = metric

    @property
    def spec(self) -> str:  # type: ignore[override]
        return f"lvq{self.bits}" + (f"x{self.residual_bits}" if self.residual_bits else "")

    def fit(self, x: Any) -> LVQ:
        """Learn the mean, or the centroids, of at most a million rows.

        Parameters
        ----------
        x : array (n, d)
            Floats or 8-bit integers, of any array library, on the host or on a device; may be memory-mapped.

        Returns
        -------
        LVQ
            Itself.
        """
        thread_count(self.threads)
        rows = training_sample(x, SAMPLE_ROWS)
        self.dims_ = rows.shape[1]
        if self.n_centroids > max(1, len(rows)):
            raise ValueError(f"n_centroids: expected at most the {len(rows)} rows of x, got {self.n_centroids}")
        if self.n_centroids > 1:
            self.mean_, labels = self._centroids(rows)
        else:
            self.mean_, labels = mean_of(rows), None
        largest, self.offset_ = 0.0, None if self.n_centroids > 1 else offset_of(rows, self.mean_)
        for first in range(0, len(rows), BLOCK_ROWS):
            part = slice(first, first + BLOCK_ROWS)
            mean = self.mean_ if labels is None else self.mean_[labels[part]]
            largest = max(largest, float(np.abs(rows[part] - mean).max(initial=0.0)))
        self._set_exponent(largest)
        return self

    def _centroids(self, rows: np.ndarray[Any, np.dtype[np.float32]]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Centroids and the number of each row's, found at a scale where squares neither overflow nor vanish."""
        largest = float(np.abs(rows).max(initial=0.0))
        exponent = int(np.ceil(np.log2(largest))) if largest > 0 else 0
        found = KMeans(self.n_centroids, seed=self.seed, threads=self.threads).fit(np.ldexp(rows, -exponent))
        return np.ldexp(found.centroids_, exponent), found.labels_


class ScalarQuantizer(_Turbo):
    """One range about the mean for all dimensions and rows, in 4 or 8 bits a dimension.

    Parameters
    ----------
    bits : {4, 8}
    metric : str
        The default metric of the stores made.

    Attributes
    ----------
    mean_ : ndarray (d,) float32
        Of the rows that fit saw, subtracted from each row.
    scale_ : ndarray (1, 2) float16
        Step and lower end of what is left, over 2**exponent_. Values beyond the range that fit saw are clamped to it.

    Notes
    -----
    A row takes d * bits / 8 bytes rounded up to blocks of 64, and 8 for its norms. `LVQ` scales each row by its own range,
    for 4 bytes more.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.random.default_rng(0).standard_normal((1000, 64), dtype=np.float32)
    >>> store = ak.ScalarQuantizer(8).fit(x).encode(x)
    >>> store
    Store('sq8', n=1000, d=64, 72 bytes a vector)
    """

    def __init__(self, bits: int = 8, *, metric: MetricName = "sqeuclidean") -> None:
        if bits not in (4, 8):
            raise ValueError(f"bits: expected 4 or 8, got {bits!r}")
        self.bits = bits
        self.metric = metric

    @property
    def spec(self) -> str:  # type: ignore[override]
        return f"sq{self.bits}"

    def fit(self, x: Any) -> ScalarQuantizer:
        """Learn the range, of at most a million rows.

        Parameters
        ----------
        x : array (n, d)
            Floats or 8-bit integers, of any array library, on the host or on a device; may be memory-mapped.

        Returns
        -------
        ScalarQuantizer
            Itself.
        """
        rows = training_sample(x, SAMPLE_ROWS)
        self.dims_ = rows.shape[1]
        self.mean_ = mean_of(rows)
        self.offset_ = offset_of(rows, self.mean_)
        low = high = 0.0
        for first in range(0, len(rows), BLOCK_ROWS):
            part = rows[first : first + BLOCK_ROWS] - self.mean_
            low, high = min(low, float(part.min(initial=0.0))), max(high, float(part.max(initial=0.0)))
        self._set_exponent(max(abs(low), abs(high)))
        ends = np.ldexp(np.array([low, high], np.float32), -self.exponent_)
        step = narrow((ends[1:] - ends[:1]) / np.float32(2**self.bits - 1), up=True)
        wide = step.astype(np.float32)
        least = narrow(wide * np.rint(ends[:1] / np.where(wide > 0, wide, 1)), up=False)  # so that the mean has a code
        self.scale_ = np.stack([step, least], axis=1)
        return self


register_kind("lvq", Kind(("codes", "scales", "norms", "mean", "residual", "selectors", "offset"), _Turbo.layout))
register_spec(r"sq([48])", "sq8 sq4", ("sq8", "sq4"), lambda m: ScalarQuantizer(int(m[1])))
register_spec(
    r"lvq([48])(?:x([48]))?",
    "lvq8 lvq4 lvq4x4 lvq4x8 lvq8x8",
    ("lvq8", "lvq4", "lvq4x4", "lvq4x8", "lvq8x8"),
    lambda m: LVQ(int(m[1]), int(m[2] or 0)),
)
