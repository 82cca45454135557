# SPDX-License-Identifier: Apache-2.0
"""Distances of data that are hard on float32: far from zero, of outlying dimensions, rows of zeros, long rows, extremes."""

from __future__ import annotations

import numpy as np
import pytest

import annkern as ak
from annkern.stores.store import Store

F = np.float32
METRICS = ["sqeuclidean", "inner_product", "cosine"]
STORES = ["sq8", "sq4", "lvq8", "lvq4", "pq16x4", "pq16x8", "opq16x4", "rabitq4", "rabitq8"]
DATA = ["0", "10", "100", "1000", "outliers", "spread", "1e-19", "1e15"]


def far(kind, rows, d=32):
    """Normal rows: that many standard deviations from zero, with two dimensions there or 30 times as wide, or so large."""
    x = np.random.default_rng(7).standard_normal((rows, d))
    if kind == "outliers":
        x[:, :2] += 30
    elif kind == "spread":
        x[:, :2] *= 30
    elif "e" in kind:
        x *= float(kind)
    else:
        x += float(kind)
    return x.astype(F)


def nearest(x, q, metric, k=10):
    """Ids by float64, without a loss far from zero."""
    x, q = x.astype(np.float64), q.astype(np.float64)
    if metric == "inner_product":
        return np.argpartition(-(q @ x.T), k, axis=1)[:, :k]
    if metric == "cosine":
        x, q = (y / np.maximum(np.linalg.norm(y, axis=1, keepdims=True), 1e-300) for y in (x, q))
    middle = x.mean(axis=0)
    x, q = x - middle, q - middle
    return np.argpartition((x * x).sum(axis=1) - 2 * q @ x.T, k, axis=1)[:, :k]


def shared(a, b):
    return np.mean([len(set(u) & set(v)) for u, v in zip(a, b, strict=True)]) / a.shape[1]


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("spec", STORES)
def test_stores_find_what_their_decoded_rows_would(spec, kind):
    """Whether the rows lie at zero or far from it, rounding a query costs little. Where two dimensions are 30 times as wide
    as the others, 255 levels of the widest leave the others 8: that is what remains there."""
    if kind == "spread" and spec in ("pq16x4", "opq16x4"):
        pytest.skip("its tables are rounded to the widest")
    x = far(kind, 1700)
    x, q = x[:1500], x[1500:]
    for metric in METRICS:
        store = ak.compress(x, spec, metric=metric)
        true = nearest(x, q, metric)
        wanted = shared(nearest(store.decode(), q, metric), true)
        less = 0.02 if kind == "spread" else 0.009
        assert shared(ak.knn(store, q, 10, metric)[1], true) >= wanted - less, metric  # of 200 queries: 2,000 neighbours


@pytest.mark.parametrize("spec", ["lvq8", "lvq4", "sq8", "rabitq4", "pq16x4", "pq16x8"])
def test_one_query_is_as_a_batch_far_from_zero(spec):
    x = far("1000", 400)
    q = x[:40] + F(0.5)
    for metric in METRICS:
        store = ak.compress(x, spec, metric=metric)
        whole = ak.pairwise(q, store, metric)
        assert whole.tobytes() == b"".join(ak.pairwise(one[None], store, metric).tobytes() for one in q)
        ids = np.tile(np.arange(0, 400, 7), (40, 1))
        assert store.distances(q, ids, metric).tobytes() == np.ascontiguousarray(whole[:, ::7]).tobytes()


@pytest.mark.parametrize("spec", ["lvq8", "rabitq4", "pq16x4"])
def test_stores_without_an_offset_are_searched(spec, tmp_path):
    """Files of before this was kept."""
    x = far("10", 300)
    store = ak.compress(x, spec, metric="cosine")
    assert {"offset", "tilts"} & store.arrays.keys()
    new = {"offset", "tilts", *(["mean"] if spec.startswith("pq") else [])}
    arrays = {name: array for name, array in store.arrays.items() if name not in new}
    store = Store(store.kind, store.spec, store.shape, arrays, store.numbers, store.metric)
    store.save(tmp_path / "old.safetensors")
    old = ak.load(tmp_path / "old.safetensors")
    assert old.arrays.keys() == store.arrays.keys()
    assert np.abs(ak.pairwise(x[:9], old, "cosine") - ak.pairwise(x[:9], old.decode(), "cosine")).max() < 0.01


SPECS = ["f32", "f16", "bf16", "sq8", "sq4", "lvq8", "lvq4", "lvq4x4", "lvq4x8", "leanvec64:lvq4,lvq8", "pq96x4", "pq96x8"]
SPECS += ["opq24x4", "rabitq1", "rabitq3", "rabitq8", "bin"]


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("shift", [0.2, 0.0, 30.0])
def test_a_row_of_zeros_is_at_distance_1(spec, shift):
    x = (np.random.default_rng(0).standard_normal((500, 96)) + shift).astype(F)
    x[7] = 0
    q = (np.random.default_rng(1).standard_normal((40, 96)) + shift).astype(F)
    store = ak.compress(x, spec, metric="cosine")
    for level in [store] if store.secondary is None else [store, store.primary, store.secondary]:
        dist = ak.pairwise(q, level, "cosine")
        assert (dist >= 0).all() and (dist <= 2).all()
        assert (dist[:, 7] == 1).all()
    if shift:
        assert not (ak.knn(store, q, 5, "cosine")[1] == 7).any()


@pytest.mark.parametrize("spec", ["sq8", "sq4", "lvq8", "lvq4", "rabitq4", "rabitq8"])
def test_a_row_that_rounding_hides_is_at_distance_1(spec):
    """Far shorter than the steps of its codes: what it decodes to points anywhere."""
    x = (np.random.default_rng(0).standard_normal((500, 96)) + 30).astype(F)
    x[7] *= F(1e-7)
    store = ak.compress(x, spec, metric="cosine")
    assert (ak.pairwise(x[10:50], store, "cosine")[:, 7] == 1).all()


@pytest.mark.parametrize(
    "spec", ["lvq8", "lvq4", "lvq4x8", "sq8", "rabitq1", "rabitq4", "rabitq8", "pq8x4", "pq8x8", "opq8x4"]
)
def test_the_same_bytes_on_every_backend_far_from_zero(backend, spec):
    x = far("30", 150)
    x[4], x[9] = 0, x[9] * F(1e-7)
    q = x[::9] + F(0.3)
    for metric in METRICS:
        here, there = ak.compress(x, spec, metric=metric), ak.compress(backend.array(x), spec, metric=metric)
        for name, array in here.arrays.items():
            assert np.ascontiguousarray(backend.numpy(there.arrays[name])).tobytes() == array.tobytes(), name
        assert backend.numpy(there.decode()).tobytes() == here.decode().tobytes()
        for rows in (q, q[:1]):
            got = backend.numpy(ak.pairwise(backend.array(rows), there, metric))
            want = ak.pairwise(rows, here, metric)
            if spec == "lvq4x8":  # float32 sums: not the CPU's last bits
                np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)
            else:
                assert np.ascontiguousarray(got).tobytes() == want.tobytes(), metric


@pytest.mark.parametrize("d", [65, 384, 1536, 4096, 5000])
def test_cosine_finds_every_duplicate(d):
    x = np.random.default_rng(d).standard_normal((60, d), dtype=F)
    dist = ak.pairwise(x, x, "cosine")
    assert (dist >= 0).all() and (dist <= 2).all()
    lims, _, ids = ak.radius(x, x, 1e-6, "cosine")
    assert all(i in ids[lims[i] : lims[i + 1]] for i in range(60))


def lanes(q, x, width=16):
    """Products in float32 as one register of chains makes them, from float64 products rounded once a step."""
    sums = np.zeros((len(q), len(x), width), F)
    q, x = (np.pad(y, ((0, 0), (0, -y.shape[1] % width))).astype(np.float64) for y in (q, x))
    for j in range(0, q.shape[1], width):
        sums = (sums + q[:, None, j : j + width] * x[None, :, j : j + width]).astype(F)
    while sums.shape[2] > 1:
        sums = sums[:, :, ::2] + sums[:, :, 1::2]
    return sums[:, :, 0]


@pytest.mark.parametrize("d", [384, 1536, 4096, 20_000])
def test_sums_of_many_dimensions_keep_their_digits(d):
    """As the sums of 16 chains side by side do, which is how other libraries add."""
    x = np.random.default_rng(d).standard_normal((24, d)).astype(F)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    exact = x.astype(np.float64) @ x.T.astype(np.float64)
    others = np.abs(lanes(x, x) - exact)
    for few in (True, False):  # rows in lanes, and queries
        got = np.concatenate([ak.pairwise(q[None], x, "ip") for q in x]) if few else ak.pairwise(x, x, "ip")
        error = np.abs(got - exact)
        assert np.sqrt((error**2).mean()) <= 1.9 * np.sqrt((others**2).mean())  # one chain over all: 4 to 25
    assert np.abs((1 - ak.pairwise(x, x, "cosine")) - exact).max() <= 3 * max(np.abs(others).max(), 2.0**-24)


@pytest.mark.skipif(ak.backends()["cpu"]["isa"] == "baseline", reason="it rounds twice a dimension")
@pytest.mark.parametrize("dtype", [F, np.float16, np.uint8])
@pytest.mark.parametrize("d", [65, 200, 1100, 4200, 8300])
def test_chains_end_at_the_same_dimensions_on_every_backend(backend, dtype, d):
    """In tiles, for few queries and for chosen rows: the bits of the CPU."""
    rng = np.random.default_rng(d)
    x, q = (
        rng.integers(0, 250, (40, d)).astype(dtype),
        rng.standard_normal((20, d)).astype(F if dtype is np.uint8 else dtype),
    )
    ids = rng.integers(0, 40, (20, 3))
    for metric in ("sqeuclidean", "inner_product", "cosine", "cityblock"):
        want = ak.pairwise(q, x, metric)
        for few in (1, 20):
            got = backend.numpy(ak.pairwise(backend.array(q[:few]), backend.array(x), metric))
            assert got.tobytes() == want[:few].tobytes()
        chosen = backend.numpy(ak.distances(backend.array(x), backend.array(q), backend.array(ids), metric))
        assert chosen.tobytes() == np.take_along_axis(want, ids, axis=1).tobytes()


@pytest.mark.parametrize("metric", ["chebyshev", "cityblock", "sqeuclidean", "cosine"])
@pytest.mark.parametrize("queries", [1, 40])
def test_nan_comes_last(backend, metric, queries):
    x = np.random.default_rng(0).standard_normal((50, 70), dtype=F)
    x[3, 5], x[9, 69], x[11] = np.nan, np.nan, np.nan
    q = np.random.default_rng(1).standard_normal((queries, 70), dtype=F)
    base = backend.array(x)

    def distances():
        return backend.numpy(ak.pairwise(backend.array(q), base, metric, check_finite=False))

    assert (np.isfinite(distances()) != np.isnan(x).any(axis=1)).all()  # reported as infinite
    last = backend.numpy(ak.knn(base, backend.array(q[:1]), 50, metric, check_finite=False)[1])[0, -3:]
    assert set(last) == {3, 9, 11}
    near = ak.radius(base, backend.array(q), 1e9, metric, check_finite=False)[2]
    assert not np.isin([3, 9, 11], backend.numpy(near)).any()
    q[0, 0] = np.nan
    assert not np.isfinite(distances()[0]).any()


def test_very_long_and_very_short_rows_have_no_direction():
    x = np.ones((6, 40), F)
    x[1], x[2], x[3], x[4] = 3e38, -3e38, 1e-42, 1e37
    x[2, ::2] = 3e38
    for queries in (x[:1], np.tile(x[:1], (40, 1))):
        np.testing.assert_allclose(ak.pairwise(queries, x, "cosine")[0], [0, 1, 1, 1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(ak.pairwise(x[1:2], x, "cosine")[0], 1)


@pytest.mark.parametrize("spec, d", [("lvq8", 140_000), ("sq8", 70_000), ("rabitq8", 70_000)])
def test_sums_of_codes_beyond_int32(spec, d):
    x = np.random.default_rng(0).uniform(0.9, 1.0, (6, d)).astype(F)
    x[:, 0] = -1
    store = ak.compress(x, spec)
    for metric in METRICS:
        want = ak.pairwise(x[:3], store.decode(), metric)
        np.testing.assert_allclose(ak.pairwise(x[:3], store, metric), want, rtol=1e-3, atol=1e-3 * np.abs(want).max())


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_sums_of_bytes_beyond_int32_are_refused(dtype):
    x = np.ones((3, 32_769), dtype)
    with pytest.raises(ValueError, match="at most 32768 columns"):
        ak.pairwise(x, x, "ip")
    assert ak.pairwise(x.astype(np.float32), x, "ip")[0, 0] == 32_769
