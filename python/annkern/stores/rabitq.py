# SPDX-License-Identifier: Apache-2.0
"""RaBitQ, and sign bits, which share its layout. Formulas: csrc/store/rabitq.h."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays.host import host_rows
from ..arrays.views import as_numpy, asarray, view
from ..ops.metrics import metric_from_dot
from ..ops.sampling import mean_of, offset_of, training_sample
from ..runtime.context import real_number, whole_number
from ..runtime.types import MetricName
from .codec import Codec
from .registry import register_kind, register_spec
from .store import Kind, Store

SAMPLE_ROWS = 1 << 20
SIGN_ROWS = 1 << 16  # enough for the mean magnitude of all their dimensions
GROUP = 64
ROUNDS = 4
TERMS_BYTES = 16
E0 = 1.9  # standard deviations of the interval that error_bounds gives: 94% of a normal distribution

Floats = np.ndarray[Any, np.dtype[np.float32]]


class RaBitQ(Codec):
    """The direction of each row, randomly rotated, in 1 to 8 bits a dimension, so that inner products are right on average.

    Parameters
    ----------
    bits : int
        1 to 8.
    seed : int
        Of the rotation.
    metric : str
        The default metric of the stores made.

    Attributes
    ----------
    mean_ : ndarray (d,) float32
        Of the rows that fit saw.
    axis_ : ndarray (d,) float32
        Its direction. What rows share with it is kept exactly, and the codes hold the rest.
    signs_ : ndarray (4, D) int8
        Of the rotation; D is d rounded up to a multiple of 64.

    Notes
    -----
    A row takes D * bits / 8 bytes for its codes and 16 for its terms: 64 bytes for 384 dimensions in 1 bit, a cache line.

    ``knn`` and the rest estimate the inner product of a query with a row without bias, and from it squared distances (twice
    its error) and cosines, whose norms are exact; `Store.error_bounds` says how far an estimate may be off. The error halves
    with each bit. Inner products with a decoded row are these estimates; squared distances to it also count how far the
    decoded row is from the row, a number that depends on the row alone.

    Gao and Long, "RaBitQ", arXiv 2405.12497; Gao et al., arXiv 2409.09913. The rotation is not a dense matrix but four
    rounds of random signs and Hadamard transforms, and the magnitudes are scaled by the best of 16 factors, not of all.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.random.default_rng(0).standard_normal((1000, 64), dtype=np.float32)
    >>> store = ak.RaBitQ(bits=2).fit(x).encode(x)
    >>> store
    Store('rabitq2', n=1000, d=64, 33 bytes a vector)
    >>> dist, idx = ak.knn(store, x[:5], 20, rerank=x, rerank_k=50)
    >>> idx[:, 0]
    array([0, 1, 2, 3, 4])
    """

    kind = "rabitq"

    def __init__(self, bits: int = 1, *, seed: int = 0, metric: MetricName = "sqeuclidean") -> None:
        if isinstance(bits, bool) or bits not in range(1, 9):
            raise ValueError(f"bits: expected 1 to 8, got {bits!r}")
        self.bits = int(bits)
        self.seed = seed
        self.metric = metric

    @property
    def spec(self) -> str:  # type: ignore[override]
        return f"rabitq{self.bits}"

    def fit(self, x: Any) -> RaBitQ:
        """Learn the mean, of at most a million rows.

        Parameters
        ----------
        x : array (n, d)
            Floats or 8-bit integers, of any array library, on the host or on a device; may be memory-mapped.

        Returns
        -------
        RaBitQ
            Itself.
        """
        rows = training_sample(x, SAMPLE_ROWS)
        self.dims_ = rows.shape[1]
        self.mean_ = mean_of(rows)
        self.axis_ = direction(self.mean_)
        self.offset_ = offset_of(rows, self.mean_)
        self.signs_ = random_signs(whole_number("seed", self.seed, 0), self.dims_)
        return self

    def _numbers(self) -> dict[str, int]:
        return {"bits": self.bits, "rounds": ROUNDS if self.dims_ else 0, "binary": 0, "own_terms": 1}

    def _allocate(self, n: int, empty: Callable[[tuple[int, ...], str], Any]) -> dict[str, Any]:
        return {"rows": empty((n, padded(self.dims_) * self.bits // 8 + TERMS_BYTES), "uint8")}

    def _fitted(self) -> dict[str, np.ndarray[Any, Any]]:
        return {"mean": self.mean_, "axis": self.axis_, "signs": self.signs_, **offset_array(self.offset_)}

    @staticmethod
    def layout(store: Store) -> dict[str, tuple[tuple[int, ...], str]]:
        return layout(store)

    def limits(self) -> str:
        return "finite differences from the mean"


class BinaryQuantizer(Codec):
    """Sign bits: on which side of a threshold each dimension lies.

    Parameters
    ----------
    threshold : None, "mean", "median" or array (d,)
        Of each dimension; None is zero.
    rotation : bool
        Rotate rows at random first, as `RaBitQ` does, where dimensions have unlike spreads.
    seed : int
        Of the rotation.
    metric : str
        The default metric of the stores made.

    Attributes
    ----------
    threshold_ : ndarray (d,) float32
    zeros_ : bool
        Whether fit saw rows of zeros. These have no sign, and with them each row keeps its norm.
    scale_ : float
        A row decodes to the threshold plus or minus this: the mean distance from it.
    signs_ : ndarray (4, D) int8
        Of the rotation, where there is one.

    Notes
    -----
    A row takes D / 8 bytes, D being d rounded up to a multiple of 64; 16 more for its norms, with a threshold or a rotation,
    and where `fit` saw rows of zeros.
    Without, ``store.arrays["rows"]`` is what ``numpy.packbits(x >= 0, axis=1, bitorder="little")`` gives, padded with zeros,
    and ``knn`` takes it under ``hamming``. Queries are rounded to 63 levels, not to their signs.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.random.default_rng(0).standard_normal((1000, 64), dtype=np.float32)
    >>> store = ak.BinaryQuantizer().fit(x).encode(x)
    >>> bits = store.arrays["rows"]
    >>> np.array_equal(bits, np.packbits(x >= 0, axis=1, bitorder="little"))
    True
    >>> count, idx = ak.knn(bits, bits[:3], 1, "hamming")
    >>> idx[:, 0]
    array([0, 1, 2])
    """

    kind = "rabitq"
    spec = "bin"

    def __init__(
        self, *, threshold: Any = None, rotation: bool = False, seed: int = 0, metric: MetricName = "sqeuclidean"
    ) -> None:
        if isinstance(threshold, str) and threshold not in ("mean", "median"):
            raise ValueError(f"threshold: expected None, 'mean', 'median' or an array, got {threshold!r}")
        self.threshold = threshold
        self.rotation = rotation
        self.seed = seed
        self.metric = metric

    def fit(self, x: Any) -> BinaryQuantizer:
        """Learn the threshold and the scale, of at most 65,536 rows.

        Parameters
        ----------
        x : array (n, d)
            Floats or 8-bit integers, of any array library, on the host or on a device; may be memory-mapped.

        Returns
        -------
        BinaryQuantizer
            Itself.
        """
        rows = training_sample(x, SIGN_ROWS)
        self.dims_ = d = rows.shape[1]
        self.threshold_ = self._threshold(rows)
        self.offset_ = offset_of(rows, self.threshold_)
        self.zeros_ = not rows.any(axis=1).all()
        seed = whole_number("seed", self.seed, 0)
        self.signs_ = random_signs(seed, d) if self.rotation and d else np.ones((0, padded(d)), np.int8)
        total = 0.0
        for part in (rows[i : i + 4096] for i in range(0, len(rows), 4096)):
            total += float(np.abs(rotate(part - self.threshold_, self.signs_)).sum(dtype=np.float64))
        width = padded(d) if self.rotation else d
        self.scale_ = float(np.float32(total / max(1, len(rows) * width)))
        return self

    def _threshold(self, rows: Floats) -> Floats:
        d = rows.shape[1]
        if self.threshold is None or (not len(rows) and isinstance(self.threshold, str)):
            return np.zeros(d, np.float32)
        if isinstance(self.threshold, str):
            return mean_of(rows) if self.threshold == "mean" else np.median(rows, axis=0).astype(np.float32)
        given = np.asarray(self.threshold, np.float32)
        if given.shape != (d,) or not np.isfinite(given).all():
            raise ValueError(f"threshold: expected {d} finite numbers, got {self.threshold!r}")
        return given

    def _own_terms(self) -> bool:
        return self.rotation or self.threshold is not None or self.zeros_

    def _numbers(self) -> dict[str, int]:
        return {"bits": 1, "rounds": len(self.signs_), "binary": 1, "own_terms": int(self._own_terms())}

    def _allocate(self, n: int, empty: Callable[[tuple[int, ...], str], Any]) -> dict[str, Any]:
        return {"rows": empty((n, padded(self.dims_) // 8 + TERMS_BYTES * self._own_terms()), "uint8")}

    def _fitted(self) -> dict[str, np.ndarray[Any, Any]]:
        squared = self.dims_ * self.scale_**2
        with np.errstate(over="ignore"):
            terms = np.array([[2 * self.scale_, 0, squared, squared**-0.5 if squared else 0]], np.float64).astype(np.float32)
        zero = np.zeros(self.dims_, np.float32)
        return {"terms": terms, "mean": self.threshold_, "axis": zero, "signs": self.signs_, **offset_array(self.offset_)}

    @staticmethod
    def layout(store: Store) -> dict[str, tuple[tuple[int, ...], str]]:
        return layout(store)

    def limits(self) -> str:
        return "finite differences from the threshold"


def layout(store: Store) -> dict[str, tuple[tuple[int, ...], str]]:
    """Of both estimators, whose stores are of one kind."""
    (n, d), numbers = store.shape, store.numbers
    allowed = {"bits": range(1, 9), "rounds": (0, ROUNDS), "binary": (0, 1), "own_terms": (0, 1)}
    if list(numbers) != list(allowed) or any(numbers[name] not in those for name, those in allowed.items()):
        raise ValueError(f"expected numbers {allowed}, got {numbers}")
    if numbers["binary"] > (numbers["bits"] == 1) or not (numbers["binary"] or numbers["own_terms"]):
        raise ValueError(f"expected the numbers of rabitq1 .. rabitq8 or bin, got {numbers}")
    shapes = {
        "rows": ((n, padded(d) * numbers["bits"] // 8 + TERMS_BYTES * numbers["own_terms"]), "uint8"),
        "mean": ((d,), "float32"),
        "axis": ((d,), "float32"),
        "signs": ((numbers["rounds"], padded(d)), "int8"),
    }
    if "offset" in store.arrays:
        shapes["offset"] = ((1,), "float32")
    if numbers["binary"]:
        shapes["terms"] = ((1, 4), "float32")
    return shapes


def offset_array(offset: Floats | None) -> dict[str, Floats]:
    return {} if offset is None else {"offset": offset}


def padded(d: int) -> int:
    return -(-d // GROUP) * GROUP


def direction(mean: Floats) -> Floats:
    """The unit vector of a mean; zeros where it has none."""
    wide = mean.astype(np.float64)
    length = np.sqrt((wide * wide).sum())
    return (wide / length if length > 0 else np.zeros_like(wide)).astype(np.float32)


def random_signs(seed: int, d: int) -> np.ndarray[Any, np.dtype[np.int8]]:
    """(ROUNDS, D) signs: the top bits of splitmix64, whose k-th number is a hash of seed + k."""
    with np.errstate(over="ignore"):
        at = np.arange(1, ROUNDS * padded(d) + 1, dtype=np.uint64) + np.uint64((seed * 0xD1342543DE82EF95) % 2**64)
        z = at * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits = (z ^ (z >> np.uint64(31))) >> np.uint64(63)
    signs: np.ndarray[Any, np.dtype[np.int8]] = (1 - 2 * bits.astype(np.int8)).reshape(ROUNDS, padded(d))
    return signs


def rotate(x: Floats, signs: np.ndarray[Any, Any]) -> Floats:
    """Rows of x, padded with zeros and rotated: csrc/store/rotation.h."""
    n, d = x.shape
    width = padded(d)
    z = np.zeros((n, width), np.float32)
    z[:, :d] = x
    power = 1 << max(width.bit_length() - 1, 0)
    for t, row_signs in enumerate(signs):
        z *= row_signs
        part = z[:, :power] if t % 2 == 0 else z[:, width - power :]
        part[:] = _hadamard(part, power)
        if power != width:
            a, b = z[:, : width // 2].copy(), z[:, width // 2 :]
            z[:, : width // 2] = (a + b) * np.float32(np.sqrt(0.5))
            z[:, width // 2 :] = (a - b) * np.float32(np.sqrt(0.5))
    return z


def _hadamard(x: Floats, power: int) -> Floats:
    half = power // 2
    for _ in range(power.bit_length() - 1):
        x = np.stack([x[:, :half] + x[:, half:], x[:, :half] - x[:, half:]], axis=2).reshape(len(x), power)
    return np.asarray(x * np.float32(power**-0.5), np.float32)


def error_bounds(store: Store, queries: Any, ids: Any, metric: MetricName, e0: float) -> Floats:
    """`Store.error_bounds` of a RaBitQ store in host memory."""
    if store.numbers["binary"]:
        raise ValueError(f"store: expected one of rabitq1 .. rabitq8, which have error bounds, got {store.spec!r}")
    name = metric_from_dot(metric, "error bounds")
    deviations = real_number("e0", e0)
    if deviations < 0:
        raise ValueError(f"e0: expected 0 or more, got {e0}")
    arrays = {key: _on_host(key, x) for key, x in store.arrays.items()}
    chosen = asarray("ids", ids)
    distances = np.asarray(store.distances(queries, chosen, metric), np.float64)  # checks queries and ids too
    w = host_rows(queries, view("queries", queries), None)
    if name == "cosine":
        norm = np.linalg.norm(w.astype(np.float64), axis=1, keepdims=True)
        w = np.divide(w, norm, out=np.zeros_like(w), where=norm > 0, casting="unsafe")
    elif name != "inner_product":
        w = w - arrays["mean"]
    w = w - (w @ arrays["axis"])[:, None] * arrays["axis"]
    top = {1: 31.0, 7: 127.0 * 128, 8: 127.0 * 128}.get(store.numbers["bits"], 127.0)
    rounding = np.abs(rotate(w, arrays["signs"])).max(axis=1, initial=0.0, keepdims=True) / top / np.sqrt(12.0)

    length, squared, inverse = _lengths(arrays["rows"], store, chosen)
    across = np.maximum(length**2 - squared, 0.0) / max(1, padded(store.shape[1]) - 1)
    size = (w.astype(np.float64) ** 2).sum(axis=1, keepdims=True)
    error = deviations * np.sqrt(size * across + (rounding * length) ** 2)
    if name == "cosine":
        error *= inverse
    elif name == "sqeuclidean":
        error *= 2
    elif name == "euclidean":
        error = distances - np.sqrt(np.maximum(distances**2 - 2 * error, 0.0))
    return np.asarray(np.where(chosen < 0, np.inf, error), np.float32)


def _lengths(rows: np.ndarray[Any, Any], store: Store, ids: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """For each id: the length of the decoded part orthogonal to the mean, its true square, and 1 / |x|."""
    bits, width = store.numbers["bits"], padded(store.shape[1])
    unique, back = np.unique(np.maximum(ids, 0), return_inverse=True)
    result = np.zeros((3, len(unique)))
    for at in range(0, len(unique), 4096):
        block = rows[unique[at : at + 4096]]
        terms = np.ascontiguousarray(block[:, width * bits // 8 :]).view(np.float32).astype(np.float64)
        v = unpack(block[:, : width * bits // 8], bits).astype(np.float64) - (2**bits - 1) / 2
        result[:, at : at + len(block)] = terms[:, 0] * np.sqrt((v * v).sum(axis=1)), terms[:, 2], terms[:, 3]
    return [part[back.reshape(ids.shape)] for part in result]


def unpack(codes: np.ndarray[Any, Any], bits: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(n, D bits / 8) bytes of groups -> (n, D) codes."""
    groups = codes.reshape(len(codes), -1, 8 * bits)
    if bits == 8:
        return groups.reshape(len(codes), -1)
    out = np.zeros((*groups.shape[:2], GROUP), np.uint8)
    at = 0
    for width in (4, 2, 1):
        if bits & width:
            part = groups[:, :, at : at + 8 * width]
            if width == 1:
                values = np.unpackbits(part, axis=2, bitorder="little")
            else:
                values = np.concatenate([part >> place & (2**width - 1) for place in range(0, 8, width)], axis=2)
            out |= values << (bits & (width - 1))
            at += 8 * width
    return out.reshape(len(codes), -1)


def _on_host(name: str, x: Any) -> np.ndarray[Any, Any]:
    seen = view(f"store.arrays[{name!r}]", x)
    if not seen.device.on_host:
        raise ValueError("store: expected one in host memory, got a device's; store.convert moves it")
    return as_numpy(seen)


register_kind("rabitq", Kind(("rows", "terms", "mean", "axis", "signs", "offset"), layout, error_bounds))
register_spec(r"rabitq([1-8])", "rabitq<1-8>", tuple(f"rabitq{bits}" for bits in range(1, 9)), lambda m: RaBitQ(int(m[1])))
register_spec(r"bin", "bin", ("bin",), lambda m: BinaryQuantizer())
