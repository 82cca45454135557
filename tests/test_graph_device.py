# SPDX-License-Identifier: Apache-2.0
"""Graph search on devices: the definition, and what the CPU finds, over every store and filter, whichever way the blocks
share the work. Up to 32 queries with a window of 32 or more are searched by several blocks each, all others by one."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import BACKENDS
from test_graph import METRICS, gaussian, recall, whole_numbers

import annkern as ak
from annkern import reference
from annkern.runtime.backend import load
from annkern.stores.registry import RULES

DEVICES = [name for name in BACKENDS if name != "cpu"]
SPECS = [spec for rule in RULES for spec in rule[2] if spec not in ("i8", "u8")]  # those are in test_types
ALONE, SHARED = 40, 7  # queries
FUSED = load("cpu").backend_info()["isa"] != "baseline"

pytestmark = pytest.mark.skipif(not DEVICES, reason="no device backend here")


@pytest.fixture(params=DEVICES)
def device(request, monkeypatch):
    if request.param == "emu":
        monkeypatch.setenv("ANNKERN_DEVICE", "emu")
    return BACKENDS[request.param]()


def search(device, graph, base, queries, k, **options):
    """On the device, as NumPy arrays; whatever is an array, or has convert, is moved there first."""

    def there(x):
        return x.convert(device.array) if hasattr(x, "convert") else device.array(x) if isinstance(x, np.ndarray) else x

    moved = {name: there(value) for name, value in options.items()}
    found = ak.search_graph(there(graph), there(base), there(queries), k, **moved)
    return tuple(device.numpy(x) for x in found)


def same(a, b):
    assert [x.tobytes() for x in a] == [x.tobytes() for x in b]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k, window", [(1, 1), (5, 3), (10, 17), (40, 64)])
def test_search_is_the_definition(device, metric, k, window):
    x, q = whole_numbers(400, 9), whole_numbers(ALONE, 9, 1)
    graph = ak.build_graph(x, metric, 8, 20)
    for queries in (q, q[:SHARED]):
        dist, ids = search(device, graph, x, queries, k, window=window)
        want = reference.search_graph(graph.neighbors, graph.entries, x, queries, k, window, metric)
        np.testing.assert_array_equal(ids, want[1])
        np.testing.assert_allclose(dist, want[0], rtol=1e-6)


@pytest.mark.parametrize("k, window, expand", [(40, 40, 7), (40, 64, 1), (10, 80, 33), (5, 30, 1000)])
def test_rows_behind_the_first_are_not_expanded(device, k, window, expand):
    x, q = whole_numbers(400, 9), whole_numbers(ALONE, 9, 1)
    graph = ak.build_graph(x, degree=8, window=20)
    for queries in (q, q[:SHARED]):
        ids = search(device, graph, x, queries, k, window=window, expand=expand)[1]
        want = reference.search_graph(graph.neighbors, graph.entries, x, queries, k, window, expand=expand)[1]
        np.testing.assert_array_equal(ids, want)


@pytest.mark.parametrize("m", [33, SHARED])
def test_any_graph(device, m):
    """Edges at random, twice in a list, to the row itself, lists that end; more of them than a batch; several entries."""
    rng = np.random.default_rng(3)
    x, q = whole_numbers(600, 6), whole_numbers(m, 6, 1)
    for degree in (1, 31, 150):
        neighbors = rng.integers(0, 600, (600, degree)).astype(np.int32)
        neighbors[:, degree // 2 :] = np.where(rng.random((600, 1)) < 0.5, -1, neighbors[:, degree // 2 :])
        graph = ak.Graph(neighbors, rng.permutation(600)[:333].astype(np.int32))
        for window in (40, 90):
            ids = search(device, graph, x, q, 20, window=window)[1]
            want = reference.search_graph(neighbors, graph.entries, x, q, 20, window)
            np.testing.assert_array_equal(ids, want[1])


def test_more_neighbours_than_rows(device):
    x, q = whole_numbers(70, 9), whole_numbers(ALONE, 9, 1)
    graph = ak.build_graph(x, degree=8, window=20)
    for queries in (q, q[:SHARED]):
        want = reference.search_graph(graph.neighbors, graph.entries, x, queries, 90, 9)
        np.testing.assert_array_equal(search(device, graph, x, queries, 90, window=9)[1], want[1])


def test_pools_beyond_shared_memory(device):
    x, q = whole_numbers(1500, 5), whole_numbers(34, 5, 1)
    graph = ak.build_graph(x, degree=6, window=12)
    for queries in (q, q[:1]):
        ids = search(device, graph, x, queries, 10, window=1300)[1]
        np.testing.assert_array_equal(ids, ak.search_graph(graph, x, queries, 10, window=1300)[1])


@pytest.mark.parametrize(
    "spec, metric",
    [(spec, "sqeuclidean") for spec in SPECS]
    + [(spec, metric) for spec in ("f16", "lvq8", "lvq4x8", "pq12x8", "rabitq4") for metric in ("inner_product", "cosine")],
)
def test_stores(device, spec, metric):
    """Distances are those of `distances` on the device; all is as on the CPU."""
    x, q = gaussian(1200, 64), gaussian(ALONE, 64, 1)
    store = ak.compress(x, spec, metric)
    graph = ak.build_graph(x, metric, 16, 32)
    found = search(device, graph, store, q, 10, window=40)
    same(search(device, graph, store, q[:SHARED], 10, window=40), [part[:SHARED] for part in found])
    own = ak.distances(store.convert(device.array), device.array(q), device.array(found[1]), metric)
    assert found[0].tobytes() == device.numpy(own).tobytes()
    here = ak.search_graph(graph, store, q, 10, window=40, metric=metric)
    if FUSED:
        same(found, here)
    assert abs(recall(found[1], ak.knn(x, q, 10, metric)[1]) - recall(here[1], ak.knn(x, q, 10, metric)[1])) <= 0.002


@pytest.mark.parametrize("metric", ["hamming", "jaccard"])
def test_bits(device, metric):
    x = np.random.default_rng(0).integers(0, 256, (500, 8), dtype=np.uint8)
    graph = ak.build_graph(x, metric, 16, 32)
    for m in (ALONE, SHARED):
        same(search(device, graph, x, x[:m], 5, window=60), ak.search_graph(graph, x, x[:m], 5, window=60))


@pytest.mark.parametrize("types", ["int8 int8", "uint8 uint8", "int8 float32", "float16 float16", "float16 float32"])
@pytest.mark.parametrize("metric", ["sqeuclidean", "cosine", "cityblock"])
def test_types(device, metric, types):
    own, other = types.split()
    x, q = (whole_numbers(300, 21, seed) + 9 for seed in (0, 1))
    x, q = x.astype(own), q[:ALONE].astype(other)
    graph = ak.build_graph(x, metric, 8, 20)
    same(search(device, graph, x, q, 7, window=33), ak.search_graph(graph, x, q, 7, window=33))


@pytest.fixture(scope="module")
def filtered():
    x = whole_numbers(6_003, 8)
    return ak.build_graph(x, degree=16, window=32), x


@pytest.mark.parametrize("kind", ["bool", "uint32"])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9, 1.0])
def test_filters(device, filtered, kind, shared, share):
    """With a window of 4 half the rows are too many for a scan; with 40 all shares that fail any are few enough for one."""
    graph, x = filtered
    n = len(x)
    for m, window in ((ALONE, 4), (SHARED, 4), (SHARED, 40)):
        q = whole_numbers(m, 8, 1)
        mask = np.random.default_rng(7).random((n,) if shared else (m, n)) < share
        given = mask
        if kind == "uint32":
            padded = np.concatenate([mask, np.zeros((*mask.shape[:-1], -n % 32), bool)], axis=-1)
            given = np.packbits(padded, axis=-1, bitorder="little").view(np.uint32)
        here = ak.search_graph(graph, x, q, 4, window=window, filter=given)
        same(search(device, graph, x, q, 4, window=window, filter=given), here)


def test_filter_of_wide_windows(device, filtered):
    """Most rows pass, more than a scan takes: several blocks search with a window that is wider in proportion."""
    graph, x = filtered
    mask = np.random.default_rng(7).random(len(x)) < 0.9
    q = whole_numbers(SHARED, 8, 1)
    same(search(device, graph, x, q, 4, window=35, filter=mask), ak.search_graph(graph, x, q, 4, window=35, filter=mask))


def test_filter_that_leaves_the_search_nothing(device):
    """The search visits no allowed row: all of them are scored."""
    n = 1000
    x = np.arange(n, dtype=np.float32)[:, None]
    neighbors = np.maximum(np.arange(n, dtype=np.int32)[:, None] - 1, 0)
    graph = ak.Graph(neighbors, np.array([3], np.int32))
    mask = np.arange(n) > 400
    for m in (ALONE, SHARED):
        q = np.full((m, 1), 600.2, np.float32)
        ids = search(device, graph, x, q, 3, window=4, filter=mask)[1]
        assert (ids == [600, 601, 599]).all()


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_fewer_rows_than_the_degree(device, n):
    x = gaussian(n, 6)
    graph = ak.build_graph(x, degree=16, window=8)
    for m in (ALONE, SHARED):
        q = gaussian(m, 6, 1)
        dist, ids = search(device, graph, x, q, 5, window=33)
        np.testing.assert_array_equal(ids, ak.knn(x, q, 5)[1])
        assert (np.isinf(dist) == (ids < 0)).all()


def test_no_queries_and_no_neighbours(device):
    x = gaussian(100, 6)
    graph = ak.build_graph(x, degree=8)
    assert search(device, graph, x, x[:0], 5)[1].shape == (0, 5)
    assert search(device, graph, x, x[:3], 0)[1].shape == (3, 0)


def test_duplicates(device):
    x = np.repeat(whole_numbers(60, 10), 20, axis=0)
    graph = ak.build_graph(x, degree=16, window=32)
    for m in (ALONE, SHARED):
        same(search(device, graph, x, x[:m], 30, window=40), ak.search_graph(graph, x, x[:m], 30, window=40))


@pytest.mark.parametrize("spec", ["f32", "lvq8", "lvq4x8", "pq12x8"])
def test_same_bytes_whatever_the_batches(device, spec):
    """Batches of 40 are searched by one block a query, those of 32 and fewer by several."""
    x, q = gaussian(800, 24), gaussian(ALONE, 24, 1)
    store = ak.compress(x, spec)
    graph = ak.build_graph(x, degree=12, window=24)
    whole = search(device, graph, store, q, 10, window=36, rerank=x)
    for step in (1, 7, 32):
        parts = [search(device, graph, store, q[i : i + step], 10, window=36, rerank=x) for i in range(0, len(q), step)]
        same([np.concatenate(own) for own in zip(*parts, strict=True)], whole)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_order_threads_and_blocks_run_in(device, filtered, monkeypatch, seed):
    monkeypatch.setenv("EMU_SEED", str(seed))
    graph, x = filtered
    mask = np.random.default_rng(7).random(len(x)) < 0.5
    for options in ({"window": 40}, {"window": 6, "filter": mask}):
        for m in (3, 34):
            q = whole_numbers(m, 8, 1)
            same(search(device, graph, x, q, 6, **options), ak.search_graph(graph, x, q, 6, **options))


@pytest.mark.parametrize("rerank_k", [10, 25, 36])
def test_rerank(device, rerank_k):
    x, q = gaussian(800, 24), gaussian(ALONE, 24, 1)
    store = ak.compress(x, "lvq4")
    graph = ak.build_graph(x, degree=12, window=24)
    found = search(device, graph, store, q, 10, window=36, rerank=x, rerank_k=rerank_k)
    here = ak.search_graph(graph, store, q, 10, window=36, rerank=x, rerank_k=rerank_k)
    np.testing.assert_array_equal(found[1], here[1])
    own = ak.distances(device.array(x), device.array(q), device.array(found[1]))
    assert found[0].tobytes() == device.numpy(own).tobytes()
    few = np.arange(800) < 7  # fewer than k
    missing = search(device, graph, store, q, 10, window=36, rerank=x, rerank_k=rerank_k, filter=few)
    same(missing, ak.search_graph(graph, store, q, 10, window=36, rerank=x, rerank_k=rerank_k, filter=few))


def test_index_on_a_device(device):
    x, q = gaussian(700, 32), gaussian(9, 32, 1)
    index = ak.Index.build(x, "graph16,lvq4+f16")
    moved = index.convert(device.array)
    found = [device.numpy(part) for part in moved.search(device.array(q), 5)]
    np.testing.assert_array_equal(found[1], index.search(q, 5)[1])
    assert moved.info() == index.info()
    with pytest.raises(ValueError, match="reorder: expected False for an index that moves to a device"):
        ak.Index.build(x, "graph16,lvq8", reorder=True).convert(device.array)


def test_a_graph_on_a_device_goes_out_as_it_does_from_the_host(device, tmp_path):
    x = gaussian(300, 8)
    graph = ak.build_graph(x, degree=8, window=16)
    there = graph.convert(device.array)
    np.testing.assert_array_equal(there.to_cagra(), graph.to_cagra())
    for name, own in (("host", graph), ("device", there)):
        own.save_hnswlib(tmp_path / name, x)
    assert (tmp_path / "host").read_bytes() == (tmp_path / "device").read_bytes()


def test_out_and_wrong_places(device):
    x, q = gaussian(300, 8), gaussian(5, 8, 1)
    graph = ak.build_graph(x, degree=8, window=16)
    there, rows, queries = graph.convert(device.array), device.array(x), device.array(q)
    out = device.array(np.zeros((5, 4), np.float32)), device.array(np.zeros((5, 4), np.int64))
    ak.search_graph(there, rows, queries, 4, out=out)
    same([device.numpy(part) for part in out], search(device, graph, x, q, 4))
    with pytest.raises(ValueError, match=r"graph\.neighbors: expected an array in"):
        ak.search_graph(graph, rows, queries, 4)
    with pytest.raises(ValueError, match=r"graph\.neighbors: expected an array in"):
        ak.search_graph(there, x, q, 4)
    bad = q.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"queries: .*NaN or infinity in row 3"):
        ak.search_graph(there, rows, device.array(bad), 4)
