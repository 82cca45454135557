# SPDX-License-Identifier: Apache-2.0
"""RaBitQ and sign bits: codes, decodes and keys are the reference's, bit for bit; the estimates are unbiased."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import assert_equal_on_every_level

import annkern as ak
from annkern.reference import rabitq as reference
from annkern.stores.rabitq import padded, random_signs, unpack

BITS = range(1, 9)
METRICS = ["sqeuclidean", "euclidean", "inner_product", "cosine"]
DIMS = [1, 3, 63, 64, 65, 200, 1000]
BINARY = [{}, {"threshold": "mean"}, {"threshold": "median"}, {"rotation": True}, {"threshold": "mean", "rotation": True}]


def data(rng, n, d, kind="normal"):
    x = rng.standard_normal((n, d), dtype=np.float32)
    if kind == "shifted":
        x = x * np.float32(0.01) + np.float32(3)
    elif kind == "huge":
        x = x * np.float32(1e15)
    elif kind == "tiny":
        x = x * np.float32(1e-15)
    elif kind == "constant":
        x[:] = np.float32(0.3)
    elif kind == "some zero":
        x[::3] = 0
    elif kind == "constant dims":
        x[:, ::2] = 7
    elif kind == "uneven":
        x = x * np.geomspace(1e-6, 1e6, n, dtype=np.float32)[:, None]
    return x


def oracle(store):
    a, n = store.arrays, store.numbers
    return reference.Rabitq(
        n["bits"], a["mean"], a["axis"], a["signs"], bool(n["binary"]), bool(n["own_terms"]), a.get("terms"), a.get("offset")
    )


def parts(store):
    """Codes (n, D) and terms (n, 4) of a store's rows."""
    rows, bits = store.arrays["rows"], store.numbers["bits"]
    width = padded(store.shape[1]) * bits // 8
    codes = unpack(rows[:, :width], bits)
    if not store.numbers["own_terms"]:
        return codes, np.repeat(store.arrays["terms"], len(rows), axis=0)
    return codes, np.ascontiguousarray(rows[:, width:]).view(np.float32)


def same_as_reference(rng, codec, x, metrics):
    store = codec.fit(x).encode(x)
    definition = oracle(store)
    (codes, terms), (want_codes, want_terms) = parts(store), definition.encode(x)
    np.testing.assert_array_equal(codes, want_codes)
    assert terms.tobytes() == want_terms.tobytes()
    assert store.decode().tobytes() == definition.decode(codes, terms).tobytes()
    q = (x[rng.integers(0, len(x), 35)] + data(rng, 35, x.shape[1]) * x.std()).astype(np.float32)
    q[1] = 0
    for metric in metrics:
        want = definition.keys(q, codes, terms, metric)
        got = ak.pairwise(q, store, metric)
        np.testing.assert_array_equal(-got if metric == "inner_product" else got, want, err_msg=metric)
    return store


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("d", DIMS)
def test_the_references_bits(rng, bits, d):
    same_as_reference(rng, ak.RaBitQ(bits), data(rng, 41, d), METRICS)


@pytest.mark.parametrize("kind", ["shifted", "huge", "tiny", "constant", "some zero", "constant dims", "uneven"])
@pytest.mark.parametrize("bits", [1, 3, 4, 8])
def test_the_references_bits_of_uncommon_rows(rng, bits, kind):
    store = same_as_reference(rng, ak.RaBitQ(bits), data(rng, 33, 100, kind), METRICS)
    assert np.isfinite(store.decode()).all()


@pytest.mark.parametrize("options", BINARY)
@pytest.mark.parametrize("d", DIMS)
def test_the_references_sign_bits(rng, options, d):
    x = data(rng, 41, d) + np.float32(0.5)
    store = same_as_reference(rng, ak.BinaryQuantizer(**options), x, METRICS)
    # What is left is the rounding of the queries; a row that decodes to nearly nothing has no direction to speak of.
    for metric in METRICS if d >= 63 else METRICS[:3]:
        want = ak.pairwise(x, store.decode(), metric)
        assert np.abs(ak.pairwise(x, store, metric) - want).max() <= 0.25 * max(1.0, np.abs(want).max()), metric


def test_bytes_of_a_row():
    x = np.ones((3, 384), np.float32)
    assert [ak.compress(x, f"rabitq{bits}").arrays["rows"].shape[1] for bits in BITS] == [48 * bits + 16 for bits in BITS]
    assert ak.compress(x, "bin").arrays["rows"].shape[1] == 48
    assert ak.compress(x[:, :65], "rabitq1").arrays["rows"].shape[1] == 32


@pytest.mark.parametrize("d", [40, 64, 100])
def test_sign_bits_are_packed_bits(rng, d):
    x = data(rng, 200, d)
    rows = ak.compress(x, "bin").arrays["rows"]
    packed = np.packbits(x >= 0, axis=1, bitorder="little")
    np.testing.assert_array_equal(rows, np.pad(packed, ((0, 0), (0, rows.shape[1] - packed.shape[1]))))
    _, idx = ak.knn(rows, rows[:5], 1, "hamming")
    assert (idx[:, 0] == np.arange(5)).all()


@pytest.mark.parametrize("d", [1, 64, 65, 384, 1000])
def test_rotation_is_orthogonal(rng, d):
    signs, x = random_signs(7, d), data(rng, 9, padded(d))
    assert set(np.unique(signs)) == {-1, 1} and abs(signs.mean(dtype=float)) < 0.2
    z = reference.rotate(x, signs)
    np.testing.assert_allclose(z @ z.T, x @ x.T, atol=2e-4 * d**0.5 + 1e-4)
    np.testing.assert_allclose(reference.rotate_back(z, signs), x, atol=1e-5)
    assert not np.array_equal(signs, random_signs(8, d))


def estimates(rng, bits, metric="inner_product", shift=0.0, n=3000, m=40, d=256):
    """Errors of the estimates over seeds, queries and rows, and their bounds."""
    errors, bounds = [], []
    x, q = data(rng, n, d) + np.float32(shift), data(rng, m, d) + np.float32(shift)
    ids = np.broadcast_to(np.arange(n), (m, n)).copy()
    want = reference_distances(q, x, metric)
    for seed in range(2):
        store = ak.RaBitQ(bits, seed=seed).fit(x).encode(x)
        errors.append(store.distances(q, ids, metric) - want)
        bounds.append(store.error_bounds(q, ids, metric))
    return np.stack(errors), np.stack(bounds)


def reference_distances(q, x, metric):
    q, x = q.astype(np.float64), x.astype(np.float64)
    products = q @ x.T
    if metric == "inner_product":
        return products
    if metric == "cosine":
        return 1 - products / np.linalg.norm(q, axis=1)[:, None] / np.linalg.norm(x, axis=1)
    squared = (q * q).sum(axis=1)[:, None] + (x * x).sum(axis=1) - 2 * products
    return np.sqrt(squared) if metric == "euclidean" else squared


def test_unbiased_and_half_the_error_a_bit(rng):
    rms = []
    for bits in BITS:
        errors, bounds = estimates(rng, bits)
        means = errors.mean(axis=2).ravel()  # of each rotation and query
        assert abs(means.mean()) < 3 * means.std() / np.sqrt(means.size), bits
        rms.append(float(np.sqrt((errors**2).mean())))
        assert 0.03 < (np.abs(errors) > bounds).mean() < 0.08, bits
    ratios = np.divide(rms[1:], rms[:-1])
    assert (ratios > 0.4).all() and (ratios < 0.6).all(), ratios


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bits", [1, 4])
def test_bounds_hold_under_every_metric(rng, bits, metric):
    errors, bounds = estimates(rng, bits, metric, shift=0.2, n=1000)
    assert 0.005 < (np.abs(errors) > bounds).mean() < 0.09


def test_bounds_refuse_what_has_none(rng):
    x = data(rng, 30, 10)
    store = ak.compress(x, "rabitq2")
    assert np.isinf(store.error_bounds(x[:2], np.array([[0, -1], [-1, 3]]))).sum() == 2
    assert (store.error_bounds(x[:2], np.array([[0], [1]]), e0=3.8) > store.error_bounds(x[:2], np.array([[0], [1]]))).all()
    for other in ("bin", "lvq8"):
        with pytest.raises(ValueError, match="store: expected one of rabitq1"):
            ak.compress(x, other).error_bounds(x[:2], np.array([[0], [1]]))
    with pytest.raises(ValueError, match="metric"):
        store.error_bounds(x[:2], np.array([[0], [1]]), "cityblock")


@pytest.mark.parametrize("metric", METRICS)
def test_a_mean_far_from_zero_costs_nothing(rng, metric):
    """Estimates keep their errors when rows and queries move away together."""
    near, _ = estimates(rng, 2, "sqeuclidean", n=500)
    far, _ = estimates(rng, 2, metric, shift=100.0, n=500)
    scale = {"sqeuclidean": 1, "euclidean": 0.5 / 22, "inner_product": 0.5, "cosine": 0.5 / (100.0**2 * 256)}[metric]
    rounding = 2e-7 * (100.0**2 * 256 if metric == "inner_product" else 1)  # of float32 itself
    assert np.sqrt((far**2).mean()) < 1.2 * scale * np.sqrt((near**2).mean()) + rounding


def test_products_with_decoded_rows_are_the_estimates(rng):
    x, q = data(rng, 300, 100, "shifted"), data(rng, 20, 100)
    for bits in (1, 4, 8):
        store = ak.compress(x, f"rabitq{bits}")
        want = q.astype(np.float64) @ store.decode().astype(np.float64).T
        error = np.abs(ak.pairwise(q, store, "inner_product") - want)
        length = np.linalg.norm(store.decode() - store.arrays["mean"], axis=1)
        step = np.abs(q).max() * 1.5 / {1: 31, 4: 127, 8: 16256}[bits]
        assert (error <= step * length * 3 + 1e-5 * np.abs(want)).all()


def test_zero_rows_and_equal_rows(rng):
    x = np.zeros((40, 65), np.float32)
    for spec in ("rabitq1", "rabitq5", "bin"):
        store = ak.compress(x, spec)
        assert (store.decode() == 0).all()
        assert ak.knn(store, x[:2], 3)[1].tolist() == [[0, 1, 2]] * 2
    x[:] = data(rng, 1, 65)
    for bits in BITS:
        store = ak.compress(x, f"rabitq{bits}")
        np.testing.assert_allclose(store.decode(), x, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(ak.pairwise(x[:1], store), 0, atol=1e-4)


@pytest.mark.parametrize("wrong", [0, 9, 1.5, "1", True])
def test_bits_that_are_none(wrong):
    with pytest.raises(ValueError, match="bits: expected 1 to 8"):
        ak.RaBitQ(wrong)


def test_thresholds(rng):
    x = data(rng, 50, 8) + np.arange(8, dtype=np.float32)
    np.testing.assert_allclose(ak.BinaryQuantizer(threshold="median").fit(x).threshold_, np.median(x, axis=0), rtol=1e-6)
    np.testing.assert_array_equal(ak.BinaryQuantizer(threshold=np.arange(8)).fit(x).threshold_, np.arange(8))
    for wrong in ("mode", np.ones(7), np.full(8, np.nan)):
        with pytest.raises(ValueError, match="threshold: expected"):
            ak.BinaryQuantizer(threshold=wrong).fit(x)


def test_numbers_beyond_float32(rng):
    x = np.zeros((4, 70), np.float32)
    x[0], x[1] = 3e38, -3e38
    x[2:] = -3e38
    with pytest.raises(ValueError, match="x: row 0 holds"):
        ak.compress(x, "rabitq2")


CHECK = """
import hashlib
import numpy as np
import annkern as ak
rng, digest = np.random.default_rng(5), hashlib.sha256()
for d in (30, 65, 384):
    x, q = rng.standard_normal((300, d), dtype=np.float32), rng.standard_normal((40, d), dtype=np.float32)
    for spec in [f"rabitq{bits}" for bits in range(1, 9)] + ["bin"]:
        store = ak.compress(x, spec)
        digest.update(store.arrays["rows"].tobytes() + store.decode().tobytes())
        for metric in ("sqeuclidean", "euclidean", "inner_product", "cosine"):
            for part in (q, q[:2]):
                digest.update(b"".join(found.tobytes() for found in ak.knn(store, part, 20, metric)))
# Tables of what bits add: large numbers, of which few fit a byte; more bytes than fit 16 bits; adjacent and chosen rows.
for d in (192, 384, 4224):
    x = rng.standard_normal((300, d), dtype=np.float32)
    x[0], x[1] = 1, -1
    q, chosen = np.sign(rng.standard_normal((2, d), dtype=np.float32)), np.arange(300) % 4 != 1
    q[0] = 1
    for spec in ("rabitq1", "bin"):
        store = ak.compress(x, spec)
        for one in (q[:1], q[1:]):
            for mask in (None, chosen):
                keys, ids = ak.knn(store, one, 200, "inner_product", filter=mask)
                digest.update(keys.tobytes() + ids.tobytes())
print(digest.hexdigest())
"""


def test_equal_bits_on_every_level():
    assert_equal_on_every_level(CHECK)
