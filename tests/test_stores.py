# SPDX-License-Identifier: Apache-2.0
"""What every store must do, on every backend. Specs come from the registry: a new store is tested by being there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from oracle import assert_selected

import annkern as ak
from annkern.compress import RULES, codec
from annkern.reference import METRICS

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


@pytest.mark.parametrize(
    "spec, hint", [("lvq9", "lvq"), ("lvq4x", "lvq4x"), ("LVQ8", "lvq8"), ("f33", "f32"), ("", "f32"), ("flat", "lvq8")]
)
def test_malformed_specs(spec, hint):
    with pytest.raises(ValueError, match=r"spec: expected one of f32 f16 .* lvq8 lvq4") as raised:
        ak.compress(np.zeros((2, 2), np.float32), spec)
    if spec not in ("", "flat"):
        assert f"did you mean '{hint}" in str(raised.value)


# The kernel's own record of the peak, which can be set back; ru_maxrss begins with that of the process that has forked.
MEMORY = """
import sys, numpy as np, annkern as ak
from annkern.compress import codec
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
    bar = capsys.readouterr().err
    assert "encode 100 rows" in bar and bar.endswith("\rencode 300 rows \n")
    if spec != "f32":  # the array itself
        made.encode(x, progress=True)
        assert capsys.readouterr().err == "\rencode 300 rows 100.0%\n"
