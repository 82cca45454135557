# SPDX-License-Identifier: Apache-2.0
"""Indexes: built from a spec, searched, tuned, saved; graphs of other libraries."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from test_graph import check_invariants, gaussian, recall

import annkern as ak


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    return gaussian(3000, 24), gaussian(200, 24, 1)


@pytest.mark.parametrize(
    "spec",
    [
        "graph16,lvq8",
        "graph24,lvq4x8",
        "graph24,lvq4+f32",
        "graph16,f32",
        "flat,lvq4x8",
        "flat,f16",
        "ivf,soar,lvq8+f16",
        "ivf90,lvq4x8",
    ],
)
@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
def test_build_and_search(data, spec, metric):
    x, q = data
    index = ak.Index.build(x, spec, metric)
    dist, ids = index.search(q, 10, window=100, probes=45)
    assert recall(ids, ak.knn(x, q, 10, metric)[1]) > 0.9
    assert dist.dtype == np.float32 and ids.dtype == np.int64
    if index.graph is not None:
        check_invariants(index.graph, len(x), index.graph.shape[1])
    info = index.info()
    assert info["n"] == 3000 and info["d"] == 24 and info["nbytes"] == index.nbytes > index.store.nbytes - 1
    assert index.metric == index.info()["metric"] != "l2"


@pytest.mark.parametrize("spec", ["graph16,lvq4x8", "graph16,lvq4+f16", "flat,lvq8", "ivf40,soar,lvq4+f16", "ivf,lvq4x8"])
@pytest.mark.parametrize("mmap", [False, True])
def test_what_is_saved_gives_the_same_bytes(data, tmp_path, spec, mmap):
    x, q = data
    index = ak.Index.build(x, spec, "inner_product")
    index.window, index.rerank_k, index.expand = 40, 25, 12
    index.probes = 7 if index.lists else None
    index.save(tmp_path / "x.safetensors")
    again = ak.load(tmp_path / "x.safetensors", mmap=mmap)
    assert (again.spec, again.metric, again.window, again.rerank_k) == (spec, "inner_product", 40, 25)
    assert again.expand == 12
    assert again.probes == index.probes
    assert again.info() == index.info()
    assert [a.tobytes() for a in again.search(q, 10)] == [a.tobytes() for a in index.search(q, 10)]


def test_a_graph_is_saved(data, tmp_path):
    graph = ak.build_graph(data[0], degree=8, window=16)
    graph.save(tmp_path / "g.safetensors")
    again = ak.load(tmp_path / "g.safetensors")
    assert again.metric == graph.metric and again.neighbors.tobytes() == graph.neighbors.tobytes()
    assert again.entries.tobytes() == graph.entries.tobytes()


@pytest.mark.parametrize("wrong", [3000, -2])
def test_a_file_cannot_lead_out_of_the_rows(data, tmp_path, wrong):
    graph = ak.build_graph(data[0], degree=8, window=16)
    graph._neighbors = graph.neighbors.copy()
    graph._neighbors[5, 0] = wrong
    graph.save(tmp_path / "g.safetensors")
    with pytest.raises(ValueError, match=r"g\.safetensors: graph\.neighbors: expected rows in \[-1, 3000\), got"):
        ak.load(tmp_path / "g.safetensors", mmap=True)


def test_graphs_are_looked_at_before_kernels_trust_them():
    neighbors, entries = np.zeros((4, 2), np.int32), np.zeros(1, np.int32)
    assert ak.Graph(neighbors, entries, "l2").metric == "sqeuclidean"
    for wrong, words in [
        ((neighbors + 4, entries), r"graph.neighbors: expected rows in \[-1, 4\), got 4 to 4"),
        ((neighbors - 2, entries), r"graph.neighbors: expected rows in \[-1, 4\), got -2 to -2"),
        ((neighbors, entries + 4), r"graph.entries: expected rows in \[0, 4\), got 4 to 4"),
        ((neighbors, entries - 1), r"graph.entries: expected rows in \[0, 4\), got -1 to -1"),
        ((neighbors, entries[:0]), "entries: expected one or more for 4 rows, got 0"),
        ((neighbors[:0], entries), "entries: expected none for 0 rows, got 1"),
        ((neighbors[0], entries), r"neighbors, entries: expected \(n, degree\) and \(e,\), got \(2,\) and \(1,\)"),
        ((neighbors.astype(np.int64), entries), "graph.neighbors: expected a row-major array of int32, got .* int64"),
        ((neighbors, entries, "l3"), "metric: expected sqeuclidean, .*got 'l3'"),
    ]:
        with pytest.raises(ValueError, match=words):
            ak.Graph(*wrong)


def test_build_of_two_runs_is_one_file(data, tmp_path):
    for name, threads in (("a", 1), ("b", 7)):
        ak.Index.build(data[0], "graph16,lvq4x8", threads=threads).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("spec", ["graph24,lvq4x8", "graph24,lvq4+f32", "graph24,f32", "flat,lvq4x8"])
@pytest.mark.parametrize("wanted", [0.8, 0.97])
def test_tune_finds_the_least(data, spec, wanted):
    x, q = data
    index = ak.Index.build(x, spec)
    true = ak.knn(x, q, 10)[1]
    tuned = ak.tune(index, q, true, wanted)
    assert tuned.recall >= wanted
    expand = tuned.expand or tuned.window

    def reached(window, rerank_k, expand):
        return recall(index.search(q, 10, window=window, rerank_k=rerank_k, expand=expand)[1], true)

    assert reached(tuned.window, tuned.rerank_k, expand) == pytest.approx(tuned.recall)
    if index.graph is not None and expand > 1:
        fewer = tuned.window - (expand == tuned.window > 10)
        assert reached(fewer, fewer if index.reranks else None, expand - 1) < wanted
    if index.reranks and tuned.rerank_k > 10:
        assert reached(tuned.window, tuned.rerank_k - 1, expand) < wanted


def test_tune_expands_fewer_rows_than_are_asked_for(data):
    """A window of 100 finds more than is asked for, and cannot be narrower."""
    x, q = data
    index = ak.Index.build(x, "graph24,lvq4+f32")
    true = ak.knn(x, q, 100)[1]
    tuned = ak.tune(index, q, true, 0.8)
    assert tuned.expand < 100 <= tuned.window
    index.window, index.rerank_k = tuned[:2]
    index.expand = tuned.expand
    again = pickle.loads(pickle.dumps(tuned))
    assert again == tuned and again.expand == tuned.expand and "expand=" in repr(again)
    assert recall(index.search(q, 100)[1], true) == pytest.approx(tuned.recall)
    assert recall(index.search(q, 100, expand=tuned.window)[1], true) > tuned.recall


@pytest.mark.parametrize("spec", ["ivf,soar,lvq4+f32", "ivf60,lvq8", "ivf60,soar,lvq4x8"])
@pytest.mark.parametrize("wanted", [0.8, 0.95])
def test_tune_finds_the_fewest_lists(data, spec, wanted):
    x, q = data
    index = ak.Index.build(x, spec)
    true = ak.knn(x, q, 10)[1]
    tuned = ak.tune(index, q, true, wanted)
    assert tuned.recall >= wanted and tuned.probes > 1
    index.probes, index.rerank_k = tuned.probes, tuned.rerank_k
    assert recall(index.search(q, 10)[1], true) == pytest.approx(tuned.recall)
    if index.reranks:
        assert recall(index.search(q, 10, rerank_k=tuned.rerank_k - 1)[1], true) < wanted or tuned.rerank_k == 10
    else:
        assert recall(index.search(q, 10, probes=tuned.probes - 1)[1], true) < wanted
    window, depth, reached = tuned
    assert (window, depth, reached) == (64, tuned.rerank_k, tuned.recall) and f"probes={tuned.probes}" in repr(tuned)


@pytest.mark.parametrize("wrong", ["ivf0,lvq8", "ivf,soar", "ivf,sore,lvq8", "soar,lvq8", "ivf4,4,lvq8", "ivf-3,lvq8"])
def test_specs_of_lists_are_checked(data, wrong):
    with pytest.raises(ValueError, match=r"spec: expected|n_lists: expected"):
        ak.Index.build(data[0][:100], wrong)


def test_lists_and_store_of_a_file_fit(data, tmp_path):
    index = ak.Index.build(data[0][:500], "ivf,soar,lvq8+f16")
    for lists in (None, ak.build_lists(data[0][:500], 9)):
        index.store = ak.compress(data[0][:500], "lvq8", lists=lists)
        index.save(tmp_path / "x.safetensors")
        with pytest.raises(ValueError, match=r"x\.safetensors: store: expected one"):
            ak.load(tmp_path / "x.safetensors")


def test_tune_says_what_cannot_be_reached(data):
    x, q = data
    with pytest.raises(ValueError, match=r"reaches 0.* at most; take a finer store"):
        ak.tune(ak.Index.build(x, "graph16,lvq4"), q, ak.knn(x, q, 10)[1], 1.0)


@pytest.mark.parametrize(
    "wrong", [{"window": "64"}, {"window": 0}, {"rerank_k": [5]}, {"rerank_k": -1}, {"expand": 0}, {"metric": "l3"}]
)
def test_files_hold_numbers_that_search_takes(data, tmp_path, wrong):
    index = ak.Index.build(data[0][:50], "graph8,lvq4+f32")
    vars(index).update(wrong)
    index.save(tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=rf"x\.safetensors: .*{next(iter(wrong))}: expected"):
        ak.load(tmp_path / "x.safetensors")


def test_wrong_rerank_k(data):
    index = ak.Index.build(data[0][:50], "graph8,lvq4+f32")
    assert index.search(data[1], 5, rerank_k=2)[1].shape == (len(data[1]), 5)  # raised to k
    for wrong, error in ((0, ValueError), (2.5, TypeError), ("a", TypeError)):
        with pytest.raises(error, match="rerank_k: expected"):
            index.search(data[1], 5, rerank_k=wrong)


@pytest.mark.parametrize("spec", ["flat,lvq4", "flat,bin"])
def test_tune_of_a_flat_index(data, spec):
    """Of one level there is nothing to widen: it reaches what it reaches, or that is said."""
    x, q = data
    index, truth = ak.Index.build(x, spec), ak.knn(x, q, 10)[1]
    reached = recall(index.search(q, 10)[1], truth)
    assert reached < 0.999
    assert ak.tune(index, q, truth, reached - 0.001) == (10, None, pytest.approx(reached))
    for wanted in (reached + 0.001, 1.0):
        with pytest.raises(ValueError, match=rf"recall: expected {wanted}, but '{spec}' reaches {reached:.4f} at most"):
            ak.tune(index, q, truth, wanted)


def test_wrong_arguments_of_tune(data):
    x, q = data
    index, truth = ak.Index.build(x, "flat,lvq4"), ak.knn(x, q, 5)[1]
    with pytest.raises(TypeError, match="recall: expected a number, got str"):
        ak.tune(index, q, truth, "high")
    with pytest.raises(ValueError, match="truth: expected a row of neighbours for each query"):
        ak.tune(index, np.float32(1), truth)


def test_wrong_specs(data):
    for spec in ("graph,lvq8", "ivf,", "lvq8", "flat", "graph16,lvq8+f32+f16"):
        with pytest.raises(ValueError, match="spec: expected 'flat,<store>', 'graph<degree>,<store>' or 'ivf"):
            ak.Index.build(data[0], spec)
    with pytest.raises(ValueError, match="did you mean 'lvq8'"):
        ak.Index.build(data[0], "graph16,lvq9")
    with pytest.raises(ValueError, match="degree: expected 1 or more, got 0"):
        ak.Index.build(data[0], "graph0,lvq8")


@pytest.mark.parametrize("spec", ["graph24,lvq8", "graph24,lvq4+f32", "graph24,f32"])
@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_the_order_of_rows_does_not_show(data, tmp_path, spec, metric):
    x, q = data
    plain, ordered = (ak.Index.build(x, spec, metric, reorder=reorder) for reorder in (False, True))
    check_invariants(ordered.graph, len(x), 24)
    assert sorted(ordered.order) == list(range(len(x))) and not np.array_equal(ordered.order, np.arange(len(x)))
    true = ak.knn(x, q, 10, metric)[1]
    found = ordered.search(q, 10, window=100)
    assert recall(found[1], true) > recall(plain.search(q, 10, window=100)[1], true) - 0.01
    if "f32" in spec:
        assert found[0].tobytes() == ak.distances(x, q, found[1], metric).tobytes()
    passing = np.random.default_rng(5).random(len(x)) < 0.3
    packed = np.packbits(np.append(passing, np.zeros(-len(x) % 32, bool)), bitorder="little").view(np.uint32)
    for filter in (passing, packed, np.broadcast_to(passing, (len(q), len(x)))):
        kept = ordered.search(q, 10, window=100, filter=filter)[1]
        assert passing[kept].all() and recall(kept, ak.knn(x, q, 10, metric, filter=passing)[1]) > 0.9
    out = np.empty((len(q), 10), np.float32), np.empty((len(q), 10), np.int64)
    assert ordered.search(q, 10, window=100, out=out)[1] is out[1]
    np.testing.assert_array_equal(out[1], found[1])
    ordered.save(tmp_path / "x.safetensors")
    np.testing.assert_array_equal(ak.load(tmp_path / "x.safetensors").search(q, 10, window=100)[1], found[1])


def test_an_order_and_ties():
    x = np.repeat(gaussian(300, 6), 3, axis=0)
    index = ak.Index.build(x, "graph16,f32", reorder=True)
    ids = index.search(x[::3], 3, window=60)[1]
    assert (ids == np.arange(900).reshape(-1, 3)).mean() > 0.99
    with pytest.raises(ValueError, match="reorder: expected False without a graph"):
        ak.Index.build(x, "flat,f32", reorder=True)
    with pytest.raises(ValueError, match=r"filter: expected shape \(900,\)"):
        index.search(x[:2], 3, filter=np.ones(899, bool))
    for filter in (np.ones(900), np.ones(900, ">i4"), np.array(["a"])):
        with pytest.raises(TypeError, match="filter: expected bool or uint32, got"):
            index.search(x[:2], 3, filter=filter)
    with pytest.raises(ValueError, match=r"filter: expected shape \(900,\).*got \(\)"):
        index.search(x[:2], 3, filter=np.array(True))
    none = ak.Index.build(x[:0], "graph16,f32", reorder=True)
    assert (none.search(x[:2], 3)[1] == -1).all()


def test_hnswlib(data):
    hnswlib = pytest.importorskip("hnswlib")
    x, q = data
    labels = np.random.default_rng(3).permutation(len(x))
    theirs = hnswlib.Index("l2", x.shape[1])
    theirs.init_index(len(x) + 100, M=12, ef_construction=100)
    theirs.add_items(x[labels], labels)
    graph = ak.Graph.of(theirs)
    assert graph.shape == (len(x), 24)
    assert recall(ak.search_graph(graph, x, q, 10, window=100)[1], ak.knn(x, q, 10)[1]) > 0.95
    theirs = hnswlib.Index("l2", x.shape[1])
    theirs.init_index(10, M=12)
    theirs.add_items(x[:10], np.arange(10) + 5)
    with pytest.raises(ValueError, match="expected labels 0 to n - 1"):
        ak.Graph.of(theirs)


@pytest.mark.parametrize("name", ["IndexHNSWFlat", "IndexNSGFlat"])
def test_faiss(data, name):
    faiss = pytest.importorskip("faiss")
    x, q = data
    theirs = getattr(faiss, name)(x.shape[1], 24)
    theirs.add(x)
    graph = ak.Graph.of(theirs)
    assert recall(ak.search_graph(graph, ak.compress(x, "lvq8"), q, 10, window=100)[1], ak.knn(x, q, 10)[1]) > 0.9


def test_empty_indexes_of_other_libraries():
    faiss, hnswlib = pytest.importorskip("faiss"), pytest.importorskip("hnswlib")
    for theirs in (faiss.IndexHNSWFlat(6, 8), faiss.IndexNSGFlat(6, 16)):
        assert ak.Graph.of(theirs).shape == (0, 16)
    with pytest.raises(ValueError, match=r"neighbors: expected an hnswlib\.Index with init_index or load_index"):
        ak.Graph.of(hnswlib.Index("l2", 6))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_the_largest_number_of_an_unsigned_type_is_none(dtype):
    none = np.iinfo(dtype).max
    assert ak.Graph.of(np.array([[none, 1], [0, none]], dtype), [0]).neighbors.tolist() == [[1, -1], [0, -1]]


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64"])
def test_arrays_of_neighbours(data, dtype):
    x, q = data
    near = ak.knn(x, x, 13)[1][:, 1:].astype(dtype)
    near[::3, 5:8] = np.iinfo(dtype).max if dtype == "uint32" else -1  # holes in the middle of a list
    graph = ak.Graph.of(near)
    check_invariants(graph, len(x), 12)
    assert recall(ak.search_graph(graph, x, q, 10, window=200)[1], ak.knn(x, q, 10)[1]) > 0.8
    near[7, 2] = len(x)
    with pytest.raises(ValueError, match=r"neighbors: expected rows in \[0, 3000\).*got 3000 in row 7"):
        ak.Graph.of(near)
    with pytest.raises(TypeError, match="neighbors: expected integers"):
        ak.Graph.of(x)
    with pytest.raises(ValueError, match=r"entries: expected rows in \[0, 3000\)"):
        ak.Graph.of(near[:, :2], [3000])


def test_a_converted_index_keeps_its_order(rng):
    x = rng.standard_normal((600, 16), dtype=np.float32)
    index = ak.Index.build(x, "graph16,lvq4+f32", reorder=True)
    moved = index.convert(np.copy)
    assert moved.graph.neighbors is not index.graph.neighbors
    np.testing.assert_array_equal(moved.search(x[:20], 5)[1], index.search(x[:20], 5)[1])
    np.testing.assert_array_equal(moved.search(x[:20], 1, window=200)[1][:, 0], np.arange(20))
