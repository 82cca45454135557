# SPDX-License-Identifier: Apache-2.0
"""What every store must do, on every backend. Specs come from the registry: a new store is tested by being there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from oracle import assert_selected

import annkern as ak
from annkern.reference import METRICS
from annkern.stores.registry import RULES, codec

SPECS = [spec for rule in RULES for spec in rule[2]]
LVQ_SPECS = [spec for spec in SPECS if spec.startswith("lvq")]
STORE_METRICS = ["sqeuclidean", "euclidean", "inner_product", "cosine"]
D = 24


def rows(rng: np.random.Generator, n: int, d: int = D) -> np.ndarray:
    """Whole numbers in the range of every element type, so that all specs take them."""
    return rng.integers(0, 50, (n, d)).astype(np.float32)


def learn(spec: str, x: np.ndarray, metric: str = "sqeuclidean") -> ak.Store:
    return ak.compress(x, spec, metric)


def there(backend, store: ak.Store) -> ak.Store:
    return store.convert(backend.array)


@pytest.fixture(params=SPECS)
def spec(request: pytest.FixtureRequest) -> str:
    return request.param


def test_shape_and_size(rng, spec):
    x = rows(rng, 300)
    store = learn(spec, x)
    assert store.spec == spec and store.shape == (300, D) and len(store) == 300
    assert store.decode().shape == (300, D) and store.decode().dtype == np.float32
    memory = {id(x): x.nbytes for level in (store, store.primary, store.secondary) if level for x in level.arrays.values()}
    memory |= {
        id(level.projection): level.projection.nbytes for level in (store.primary,) if level and level.projection is not None
    }
    assert store.nbytes == sum(memory.values())
    assert spec in repr(store)


def test_decode_of_chosen_rows(backend, rng, spec):
    store = there(backend, learn(spec, rows(rng, 300)))
    ids = np.array([7, 0, 299, 7])
    everything = backend.numpy(store.decode())
    np.testing.assert_array_equal(backend.numpy(store.decode(backend.array(ids))), everything[ids])
    for wrong, error in ((ids[None], ValueError), (ids.astype(np.int16), TypeError), (ids > 0, TypeError)):
        with pytest.raises(error, match="ids: expected"):
            store.decode(backend.array(wrong))
    for wrong in ([-1], [300]) if backend.on_host else ():
        with pytest.raises(ValueError, match=rf"ids: expected rows in \[0, 300\), got {wrong[0]} at 0"):
            store.decode(np.array(wrong))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.int8, np.uint8])
def test_queries_of_any_type(backend, spec, dtype):
    """Whole numbers that all types hold."""
    x = np.random.default_rng(2).integers(0, 100, (60, D)).astype(np.float32)
    store = there(backend, learn(spec, x))
    want, got = (ak.knn(store, backend.array(x[:3].astype(kind)), 4) for kind in (np.float32, dtype))
    for one, other in zip(want, got, strict=True):
        assert backend.numpy(one).tobytes() == backend.numpy(other).tobytes()


def test_knn_is_what_pairwise_sorts(backend, rng, spec):
    """Each level by itself; results are the same for one query and for many, for all metrics."""
    n, m = (130, 5) if backend.slow else (700, 40)
    x, q = rows(rng, n), rows(rng, m)
    store = there(backend, learn(spec, x))
    for level in (store.primary, store.secondary) if store.primary else (store,):
        if level is store:  # of a residual store, the finer level is the store itself
            level = ak.Store(level.kind, level.spec, level.shape, level.arrays, level.numbers)
        for metric in STORE_METRICS:
            all_distances = backend.numpy(ak.pairwise(backend.array(q), level, metric))
            for part in (slice(None), slice(2, 3)):
                found = ak.knn(level, backend.array(q[part]), 10, metric)
                assert_selected(*map(backend.numpy, found), all_distances[part], metric)


def test_distances_are_those_to_decoded_rows(rng, spec):
    """Integer kernels round the query; the difference stays small against the spread of distances."""
    x, q = rows(rng, 400), rows(rng, 20)
    store = learn(spec, x)
    for metric in STORE_METRICS:
        want = ak.pairwise(q, store.decode(), metric)
        for level in (store, store.primary):
            if level is None or level.shape[1] != D:
                continue
            got = ak.pairwise(q, level, metric)
            near = ak.pairwise(q, level.decode(), metric) if level is not store else want
            assert np.corrcoef(got.ravel(), near.ravel())[0, 1] > 0.98, metric


def test_distances_to_chosen_rows(backend, rng, spec):
    n, m = (60, 3) if backend.slow else (500, 11)
    x, q = rows(rng, n), rows(rng, m)
    store = there(backend, learn(spec, x))
    ids = rng.integers(-1, n, (m, 7))
    for metric in STORE_METRICS:
        got = backend.numpy(ak.distances(store, backend.array(q), backend.array(ids), metric))
        everything = backend.numpy(ak.pairwise(backend.array(q), store, metric))
        want = np.where(ids < 0, np.float32(METRICS[metric].missing), np.take_along_axis(everything, np.maximum(ids, 0), 1))
        assert got.tobytes() == want.tobytes()


def test_two_levels_in_one_call(backend, rng, spec):
    n, m = (150, 3) if backend.slow else (900, 20)
    x, q = rows(rng, n), rows(rng, m)
    store = there(backend, learn(spec, x, "inner_product"))
    if store.primary is None:
        pytest.skip(f"{spec} has one level")
    queries = backend.array(q)
    found = ak.knn(store, queries, 5, "inner_product", rerank_k=30)
    by_hand = ak.knn(store.primary, queries, 5, "inner_product", rerank=store.secondary, rerank_k=30)
    for got, want in zip(found, by_hand, strict=True):
        assert backend.numpy(got).tobytes() == backend.numpy(want).tobytes()
    exact = ak.pairwise(q, learn(spec, x).decode(), "inner_product")
    kept = np.take_along_axis(exact, backend.numpy(found[1]), 1)
    assert (kept[:, 0] >= np.sort(exact, axis=1)[:, -5]).all()


def test_filters_and_radius(backend, rng, spec):
    n, m = (120, 3) if backend.slow else (600, 9)
    x, q = rows(rng, n), rows(rng, m)
    store = there(backend, learn(spec, x)).fine
    level = ak.Store(store.kind, store.spec, store.shape, store.arrays, store.numbers)
    everything = backend.numpy(ak.pairwise(backend.array(q), level))
    passes = rng.random((m, n)) < 0.3
    found = ak.knn(level, backend.array(q), 10, filter=backend.array(passes))
    assert_selected(*map(backend.numpy, found), everything, "sqeuclidean", passes)
    r = float(np.median(everything))
    lims, dist, idx = map(backend.numpy, ak.radius(level, backend.array(q), r))
    near = everything <= r
    np.testing.assert_array_equal(np.diff(lims), near.sum(axis=1))
    np.testing.assert_array_equal(idx, np.nonzero(near)[1])
    assert dist.tobytes() == everything[near].tobytes()


def test_same_bytes_for_any_threads_and_blocks(rng, spec):
    x, q = rows(rng, 5000), rows(rng, 33)
    made = codec(spec, "inner_product").fit(x)
    whole = made.encode(x, threads=1)
    for other in (made.encode(x, threads=7), made.encode(iter([x[:1], x[1:1700], x[1700:]]))):
        for mine, theirs in zip(whole._all_arrays(), other._all_arrays(), strict=True):
            assert np.asarray(mine).tobytes() == np.asarray(theirs).tobytes()
    want = ak.knn(whole, q, 12, "inner_product", threads=1)
    many = ak.knn(whole, q, 12, "inner_product", threads=7)
    alone = [ak.knn(whole, q[i : i + 1], 12, "inner_product") for i in range(len(q))]
    for part in (0, 1):
        assert want[part].tobytes() == many[part].tobytes() == b"".join(found[part].tobytes() for found in alone)


def test_encode_on_the_backend_is_encode_on_the_host(backend, rng, spec):
    x = rows(rng, 90)
    made = codec(spec).fit(x)
    here, there_ = made.encode(x), made.encode(backend.array(x))
    for mine, theirs in zip(here._all_arrays(), there_._all_arrays(), strict=True):
        assert np.asarray(mine).tobytes() == backend.numpy(theirs).tobytes()


@pytest.mark.parametrize("n, d", [(0, 5), (1, 1), (3, 2), (40, 63), (40, 65)])
def test_small_and_odd_shapes(rng, spec, n, d):
    x = rows(rng, max(n, 2), d)[:n]
    try:
        store = learn(spec, x)
    except ValueError as error:
        assert "expected" in str(error)  # too few rows or dimensions for this spec: said so
        return
    dist, idx = ak.knn(store, rows(rng, 2, d), 5)
    assert (idx[:, : min(n, 5)] >= 0).all() and (idx[:, n:] == -1).all() and np.isinf(dist[:, n:]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none(rng, spec, bad):
    x = rows(rng, 50)
    made = codec(spec).fit(x) if spec not in ("i8", "u8") else None
    x[31, 3] = bad
    with pytest.raises(ValueError, match=r"x: .*\b31\b"):
        ak.compress(x, spec)
    if made is not None and spec not in ("f32", "f16", "bf16"):
        with pytest.raises(ValueError, match="x: row 31"):
            made.encode(x)
        with pytest.raises(ValueError, match="x: row 31"):
            made.encode(iter([x[:20], x[20:]]))


def test_what_does_not_fit(rng, spec):
    x = rows(rng, 60)
    store, made = learn(spec, x), codec(spec)
    with pytest.raises(ValueError, match="fit"):
        made.encode(x)
    with pytest.raises(ValueError, match=f"expected {D} columns"):
        made.fit(x).encode(x[:, :-1])
    with pytest.raises(ValueError, match=f"queries: expected {D} columns"):
        ak.knn(store, x[:, :-1], 3)
    with pytest.raises((ValueError, TypeError), match="metric"):
        ak.knn(store, x, 3, "hamming")
    with pytest.raises(ValueError, match=r"ids: expected rows"):
        store.distances(x, np.full((60, 1), 60))
    with pytest.raises(ValueError, match="2 dimensions"):
        ak.compress(x[0], spec)


GRAMMAR = "spec: expected one of " + " · ".join(rule[1] for rule in RULES)
MALFORMED = {
    "lvq9": "lvq8", "lvq4x": "lvq4x8", "LVQ8": "lvq8", "lvq8 x8": "lvq8x8", "f33": "f32", "sq16": "sq8", "rabitq": "rabitq8",
    "rabitq0": "rabitq8", "rabitq10": "rabitq1", "pq12": "pq12x8", "pq12x5": "pq12x8", "pq012x4": "pq12x4",
    "opq12x": "opq12x8", "leanvec16:lvq4": "leanvec16:lvq4,lvq8", "leanvec:": "leanvec16:lvq4,lvq8", "": None, "flat": None,
    "zzzz": None,
}  # fmt: skip


@pytest.mark.parametrize("spec", MALFORMED)
def test_malformed_specs(spec):
    """The error shows the grammar, and the nearest spec that there is."""
    with pytest.raises(ValueError) as raised:
        ak.compress(np.zeros((2, 2), np.float32), spec)
    assert str(raised.value).startswith(GRAMMAR + f", got {spec!r}")
    if MALFORMED[spec]:
        assert str(raised.value).endswith(f"; did you mean {MALFORMED[spec]!r}?")


def test_specs_that_are_none():
    for spec in (None, 8, b"lvq8", ["lvq8"]):
        with pytest.raises(TypeError, match="spec: expected a string such as 'lvq4x8', got"):
            ak.compress(np.zeros((2, 2), np.float32), spec)
    for spec in ("leanvec16:lvq9,f32", "leanvec16:leanvec8:f32,f32"):
        with pytest.raises(ValueError, match=r"(primary|spec): expected"):
            ak.compress(np.zeros((2, 2), np.float32), spec)


def same_order(store: ak.Store, n: int) -> None:
    """All rows are equal: the nearest are the first."""
    for metric in STORE_METRICS:
        assert ak.knn(store, store.decode()[:2], 5, metric)[1].tolist() == [list(range(min(n, 5)))] * 2, metric


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_equal_rows(rng, spec, value):
    x = np.full((70, D), value, np.float32)
    if value:
        x[:] = rows(rng, 1)
    store = learn(spec, x)
    decoded = store.decode()
    assert np.isfinite(decoded).all() and (decoded == decoded[0]).all()
    if spec != "bin":  # which knows signs alone
        np.testing.assert_allclose(decoded, x, atol=(0.035 if spec == "sq4" else 0.005) * x.max(), rtol=1e-3)
    same_order(store, 70)


def test_constant_dimensions(rng, spec):
    """They say nothing, and take nothing from the others."""
    x = rows(rng, 300)
    x[:, ::3] = 9
    store = learn(spec, x)
    error = np.abs(store.decode() - x)
    assert np.isfinite(error).all()
    if not spec.startswith(("bin", "rabitq1", "pq", "opq")):  # too coarse to tell
        assert error[:, ::3].mean() <= 1.2 * max(error.mean(), 1e-6)
    assert np.isfinite(ak.knn(store, x[:9], 3)[0]).all()


@pytest.mark.parametrize("n", [1, 2, 5, 17, 20])
def test_rows_fewer_than_dimensions(rng, spec, n):
    """And than codewords, and than a block holds."""
    x = rows(rng, n)
    store = learn(spec, x)
    assert np.isfinite(store.decode()).all()
    dist, idx = ak.knn(store, x, n)
    assert (np.sort(idx, axis=1) == np.arange(n)).all() and np.isfinite(dist).all()


@pytest.mark.parametrize("scale", [1e6, 1e-8, 2.0**60, 2.0**-60])
def test_numbers_beyond_binary16(rng, spec, scale):
    """Scales of rows are kept in binary16 by some stores: what they hold is as good as at other magnitudes."""
    if spec in ("i8", "u8"):
        pytest.skip("whole numbers alone")
    x = rng.standard_normal((300, D), dtype=np.float32)
    if spec == "f16":
        if scale > 1:
            x[:40] *= np.float32(1 / scale)
            with pytest.raises(ValueError, match=r"x: row 4\d holds a number that float16 cannot hold"):
                learn(spec, x * np.float32(scale))
        return
    near, far = learn(spec, x).decode(), learn(spec, x * np.float32(scale)).decode() / scale
    if scale in (2.0**60, 2.0**-60) and not spec.startswith(("opq", "leanvec")):
        np.testing.assert_allclose(far, near, rtol=2e-2, atol=2e-2 if "4" in spec else 5e-3)
    assert np.square(far - x).mean() <= 1.15 * np.square(near - x).mean() + 1e-12


def test_store_and_queries_of_other_dimensions(backend, rng, spec):
    store = there(backend, learn(spec, rows(rng, 60)))
    for d in (0, 1, D - 1, D + 1, 2 * D):
        q = backend.array(np.zeros((2, d), np.float32))
        ids = backend.array(np.zeros((2, 1), np.int64))
        for call in (
            lambda: ak.knn(store, q, 3),  # noqa: B023
            lambda: ak.pairwise(q, store),  # noqa: B023
            lambda: ak.radius(store, q, 1.0),  # noqa: B023
            lambda: ak.distances(store, q, ids),  # noqa: B023
            lambda: ak.knn(store, q, 3, rerank=store),  # noqa: B023
        ):
            with pytest.raises(
                ValueError, match=rf"queries: expected {D} columns, as (base|store) has, got shape \(2, {d}\)"
            ):
                call()


# The kernel's own record of the peak, which can be set back; ru_maxrss begins with that of the process that has forked.
MEMORY = """
import sys, numpy as np, annkern as ak
from annkern.stores.registry import codec
from pathlib import Path

def status(field):
    return int(next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(field)).split()[1]) / 1024

path, spec, given = sys.argv[1:]
x = np.load(path, mmap_mode="r")
made = codec(spec).fit(x[:2000].copy())
made.encode(x[:20000].copy())
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
blocks = (x[i : i + 20_000] for i in range(0, len(x), 20_000))
store = made.encode(x if given == "map" else blocks)
print(status("VmHWM") - before, store.nbytes / 2**20)
"""


@pytest.fixture(scope="module")
def large_file(tmp_path_factory):
    """147 MB of float32."""
    path = tmp_path_factory.mktemp("large") / "x.npy"
    x = np.lib.format.open_memmap(path, "w+", np.float32, (600_000, 64))
    x[:] = np.tile(np.random.default_rng(0).standard_normal((2000, 64), dtype=np.float32), (300, 1))
    return path


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no /proc")
@pytest.mark.parametrize("given", ["map", "blocks"])
@pytest.mark.parametrize("spec", ["f16", "sq8", "lvq4x8", "pq16x8", "pq32x4", "rabitq2", "bin", "leanvec32:lvq8,f16"])
def test_floats_are_never_in_memory_as_a_whole(large_file, spec, given):
    program = [sys.executable, "-c", MEMORY, str(large_file), spec, given]
    peak, out = map(float, subprocess.check_output(program, text=True).split())
    assert 0.9 * out < peak < 1.1 * out + 64


def test_maps_that_may_be_written_to_keep_what_was_written(rng, tmp_path):
    np.save(tmp_path / "x.npy", rows(rng, 40_000))
    for mode in ("c", "r+", "r"):
        x = np.load(tmp_path / "x.npy", mmap_mode=mode)
        if mode != "r":
            x[30_000:] = 17
        before = x.copy()
        ak.compress(x, "lvq8")
        np.testing.assert_array_equal(x, before)


def test_progress(rng, spec, capsys):
    x = rows(rng, 300)
    made = codec(spec).fit(x)
    made.encode(x)
    made.encode(iter([x]))
    assert capsys.readouterr().err == ""
    made.encode(iter([x[:100], x[100:]]), progress=True)
    assert capsys.readouterr().err == "encode: 300 rows\n"
    if spec != "f32":  # the array itself
        made.encode(x, progress=True)
        assert capsys.readouterr().err == "encode: 300 of 300 rows (100%)\n"


@pytest.mark.parametrize("spec", ["f16", "sq8", "lvq4x8", "rabitq1", "rabitq4", "bin"])
def test_no_dimensions(spec):
    """All rows are equal, and none of their numbers is read."""
    store = ak.compress(np.empty((5, 0), np.float32), spec)
    assert store.decode().shape == (5, 0)
    np.testing.assert_array_equal(ak.knn(store, np.empty((2, 0), np.float32), 3)[1], [[0, 1, 2]] * 2)
