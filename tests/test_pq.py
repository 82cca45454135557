# SPDX-License-Identifier: Apache-2.0
"""Product quantization: codes, decodes and keys are the reference's, bit for bit; training finds good codewords."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import assert_equal_on_every_level
from test_lvq import METRICS, data

import annkern as ak
from annkern.reference import pq as reference

KINDS = ["normal", "shifted", "huge", "tiny", "constant", "some zero", "uneven"]
SHAPES = [(1, 1, 1), (5, 3, 2), (40, 64, 16), (33, 130, 9), (70, 200, 7), (300, 16, 16)]  # n, d, parts


def short(estimator, m, bits, metric):
    """Trained no longer than these tests need."""
    return estimator(m, bits, metric=metric, iterations=2, **({"rounds": 1} if estimator is ak.OPQ else {}))


def made(codec, x):
    store = codec.fit(x).encode(x)
    codes = store.arrays["codes"]
    assert codes.dtype == np.uint8
    return store, reference.unpack(codes, len(x), codec.m) if codec.bits == 4 else codes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("estimator", [ak.PQ, ak.OPQ])
def test_codes_are_the_references(rng, estimator, bits, kind):
    for n, d, m in SHAPES:
        x = data(rng, n, d, kind)
        codec = short(estimator, m, bits, "cosine")
        store, codes = made(codec, x)
        want = reference.encode(x, codec.codebook_, codec.rotation_, codec.exponent_)
        np.testing.assert_array_equal(codes, want)
        if bits == 4:
            np.testing.assert_array_equal(store.arrays["codes"], reference.pack(want))
        assert store.decode().tobytes() == reference.decode(codes, codec.codebook_, d, codec.rotation_).tobytes()
        assert store.numbers == {"parts": m, "bits": bits, "exponent": codec.exponent_, "blocked": int(bits == 4)}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("estimator", [ak.PQ, ak.OPQ])
def test_keys_are_the_references(rng, estimator, bits, metric):
    for kind in ("normal", "shifted", "huge", "some zero"):
        for (n, d, m), queries in zip(SHAPES, (1, 2, 5, 70, 3, 4), strict=True):
            x, q = data(rng, n, d, kind), data(rng, queries, d, kind)
            codec = short(estimator, m, bits, metric)
            store, codes = made(codec, x)
            zeros = (x == 0).all(axis=1)
            want = reference.pairwise(q, codes, codec.codebook_, metric, codec.rotation_, codec.mean_, zeros)
            assert ak.pairwise(q, store, metric).tobytes() == want.tobytes()
            ids = rng.integers(0, n, (queries, 6))
            assert store.distances(q, ids).tobytes() == np.take_along_axis(want, ids, 1).tobytes()


@pytest.mark.parametrize("bits", [4, 8])
def test_distances_are_to_decoded_rows(rng, bits):
    """Tables of 8 bits within the rounding of float32, those of 4 within half a level a part."""
    x, q = rng.standard_normal((200, 48), dtype=np.float32), rng.standard_normal((9, 48), dtype=np.float32)
    for metric in METRICS:
        codec = ak.PQ(12, bits, metric=metric)
        store = codec.fit(x).encode(x)
        exact = ak.pairwise(q, store.decode(), metric)
        table = reference.tables(q, codec.codebook_, metric)
        span = (table.max(axis=2) - table.min(axis=2)).max(axis=1)[:, None]
        slack = 1e-5 + (12 * span / 127 / 2 if bits == 4 else 0)
        if metric == "cosine":
            slack = slack / np.linalg.norm(store.decode(), axis=1)
        got = ak.pairwise(q, store, metric)
        error = np.abs(got**2 - exact**2) if metric == "euclidean" else np.abs(got - exact)
        assert (error <= slack + 1e-6 * np.abs(exact) ** 2).all(), metric


def test_without_norms_cosine_decodes(rng):
    x, q = rng.standard_normal((50, 10), dtype=np.float32), rng.standard_normal((3, 10), dtype=np.float32)
    for bits in (4, 8):
        store = ak.PQ(5, bits).fit(x).encode(x)
        assert "norms" not in store.arrays
        assert ak.pairwise(q, store, "cosine").tobytes() == ak.pairwise(q, store.decode(), "cosine").tobytes()
        assert ak.pairwise(q, store, "cityblock").tobytes() == ak.pairwise(q, store.decode(), "cityblock").tobytes()


def test_symmetric_distances(rng):
    x = rng.standard_normal((300, 24), dtype=np.float32)
    for bits in (4, 8):
        codec = ak.PQ(6, bits)
        store, codes = made(codec, x)
        got = ak.pairwise(store.decode(np.arange(5)), store)
        assert got.tobytes() == reference.symmetric(codes[:5], codes, codec.codebook_, 24).tobytes()
        assert (got[np.arange(5), np.arange(5)] <= np.sort(got, axis=1)[:, 0] + 1e-3).all()


def test_many_parts_do_not_overflow(rng):
    """Every entry at its largest: 1,100 parts times 127 is beyond 16 bits."""
    x = rng.standard_normal((70, 1100), dtype=np.float32)
    codec = ak.PQ(1100, 4)
    store, codes = made(codec, x)
    q = np.full((5, 1100), 1e3, np.float32)
    want = reference.pairwise(q, codes, codec.codebook_, "inner_product")
    assert ak.pairwise(q, store, "inner_product").tobytes() == want.tobytes()
    assert np.abs(want / ak.pairwise(q, store.decode(), "inner_product") - 1).max() < 0.2 or np.isfinite(want).all()


@pytest.mark.parametrize("bits, m", [(4, 6), (8, 6), (8, 5)])
def test_training_lowers_the_error(rng, bits, m):
    x = np.cumsum(rng.standard_normal((6000, 24), dtype=np.float32), axis=1)
    errors = []
    for iterations in (0, 2, 25):
        store = ak.PQ(m, bits, iterations=iterations).fit(x).encode(x)
        errors.append(float(((store.decode() - x) ** 2).sum()))
    assert errors[0] > errors[1] > errors[2]


def test_codewords_are_means_of_their_rows(rng):
    x = rng.standard_normal((3000, 12), dtype=np.float32)
    codec = ak.PQ(4, 4, iterations=400, sample=10_000).fit(x)  # until nothing moves
    _, codes = made(codec, x)
    for s in range(4):
        for c in range(16):
            mean = x[codes[:, s] == c, 3 * s : 3 * s + 3].mean(axis=0)
            np.testing.assert_allclose(codec.codebook_[s, :, c], mean, rtol=1e-4, atol=1e-5)


def test_opq_turns_correlated_dimensions(rng):
    """Most of the variance in few directions: PQ by itself wastes its parts."""
    x = (rng.standard_normal((5000, 32)) * 0.7 ** np.arange(32)) @ np.linalg.qr(rng.standard_normal((32, 32)))[0]
    x = x.astype(np.float32)
    errors = {}
    for name, codec in (("pq", ak.PQ(8, 4)), ("opq", ak.OPQ(8, 4)), ("axes", ak.OPQ(8, 4, rounds=0))):
        decoded = codec.fit(x).encode(x).decode()
        errors[name] = float(((decoded - x) ** 2).sum())
    assert errors["opq"] < 0.8 * errors["pq"]
    assert errors["opq"] < 1.01 * errors["axes"]
    rotation = ak.OPQ(8, 4).fit(x).rotation_.astype(np.float64)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(32), atol=1e-5)


@pytest.mark.parametrize("estimator", [ak.PQ, ak.OPQ])
@pytest.mark.parametrize("bits", [4, 8])
def test_few_rows_are_exact(rng, estimator, bits):
    for n in (1, 7, 16):
        x = rng.standard_normal((n, 9), dtype=np.float32)
        store = estimator(3, bits).fit(x).encode(x)
        np.testing.assert_allclose(store.decode(), x, atol=1e-5)
    empty = estimator(3, bits).fit(x[:0]).encode(x[:0])
    assert empty.decode().shape == (0, 9)


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e20, 1e30])
@pytest.mark.parametrize("estimator", [ak.PQ, ak.OPQ])
def test_huge_and_tiny_numbers(rng, estimator, scale):
    """Squares leave float32, codes do not care."""
    x = rng.standard_normal((800, 8), dtype=np.float32)
    for bits in (4, 8):
        decoded = estimator(4, bits).fit(x * np.float32(scale)).encode(x * np.float32(scale)).decode()
        error = np.linalg.norm(decoded.astype(np.float64) / scale - x) / np.linalg.norm(x)
        assert error < (0.35 if bits == 4 else 0.1)


@pytest.mark.parametrize("estimator", [ak.PQ, ak.OPQ])
def test_same_bytes_for_any_threads(rng, estimator):
    x = rng.standard_normal((9000, 20), dtype=np.float32)
    one, more, other = (estimator(5, 4, seed=seed, threads=threads).fit(x) for threads, seed in ((1, 1), (7, 1), (1, 2)))
    assert one.codebook_.tobytes() == more.codebook_.tobytes() != other.codebook_.tobytes()


CHECK = """
import hashlib
import numpy as np
import annkern as ak
x = np.random.default_rng(0).standard_normal((5000, 30), dtype=np.float32)
q = x[:37] + np.float32(0.1)
digest = hashlib.sha256()
for bits, m in ((4, 30), (4, 7), (8, 7)):
    codec = ak.PQ(m, bits, metric="cosine").fit(x)
    store = codec.encode(x)
    digest.update(codec.codebook_.tobytes() + store.arrays["codes"].tobytes() + store.decode().tobytes())
    for metric in ("sqeuclidean", "inner_product", "cosine"):
        digest.update(ak.pairwise(q, store, metric).tobytes() + ak.knn(store, q[:1], 9, metric)[0].tobytes())
print(digest.hexdigest())
"""


def test_same_bytes_on_every_level():
    assert_equal_on_every_level(CHECK)


def test_bad_input(rng):
    x = rng.standard_normal((40, 6), dtype=np.float32)
    for call, message in (
        (lambda: ak.PQ(3, 5), "bits: expected 4 or 8, got 5"),
        (lambda: ak.PQ(0), "m: expected 1 or more"),
        (lambda: ak.PQ(7).fit(x), "m: expected at most the 6 dimensions of x, got 7"),
        (lambda: ak.OPQ(7).fit(x), "m: expected at most the 6 dimensions of x, got 7"),
        (lambda: ak.compress(x, "pq7x4"), "m: expected at most the 6 dimensions"),
        (lambda: ak.PQ(3, sample=0).fit(x), "sample: expected 1 or more"),
        (lambda: ak.compress(x, "pq3x5"), r"spec: expected one of .* pq<m>x4 .*; did you mean 'pq"),
        (lambda: ak.compress(x, "pq0x8"), "spec: expected one of"),
        (lambda: ak.compress(x, "opqx8"), "spec: expected one of"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    x[11, 2] = np.nan
    with pytest.raises(ValueError, match="row 11"):
        ak.PQ(3).fit(x)


def anisotropic(rng, n, d, metric):
    x = data(rng, n, d, "normal")
    return x / np.linalg.norm(x, axis=1, keepdims=True) if metric == "sqeuclidean" else x


@pytest.mark.parametrize("metric", ["inner_product", "cosine", "sqeuclidean"])
@pytest.mark.parametrize("bits", [4, 8])
def test_anisotropic_codes_are_the_references(rng, bits, metric):
    for n, d, m in ((300, 12, 5), (33, 7, 7), (70, 5, 1)):
        x = anisotropic(rng, n, d, metric)
        if metric != "sqeuclidean":
            x[3] = 0
        codec = ak.PQ(m, bits, metric=metric, iterations=5, threshold=0.3)
        _, codes = made(codec, x)
        want = reference.encode_anisotropic(x, codec.codebook_, 0.3)
        assert (codes == want).all(axis=1).mean() > 0.98  # losses that are nearly equal
        if metric == "cosine":
            assert ak.distances(codec.encode(x), x[:1], np.array([[3]]), metric)[0, 0] == 1
        plain = ak.PQ(m, bits, metric=metric, iterations=5).fit(x)
        assert plain.codebook_.tobytes() == codec.codebook_.tobytes()


def test_anisotropic_codes_need_fewer_candidates(rng):
    """Rows that are alike: of those of a plain code about half as many have to be ordered by the finer form."""
    centres = data(rng, 40, 32, "normal")
    x = (centres[rng.integers(0, 40, 4000)] + data(rng, 4000, 32, "normal")).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    q, base = x[:200], x[200:]
    true = ak.knn(base, q, 10, "inner_product")[1]
    missed = []
    for spec in ("pq16x4", "apq16x4"):
        store = ak.compress(base, spec, "inner_product")
        assert store.spec == spec and store.kind == "pq"
        found = ak.knn(store, q, 30)[1]
        missed.append(1 - (found[:, :, None] == true[:, None]).any(axis=1).mean())
    assert missed[1] < 0.9 * missed[0], missed


def test_anisotropic_codes_are_for_inner_products(rng):
    x = data(rng, 50, 8, "normal")
    with pytest.raises(ValueError, match="metric: expected inner_product or cosine for 'apq4x4', or rows of length 1, got"):
        ak.compress(x, "apq4x4")
    for wrong in (1.0, -0.1):
        with pytest.raises(ValueError, match=r"threshold: expected a number in \[0, 1\), got"):
            ak.PQ(4, 4, threshold=wrong)
    for threads in (1, 3):
        store = ak.compress(x, "apq4x4", "cosine", threads=threads)
        assert store.arrays["codes"].tobytes() == ak.compress(x, "apq4x4", "cosine").arrays["codes"].tobytes()
