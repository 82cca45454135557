# SPDX-License-Identifier: Apache-2.0
"""Product quantization, and the rotation that makes it better (OPQ). Formulas and layouts: csrc/store/pq.h."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays.host import host_rows
from ..arrays.views import View, view
from ..ops.kmeans import iterate, split_largest, sums_by_label, thin_iterations
from ..ops.sampling import mean_of, offset_of, training_sample
from ..runtime.context import Context, matrix_of, real_number, whole_number
from ..runtime.types import MetricName
from .anisotropic import THRESHOLD, chosen_words, extra_weight
from .codec import Codec
from .registry import register_kind, register_spec
from .store import Kind, Store

Floats = np.ndarray[Any, np.dtype[np.float32]]
LARGEST_PLAIN, SMALLEST_PLAIN = 2.0**50, 2.0**-40  # between them squares of differences are well inside float32
UNIT = 0.02  # how far from 1 the lengths of rows may be that count as 1
ROTATION_ROWS, ROTATION_ROUNDS, ROTATION_STEPS = 1 << 14, 12, 3  # rows, rounds, and k-means iterations in each


def _codes_shape(n: int, m: int, bits: int) -> tuple[int, ...]:
    return (-(-n // 32), -(-m // 4) * 4, 16) if bits == 4 else (n, m)


class PQ(Codec):
    """Product quantization: the dimensions are cut into `m` parts, and each is replaced by the nearest of 2^bits codewords.

    Parameters
    ----------
    m : int
        Parts, at most the number of dimensions. Where it does not divide them, the first parts are one dimension longer, as
        `numpy.array_split` cuts.
    bits : {4, 8}
        4: codes lie in blocks of 32 rows, which are scanned by look-ups in registers, at several times the speed of 8 bits;
        queries' tables are rounded to bytes. Made for scans: a single row is spread over m / 4 cache lines.
        8: codes of one byte, m of them a row.
    metric : str
        The default metric of the stores made. With "cosine" the norms of rows are kept, 4 bytes each; without them
        that metric decodes each row.
    iterations : int
        Of k-means, at most.
    sample : int
        Train on at most so many rows for each codeword.
    seed : int
        Of the sample and of the first codewords: the same seed gives the same bytes, for any number of threads.
    threads : int, optional
        CPU threads for training.
    threshold : float, optional
        Choose codewords for inner products rather than for distances, above all for those that are larger than so many times
        the norms: 0.2 is usual ("apq<m>x4"). An error along the row then counts more than one across it. Under
        "inner_product" and "cosine", and where all rows have length 1. By default the nearest codewords are taken.

    Attributes
    ----------
    codebook_ : ndarray (m, widest part, 2^bits) float32
        ``codebook_[s, j, c]`` is dimension j of codeword c of part s; zero beyond the end of shorter parts.
    rotation_ : ndarray (d, d) float32, or None
        Rows are multiplied by it first (OPQ).
    mean_ : ndarray (d,) float32, or None
        Of the (rotated) rows, under "cosine" where they lie far from zero for their spread: queries are split along it.
    exponent_ : int
        A power of two taken out of the data before distances to codewords are compared; 0 unless squares would overflow.

    Notes
    -----
    Distances are to the decoded vector. Symmetric distances, code to code, are those of decoded rows as queries:
    ``store.distances(store.decode(ids), others)``. Jegou et al., "Product quantization for nearest neighbor search", 2011.
    With fewer rows than codewords, the rows are the codewords.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.random.default_rng(0).standard_normal((1000, 64), dtype=np.float32)
    >>> store = ak.PQ(16, bits=8, iterations=5).fit(x).encode(x)
    >>> store.arrays["codes"].shape, store.arrays["codebook"].shape
    ((1000, 16), (16, 4, 256))
    """

    kind = "pq"
    codebook_: Floats
    rotation_: Floats | None = None
    mean_: Floats | None = None
    exponent_: int

    def __init__(
        self,
        m: int,
        bits: int = 8,
        *,
        metric: MetricName = "sqeuclidean",
        iterations: int = 25,
        sample: int = 256,
        seed: int = 0,
        threads: int | None = None,
        threshold: float | None = None,
    ) -> None:
        if threshold is not None and not 0.0 <= real_number("threshold", threshold) < 1.0:
            raise ValueError(f"threshold: expected a number in [0, 1), got {threshold}")
        if bits not in (4, 8):
            raise ValueError(f"bits: expected 4 or 8, got {bits!r}")
        self.m = whole_number("m", m, 1)
        self.bits = bits
        self.metric = metric
        self.iterations = iterations
        self.sample = sample
        self.seed = seed
        self.threads = threads
        self.threshold = threshold

    @property
    def spec(self) -> str:  # type: ignore[override]
        return f"{'' if self.threshold is None else 'a'}pq{self.m}x{self.bits}"

    def fit(self, x: Any) -> PQ:
        """Learn the codewords.

        Parameters
        ----------
        x : array (n, d)
            Floats or 8-bit integers, of any array library, on the host or on a device; may be memory-mapped.

        Returns
        -------
        PQ
            Itself.
        """
        rows = self._training_rows(x, whole_number("sample", self.sample, 1) << self.bits)
        self._train(rows, self._start(rows))
        return self

    def _training_rows(self, x: Any, most: int) -> Floats:
        rows = training_sample(x, most, whole_number("seed", self.seed, 0))
        d = rows.shape[1]
        if self.m > d:
            raise ValueError(f"m: expected at most the {d} dimensions of x, got {self.m}")
        self.dims_ = d
        largest = float(np.abs(rows).max(initial=0.0))
        plain = largest == 0.0 or SMALLEST_PLAIN <= largest <= LARGEST_PLAIN
        self.exponent_ = 0 if plain else int(np.clip(np.ceil(np.log2(largest)), -120, 120))
        return rows

    def _start(self, rows: Floats) -> Floats:
        """(2^bits, d): rows chosen by the seed; all of them, and the first again and again, where they are few."""
        many = 1 << self.bits
        if len(rows) <= many:
            start = np.zeros((many, self.dims_), np.float32)
            start[: len(rows)] = rows
            start[len(rows) :] = rows[:1] if len(rows) else 0
            return start
        chosen = np.random.Generator(np.random.Philox(whole_number("seed", self.seed, 0) + 1)).permutation(len(rows))[:many]
        return rows[np.sort(chosen)]

    def _train(self, rows: Floats, start: Floats) -> None:
        mean = mean_of(rows)
        self.mean_ = mean if self.metric == "cosine" and offset_of(rows, mean) is not None else None
        iterations = whole_number("iterations", self.iterations, 0)
        self.codebook_ = self._book(self._lloyd(rows, start, iterations, self.exponent_))

    def _lloyd(self, rows: Floats, words: Floats, iterations: int, exponent: int) -> Floats:
        """k-means in all parts at once. words: (2^bits, d), codeword c of each part in row c."""
        if len(rows) <= len(words):
            return words
        return iterate(words, iterations, thin_iterations(len(rows), len(words), iterations), _Parts(self, rows, exponent))[
            0
        ]

    def _widths(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        return self.dims_ // self.m + (np.arange(self.m) < self.dims_ % self.m)

    def _book(self, words: Floats) -> Floats:
        """(2^bits, d) codewords as the store keeps them, (m, widest part, 2^bits)."""
        widths = self._widths()
        book = np.zeros((self.m, int(widths.max(initial=0)), len(words)), np.float32)
        for s, columns in enumerate(np.array_split(words.T, self.m)):
            book[s, : len(columns)] = columns
        return book

    def _codes(self, rows: Floats, words: Floats, exponent: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """(n, m) codes of rows that are already rotated, one byte each; 2^exponent is taken out of them (`exponent_`)."""
        n, d = rows.shape
        codes, book, seen = np.empty((n, self.m), np.uint8), self._book(words), view("rows", rows)
        context, numbers = Context.at(seen, self.threads, None), [self.m, self.bits, exponent, 0]
        backend, cells = context.backend, context.cells()
        base = backend.Base("pq", n, d, [codes.ctypes.data, book.ctypes.data, 0, 0], numbers)
        backend.encode(matrix_of(backend, seen), base, 0, cells.address(), context.executor())
        return codes

    def _encode_rows(self, context: Context, x: View, first: int, count: int, store: Store, to: int) -> None:
        if self.threshold is None or count == 0:
            return super()._encode_rows(context, x, first, count, store, to)
        rows = host_rows(x.owner, x, np.arange(first, first + count))
        norms = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
        if self.metric not in ("inner_product", "cosine") and not (np.abs(norms - 1) <= UNIT).all():
            row = to + int(np.argmax(~(np.abs(norms - 1) <= UNIT)))
            raise ValueError(
                f"metric: expected inner_product or cosine for {self.spec!r}, or rows of length 1, got {self.metric!r} and "
                f"row {row} of length {norms[row - to]:.6g}"
            )
        if not np.isfinite(norms).all():
            return super()._encode_rows(context, x, first, count, store, to)  # which says what is wrong
        words = np.concatenate([own[:width] for own, width in zip(self.codebook_, self._widths(), strict=True)]).T
        codes = self._codes(rows, np.ascontiguousarray(words), self.exponent_)
        # A row of codewords is encoded as these very ones.
        chosen = chosen_words(rows, codes, self.codebook_, extra_weight(self.dims_, self.threshold))
        moved = chosen if context.device.on_host else context.library.from_numpy(chosen, context.device)
        return super()._encode_rows(context, view("x", moved), 0, count, store, to)

    def _numbers(self) -> dict[str, int]:
        return {"parts": self.m, "bits": self.bits, "exponent": self.exponent_, "blocked": int(self.bits == 4)}

    def _allocate(self, n: int, empty: Callable[[tuple[int, ...], str], Any]) -> dict[str, Any]:
        shape = _codes_shape(n, self.m, self.bits)
        names = (["norms"] if self.metric == "cosine" else []) + ([] if self.mean_ is None else ["tilts"])
        return {"codes": empty(shape, "uint8"), **{name: empty((n,), "float32") for name in names}}

    @staticmethod
    def layout(store: Store) -> dict[str, tuple[tuple[int, ...], str]]:
        (n, d), numbers = store.shape, store.numbers
        allowed = {"parts": range(1, d + 1), "bits": (4, 8), "exponent": range(-120, 121), "blocked": (0, 1)}
        if list(numbers) != list(allowed) or any(numbers[name] not in those for name, those in allowed.items()):
            raise ValueError(f"expected numbers {allowed}, got {numbers}")
        if numbers["blocked"] != (numbers["bits"] == 4):
            raise ValueError(f"expected blocks for 4 bits and rows for 8, got {numbers}")
        m, bits = numbers["parts"], numbers["bits"]
        shapes: dict[str, tuple[tuple[int, ...], str]] = {
            "codes": (_codes_shape(n, m, bits), "uint8"),
            "codebook": ((m, -(-d // m), 1 << bits), "float32"),
        }
        # These are there or not: by the metric that was fitted and where rows lie, and by the estimator.
        optional: dict[str, tuple[tuple[int, ...], str]] = {"norms": ((n,), "float32"), "rotation": ((d, d), "float32")}
        if "norms" in store.arrays and "tilts" in store.arrays:
            shapes |= {"mean": ((d,), "float32"), "tilts": ((n,), "float32")}
        return {**shapes, **{name: value for name, value in optional.items() if name in store.arrays}}

    def _fitted(self) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
        optional = {"rotation": self.rotation_, "mean": self.mean_}
        return {"codebook": self.codebook_, **{name: value for name, value in optional.items() if value is not None}}


class _Parts:
    """Rows that `iterate` clusters in all parts at once: their labels are the codes."""

    def __init__(self, codec: PQ, rows: Floats, exponent: int) -> None:
        self.codec, self.rows, self.exponent = codec, rows, exponent

    def labels(self, centroids: Floats, thin: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return self.codec._codes(self.rows[::thin], centroids, self.exponent)

    def updated(self, labels: Any, centroids: Floats, thin: int) -> tuple[Floats, Floats]:
        widths = self.codec._widths()
        sums, counts = sums_by_label(self.rows[::thin], labels, len(centroids), self.codec.threads)
        new = (sums / np.repeat(np.maximum(counts, 1), widths, axis=0).T).astype(np.float32)
        means = np.where(np.repeat(counts > 0, widths, axis=0).T, new, centroids)
        ends = np.cumsum(widths)
        for s in np.flatnonzero((counts == 0).any(axis=1)):
            columns = slice(ends[s] - widths[s], ends[s])
            split_largest(new[:, columns], counts[s], centroids[:, columns])
        return means, new


class OPQ(PQ):
    """Product quantization after a rotation that is learnt with it, so that the parts hold equal shares of the variance.

    Parameters
    ----------
    m, bits, metric, iterations, sample, seed, threads
        As of `PQ`.
    rounds : int
        Of learning the rotation: quantize the rotated rows, then turn them towards their codewords (orthogonal Procrustes).

    Attributes
    ----------
    rotation_ : ndarray (d, d) float32
        Orthogonal. It starts as the principal axes, dealt out to the parts so that their variances have level products.
    codebook_, exponent_
        As of `PQ`.

    Notes
    -----
    Ge et al., "Optimized product quantization", 2013. NumPy's linear algebra takes part in training: the rotation is the
    same for any `threads`, but not for every build of NumPy or setting of its BLAS.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.random.default_rng(0).standard_normal((1000, 64), dtype=np.float32)
    >>> opq = ak.OPQ(16, bits=4, rounds=2, iterations=5).fit(x)
    >>> np.allclose(opq.rotation_ @ opq.rotation_.T, np.eye(64), atol=1e-4)
    True
    >>> opq.encode(x).spec
    'opq16x4'
    """

    rotation_: Floats

    def __init__(
        self,
        m: int,
        bits: int = 8,
        *,
        rounds: int = ROTATION_ROUNDS,
        metric: MetricName = "sqeuclidean",
        iterations: int = 25,
        sample: int = 256,
        seed: int = 0,
        threads: int | None = None,
    ) -> None:
        super().__init__(m, bits, metric=metric, iterations=iterations, sample=sample, seed=seed, threads=threads)
        self.rounds = rounds

    @property
    def spec(self) -> str:  # type: ignore[override]
        return f"opq{self.m}x{self.bits}"

    def fit(self, x: Any) -> OPQ:
        """Learn the rotation, then the codewords.

        Parameters
        ----------
        x : array (n, d)
            Floats or 8-bit integers, of any array library, on the host or on a device; may be memory-mapped.

        Returns
        -------
        OPQ
            Itself.
        """
        most = whole_number("sample", self.sample, 1) << self.bits
        rows = self._training_rows(x, max(most, ROTATION_ROWS))
        scaled = np.ldexp(rows, -self.exponent_)
        centred = scaled - (scaled.mean(axis=0, dtype=np.float64) if len(rows) else 0)
        few = centred[:: max(1, len(rows) // ROTATION_ROWS)].astype(np.float32)
        rotation = self._level_axes(centred[:ROTATION_ROWS])
        words = None
        for _ in range(whole_number("rounds", self.rounds, 0) if len(rows) > 1 << self.bits else 0):
            turned = few @ rotation
            words = self._lloyd(turned, self._start(turned) if words is None else words, ROTATION_STEPS, 0)
            decoded = self._decoded(self._codes(turned, words, 0), words)
            left, _, right = np.linalg.svd(few.T.astype(np.float64) @ decoded)
            rotation = (left @ right).astype(np.float32)
        self.rotation_ = np.ascontiguousarray(rotation)
        turned = np.ascontiguousarray(rows[:: max(1, len(rows) // most)] @ rotation)
        self._train(turned, self._start(turned))
        return self

    def _decoded(self, codes: np.ndarray[Any, np.dtype[np.uint8]], words: Floats) -> Floats:
        columns = np.array_split(np.arange(self.dims_), self.m)
        return np.concatenate([words[codes[:, s]][:, part] for s, part in enumerate(columns)], axis=1)

    def _level_axes(self, rows: np.ndarray[Any, np.dtype[Any]]) -> Floats:
        """Principal axes, each dealt to the part that is not full and whose variances so far have the smallest product."""
        widths = self._widths()
        covariance = rows.T.astype(np.float64) @ rows if len(rows) else np.eye(self.dims_)
        values, axes = np.linalg.eigh(covariance)
        logs, taken = np.zeros(self.m), np.zeros(self.m, np.int64)
        places = [[] for _ in range(self.m)]  # type: list[list[int]]
        least = max(float(values[-1]), 1e-300) * 1e-12
        for axis in range(self.dims_ - 1, -1, -1):
            part = int(np.argmin(np.where(taken < widths, logs, np.inf)))
            logs[part] += np.log(max(float(values[axis]) / least, 1.0))
            taken[part] += 1
            places[part].append(axis)
        return axes[:, [axis for part in places for axis in part]].astype(np.float32)


register_kind("pq", Kind(("codes", "codebook", "norms", "rotation", "mean", "tilts"), PQ.layout))
register_spec(
    r"([ao]?)pq([1-9]\d*)x([48])",
    "pq<m>x4 pq<m>x8 opq<m>x4 opq<m>x8 apq<m>x4 apq<m>x8",
    ("pq12x4", "pq12x8", "opq12x4", "opq12x8"),
    lambda m: OPQ(int(m[2]), int(m[3])) if m[1] == "o" else PQ(int(m[2]), int(m[3]), threshold=THRESHOLD if m[1] else None),
)
