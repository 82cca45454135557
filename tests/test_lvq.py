# SPDX-License-Identifier: Apache-2.0
"""LVQ and scalar quantization: codes, decodes and keys are the reference's, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import assert_equal_on_every_level

import annkern as ak
from annkern.reference import lvq as reference

LEVELS = [(8, 0), (4, 0), (4, 4), (4, 8), (8, 8)]
METRICS = ["sqeuclidean", "euclidean", "inner_product", "cosine"]


def data(rng, n, d, kind):
    x = rng.standard_normal((n, d), dtype=np.float32)
    if kind == "shifted":
        x = x * np.float32(0.01) + np.float32(3)
    elif kind == "huge":
        x = x * np.float32(1e6)
    elif kind == "tiny":
        x = x * np.float32(1e-8)
    elif kind == "constant":
        x[:] = np.float32(0.3)
    elif kind == "some zero":
        x[::3] = 0
    elif kind == "uneven":
        x = x * np.geomspace(1e-3, 1e3, n, dtype=np.float32)[:, None]
    return x


def made(codec, x):
    store = codec.fit(x).encode(x)
    numbers = store.numbers
    return store, {name: np.asarray(array) for name, array in store.arrays.items()}, numbers


@pytest.mark.parametrize("kind", ["normal", "shifted", "huge", "tiny", "constant", "some zero", "uneven"])
@pytest.mark.parametrize("bits, residual", LEVELS)
def test_codes_are_the_references(rng, bits, residual, kind):
    for n, d in [(1, 1), (5, 3), (40, 64), (17, 129), (9, 200)]:
        x = data(rng, n, d, kind)
        codec = ak.LVQ(bits, residual)
        store, arrays, _ = made(codec, x)
        want = reference.encode(x, codec.mean_, bits, residual, codec.exponent_, offset=codec.offset_)
        assert arrays.keys() == want.keys()
        for name in want:
            np.testing.assert_array_equal(arrays[name], want[name], err_msg=f"{name} of {n} x {d}")
        decoded = reference.decode(arrays, bits, residual, codec.exponent_)
        assert store.decode().tobytes() == decoded.tobytes()
        step = arrays["scales"][:, :1].astype(np.float64) * 2.0**codec.exponent_
        rounding = 2.0**-22 * (np.abs(x).max(initial=0) + np.abs(codec.mean_).max(initial=0))
        assert (np.abs(decoded - x) <= step / 2 / 2**residual * (1 if not residual else 2) + rounding).all()


def clusters(rng, n, d, scale=1.0):
    """Rows about a few centres far apart."""
    centres = rng.standard_normal((5, d), dtype=np.float32) * np.float32(10 * scale)
    noise = rng.standard_normal((n, d), dtype=np.float32) * np.float32(scale)
    return (centres[np.arange(n) % 5] + noise).astype(np.float32)


@pytest.mark.parametrize("scale", [1.0, 1e6, 1e-8, 1e30, 1e-30])
@pytest.mark.parametrize("bits, residual", LEVELS)
def test_centroids(rng, bits, residual, scale):
    """Each row is coded from the centroid that is nearest; codes and decodes are the reference's."""
    for n, d, centroids in [(40, 1, 2), (40, 64, 5), (300, 129, 256), (60, 200, 7)]:
        x = clusters(rng, n, d, scale)
        codec = ak.LVQ(bits, residual, centroids)
        store, arrays, numbers = made(codec, x)
        assert arrays["mean"].shape == (centroids, d) and numbers["centroids"] == centroids
        want = reference.encode(x, codec.mean_, bits, residual, codec.exponent_, offset=codec.offset_)
        assert arrays.keys() == want.keys()
        for name in want:
            np.testing.assert_array_equal(arrays[name], want[name], err_msg=f"{name} of {n} x {d}")
        assert store.decode().tobytes() == reference.decode(arrays, bits, residual, codec.exponent_).tobytes()
        step = arrays["scales"][:, :1].astype(np.float64) * 2.0**codec.exponent_
        rounding = 2.0**-22 * (np.abs(x).max() + np.abs(codec.mean_).max())
        assert (np.abs(store.decode() - x) <= step / 2 / 2**residual * (1 if not residual else 2) + rounding).all()
        wide, means = x.astype(np.float64) / scale, codec.mean_.astype(np.float64) / scale
        squares = ((wide[:, None] - means) ** 2).sum(axis=2)
        chosen = np.take_along_axis(squares, arrays["selectors"][:, None].astype(np.int64), 1)[:, 0]
        assert (chosen <= squares.min(axis=1) * (1 + d * 2.0**-22)).all()
        for name in METRICS if scale == 1.0 else ():
            got, want_keys = ak.pairwise(x[:9], store, name), ak.pairwise(x[:9], store.decode(), name)
            assert got.tobytes() == want_keys.tobytes()  # rows are decoded


def test_centroids_narrow_the_ranges(rng):
    x = clusters(rng, 2000, 32)
    errors = [np.square(ak.LVQ(4, 0, c).fit(x).encode(x).decode() - x).mean() for c in (1, 20)]
    assert errors[1] < 0.1 * errors[0]  # a tenth of the range, and k-means may miss a cluster
    one, plain = ak.LVQ(4, 8, 1).fit(x).encode(x), ak.compress(x, "lvq4x8")
    assert one.numbers == plain.numbers and one.arrays["codes"].tobytes() == plain.arrays["codes"].tobytes()


def test_centroids_by_threads_blocks_and_levels(rng):
    x, q = clusters(rng, 1500, 40), clusters(rng, 20, 40)
    codec = ak.LVQ(4, 8, 9, seed=3)
    whole = codec.fit(x).encode(x, threads=1)
    again = ak.LVQ(4, 8, 9, seed=3, threads=3).fit(x).encode(iter([x[:1], x[1:700], x[700:]]), threads=5)
    for name, array in whole.arrays.items():
        assert array.tobytes() == again.arrays[name].tobytes(), name
    assert set(whole.primary.arrays) == {"codes", "scales", "norms", "mean", "selectors"}
    found = ak.knn(whole, q, 10, rerank_k=60)
    by_hand = ak.knn(whole.primary.decode(), q, 10, rerank=whole.decode(), rerank_k=60)
    assert found[1].tobytes() == by_hand[1].tobytes()


def test_centroids_on_every_backend(backend, rng, tmp_path):
    for bits, residual in LEVELS:
        x = clusters(rng, 90, 33)
        codec = ak.LVQ(bits, residual, 6).fit(x)
        here, there = codec.encode(x), codec.encode(backend.array(x))
        for name, array in here.arrays.items():
            assert np.asarray(array).tobytes() == backend.numpy(there.arrays[name]).tobytes(), name
        assert here.decode().tobytes() == backend.numpy(there.decode()).tobytes()
        for mine, theirs in zip(ak.knn(here, x[:3], 5), ak.knn(there, backend.array(x[:3]), 5), strict=True):
            np.testing.assert_allclose(mine, backend.numpy(theirs), rtol=1e-6)
        there.save(tmp_path / "x")
        for mmap in (False, True):
            loaded = ak.load(tmp_path / "x", mmap=mmap)
            assert loaded.numbers == here.numbers and loaded.decode().tobytes() == here.decode().tobytes()


def test_equal_centroids_give_the_first(backend, rng):
    x = clusters(rng, 50, 20)
    codec = ak.LVQ(8, 0, 5).fit(x)
    codec.mean_ = np.ascontiguousarray(codec.mean_[[2, 0, 0, 2, 0]])
    chosen = backend.numpy(codec.encode(backend.array(x)).arrays["selectors"])
    assert set(chosen.tolist()) == {0, 1}


def test_centroids_that_do_not_fit(rng, tmp_path):
    x = clusters(rng, 12, 4)
    with pytest.raises(ValueError, match="n_centroids: expected at most the 12 rows of x, got 13"):
        ak.LVQ(8, 0, 13).fit(x)
    for wrong in (0, 257, 2.5, "2"):
        with pytest.raises((ValueError, TypeError), match="n_centroids: expected"):
            ak.LVQ(8, 0, wrong)
    store = ak.LVQ(8, 0, 3).fit(x).encode(x)
    store.arrays["selectors"][7] = 3  # the kernels would read behind the centroids
    store.save(tmp_path / "x")
    with pytest.raises(ValueError, match="selectors below 3"):
        ak.load(tmp_path / "x")
    with pytest.raises(ValueError, match="x: row 2"):
        ak.LVQ(8, 0, 3).fit(x).encode(np.where(np.arange(12)[:, None] == 2, np.float32(1e9), x))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bits", [4, 8])
def test_keys_are_the_references(rng, bits, metric):
    for kind in ("normal", "shifted", "huge", "some zero"):
        for n, d, m in [(7, 3, 1), (61, 64, 3), (130, 130, 40), (33, 1, 2)]:
            x, q = data(rng, n, d, kind), data(rng, m, d, kind)
            store, arrays, numbers = made(ak.LVQ(bits), x)
            want = reference.pairwise(q, arrays, bits, numbers["exponent"], metric)
            got = ak.pairwise(q, store, metric)
            assert got.tobytes() == want.astype(np.float32).tobytes()


@pytest.mark.parametrize("bits", [4, 8])
def test_scalar_quantizer(rng, bits):
    x = data(rng, 50, 70, "shifted")
    codec = ak.ScalarQuantizer(bits)
    store, arrays, _ = made(codec, x)
    want = reference.encode(x, codec.mean_, bits, 0, codec.exponent_, codec.scale_, codec.offset_)
    for name in want:
        np.testing.assert_array_equal(arrays[name], want[name], err_msg=name)
    step = float(codec.scale_[0, 0]) * 2.0**codec.exponent_
    assert np.abs(store.decode() - x).max() <= step / 2 + 1e-6
    beyond = codec.encode(np.full((1, 70), 1e4, np.float32)).decode()
    assert (beyond - codec.mean_ >= (x - codec.mean_).max() - step).all()  # clamped, not wrapped
    q = data(rng, 3, 70, "shifted")
    assert (
        ak.pairwise(q, store, "ip").tobytes()
        == reference.pairwise(q, arrays, bits, codec.exponent_, "inner_product").tobytes()
    )


def test_the_rounding_of_the_query_is_bounded(rng):
    """Each of its elements is off by half a level at most, against codes that are known."""
    x, q = rng.standard_normal((300, 96), dtype=np.float32), rng.standard_normal((20, 96), dtype=np.float32)
    store = ak.compress(x, "lvq8")
    codes = reference.unpack(store.arrays["codes"], 96, 8).sum(axis=1) * store.arrays["scales"][:, 0].astype(np.float64)
    for metric, factor in (("inner_product", 1), ("sqeuclidean", 2)):
        exact, got = ak.pairwise(q, store.decode(), metric), ak.pairwise(q, store, metric)
        centred = q - (store.arrays["mean"] if metric == "sqeuclidean" else 0)
        bound = factor * np.abs(centred).max(axis=1)[:, None] / 254 * codes
        assert (np.abs(exact - got) <= bound + 1e-3).all(), metric
        assert np.abs(exact - got).max() > 1e-3  # the query is rounded, indeed


def test_a_row_beyond_the_scales_is_refused(rng):
    codec = ak.LVQ(8).fit(rng.standard_normal((10, 4), dtype=np.float32))
    x = rng.standard_normal((9, 4), dtype=np.float32)
    x[7, 2] = -1e9
    with pytest.raises(ValueError, match=r"x: row 7 .*cannot hold.*numbers up to 6\.55e\+04"):
        codec.encode(x)
    assert codec.fit(x).encode(x).decode()[7, 2] == pytest.approx(-1e9, rel=1e-2)


@pytest.mark.parametrize("bad", [{"bits": 5}, {"bits": 8, "residual_bits": 3}, {"bits": "8"}])
def test_parameters(bad):
    with pytest.raises(ValueError, match=r"bits: expected"):
        ak.LVQ(**bad)


def test_layout_by_hand():
    """One block, written out: 8-bit element 17 is in lane 1, byte 1; 4-bit element 33 in lane 1, bits 8 to 11."""
    assert [int(x[17]) for x in reference.turbo_place(64, 8)] == [5, 0]
    assert [int(x[33]) for x in reference.turbo_place(128, 4)] == [5, 0]
    assert [int(x[16]) for x in reference.turbo_place(128, 4)] == [0, 4]


CHECK = """
import hashlib
import numpy as np
import annkern as ak
rng, digest = np.random.default_rng(5), hashlib.sha256()
for d in (30, 65, 384):
    x, q = rng.standard_normal((300, d), dtype=np.float32), rng.standard_normal((40, d), dtype=np.float32)
    means = np.ascontiguousarray(x[:70])
    for made in [ak.LVQ(8), ak.LVQ(4), ak.LVQ(4, 4), ak.LVQ(8, 8), ak.LVQ(4, 8, 70), ak.ScalarQuantizer(4)]:
        made.fit(x)
        if getattr(made, "n_centroids", 1) > 1:
            made.mean_ = means  # those of k-means are a level's own
        store = made.encode(x)
        for array in store.arrays.values():
            digest.update(array.tobytes())
        digest.update(store.decode().tobytes())
        for metric in ("sqeuclidean", "euclidean", "inner_product", "cosine") if store.numbers["residual_bits"] == 0 else ():
            for part in (q, q[:2]):
                digest.update(b"".join(found.tobytes() for found in ak.knn(store, part, 20, metric)))
print(digest.hexdigest())
"""


def test_equal_bits_on_every_level():
    assert_equal_on_every_level(CHECK)
