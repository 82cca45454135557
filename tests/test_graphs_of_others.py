# SPDX-License-Identifier: Apache-2.0
"""Graphs that others made: what they have deleted stays out, their metric comes along, and no shape of graph is too much."""

from __future__ import annotations

import numpy as np
import pytest
from test_graph import check_invariants, gaussian, recall

import annkern as ak

N, D = 600, 8
SPACES = {"l2": "sqeuclidean", "ip": "inner_product", "cosine": "cosine"}
FAISS_METRICS = {
    "METRIC_L2": "sqeuclidean",
    "METRIC_INNER_PRODUCT": "inner_product",
    "METRIC_L1": "cityblock",
    "METRIC_Linf": "chebyshev",
}


def hnswlib_index(x: np.ndarray, space: str = "l2", labels: np.ndarray | None = None):
    index = pytest.importorskip("hnswlib").Index(space, x.shape[1])
    index.init_index(len(x), M=12, ef_construction=100, random_seed=1)
    index.add_items(x if labels is None else x[labels], np.arange(len(x)) if labels is None else labels, num_threads=1)
    return index


@pytest.fixture(scope="module")
def with_deleted() -> tuple[np.ndarray, np.ndarray, ak.Graph]:
    """Rows, which of them are deleted, and the graph."""
    x = gaussian(N, D)
    deleted = np.random.default_rng(1).random(N) < 0.3
    index = hnswlib_index(x, labels=np.random.default_rng(2).permutation(N))
    for row in np.flatnonzero(deleted):
        index.mark_deleted(row)
    return x, deleted, ak.Graph.of(index)


def filters(passing: np.ndarray) -> list[np.ndarray]:
    packed = np.packbits(np.pad(passing, (0, -N % 32)), bitorder="little").view(np.uint32)
    return [passing, packed, np.tile(passing, (9, 1)), np.tile(packed, (9, 1))]


def test_deleted_rows_are_not_returned(with_deleted, backend):
    x, deleted, graph = with_deleted
    np.testing.assert_array_equal(graph.deleted, deleted)
    there, rows, q = graph.convert(backend.array), backend.array(x), x[deleted][:9]
    true = ak.knn(x, q, 10, filter=~deleted)[1]
    for _ in range(2):
        found = backend.numpy(ak.search_graph(there, rows, backend.array(q), 10)[1])
        assert not np.isin(found, np.flatnonzero(deleted)).any() and recall(found, true) > 0.95
    odd = np.arange(N) % 2 == 1
    true = ak.knn(x, q, 10, filter=odd & ~deleted)[1]
    for filter in filters(odd):
        found = backend.numpy(ak.search_graph(there, rows, backend.array(q), 10, filter=backend.array(filter))[1])
        np.testing.assert_array_equal(found, true)
    with pytest.raises(ValueError, match=r"filter: expected shape \(600,\)"):
        ak.search_graph(there, rows, backend.array(q), 10, filter=backend.array(odd[:-1]))


def test_deleted_rows_stay_so(with_deleted, tmp_path):
    x, deleted, graph = with_deleted
    store = ak.compress(x, "lvq8")
    want = ak.search_graph(graph, store, x, 1)[1]
    assert not np.isin(want, np.flatnonzero(deleted)).any()
    graph.save(tmp_path / "graph.safetensors")
    graph.save_hnswlib(tmp_path / "graph.bin", x)
    index = pytest.importorskip("hnswlib").Index("l2", D)
    index.load_index(str(tmp_path / "graph.bin"))
    assert not np.isin(index.knn_query(x, 1)[0].astype(np.int64), np.flatnonzero(deleted)).any()
    import pickle

    for again in (ak.load(tmp_path / "graph.safetensors"), pickle.loads(pickle.dumps(graph)), ak.Graph.of(index)):
        np.testing.assert_array_equal(again.deleted, deleted)
        assert not again.deleted.flags.writeable
        np.testing.assert_array_equal(ak.search_graph(again, store, x, 1)[1], want)
    pytest.importorskip("faiss")
    with pytest.raises(ValueError, match="graph: expected one without deleted rows, which faiss cannot leave out"):
        graph.to_faiss(x)
    with pytest.raises(ValueError, match=r"graph\.deleted: expected \(600,\) bool"):
        ak.Graph(graph.neighbors, graph.entries, deleted=deleted[:-1])
    assert ak.Graph.of(hnswlib_index(x)).deleted is None


@pytest.mark.parametrize("space", SPACES)
def test_the_space_of_hnswlib(space):
    x = gaussian(N, D) * np.random.default_rng(0).lognormal(0, 1, (N, 1)).astype(np.float32)
    graph = ak.Graph.of(hnswlib_index(x, space))
    assert graph.metric == SPACES[space]
    assert recall(ak.search_graph(graph, x, x[:50], 10, window=200)[1], ak.knn(x, x[:50], 10, SPACES[space])[1]) > 0.9
    assert ak.Graph.of(hnswlib_index(x, space), metric="cityblock").metric == "cityblock"


@pytest.mark.parametrize("metric", FAISS_METRICS)
def test_the_metric_of_faiss(metric):
    faiss = pytest.importorskip("faiss")
    index = faiss.IndexHNSWFlat(D, 12, getattr(faiss, metric))
    index.add(gaussian(N, D))
    assert ak.Graph.of(index).metric == FAISS_METRICS[metric]


def test_a_metric_of_faiss_that_is_not_here():
    faiss = pytest.importorskip("faiss")
    index = faiss.IndexHNSWFlat(D, 12, faiss.METRIC_Canberra)
    index.add(gaussian(N, D))
    with pytest.raises(ValueError, match=r"neighbors: expected an index of METRIC_L2, .*metric= beside it"):
        ak.Graph.of(index)
    assert ak.Graph.of(index, metric="cityblock").metric == "cityblock"


class Endless:
    """Has a length and items, as indexes of other libraries do, and no end."""

    def __len__(self) -> int:
        return 2**62

    def __getitem__(self, at: int) -> list[int]:
        if at > 1000:
            raise AssertionError("is read item by item")
        return [at]


def test_what_is_no_array_is_refused_unread():
    with pytest.raises(TypeError, match=r"neighbors: expected integers .*Endless"):
        ak.Graph.of(Endless())
    usearch = pytest.importorskip("usearch.index")
    index = usearch.Index(ndim=D)
    index.add(np.arange(N), gaussian(N, D))
    with pytest.raises(TypeError, match=r"neighbors: expected integers .*usearch\.index\.Index"):
        ak.Graph.of(index)


@pytest.mark.parametrize("n", [1025, 2000])
@pytest.mark.parametrize("width", [1, 2])
def test_edges_of_rows_to_themselves(n, width):
    own = np.repeat(np.arange(n), width).reshape(n, width)
    with pytest.warns(UserWarning, match=f"1024 entries reach 1024 of {n} rows; {n - 1024} edges were added"):
        graph = ak.Graph.of(own)
    check_invariants(graph, n, width)
    given = ak.Graph(own.astype(np.int32), np.arange(n, dtype=np.int32))
    x = gaussian(n, 4)
    index = pytest.importorskip("faiss") and given.to_faiss(x)
    index.hnsw.efSearch = n
    np.testing.assert_array_equal(index.search(x[:20], 1)[1][:, 0], np.arange(20))


def test_edges_that_stand_twice_in_a_list():
    """A query on its own reads ahead: it returned such rows twice."""
    x = gaussian(N, 4)
    graph = ak.Graph.of(np.repeat(ak.knn(x, x, 9)[1][:, 1:], 2, axis=1))
    for store in (x, ak.compress(x, "f32")):
        whole = ak.search_graph(graph, store, x[:50], 10, window=20)[1]
        for row in range(50):
            np.testing.assert_array_equal(ak.search_graph(graph, store, x[row : row + 1], 10, window=20)[1][0], whole[row])


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_great_many_parts(size, monkeypatch):
    """With a few calls of NumPy for each, 100,000 take 48 s."""
    calls, unique = [], np.unique
    monkeypatch.setattr(np, "unique", lambda *a, **b: calls.append(1) or unique(*a, **b))
    n = 20_000 * size
    rows = np.arange(n)[:, None]
    steps = np.arange(1, max(size, 2))
    lists = np.where(size == 1, -1, rows // size * size + (rows + steps) % size)
    with pytest.warns(UserWarning, match="edges were added"):
        graph = ak.Graph.of(lists)
    assert len(calls) < 6000
    check_invariants(graph, n, len(steps))


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_hnswlib_adds_to_lists_of_few_places(degree, tmp_path):
    x = gaussian(200, D)
    ak.Graph.of(ak.knn(x, x, degree + 1)[1][:, 1:]).save_hnswlib(tmp_path / "graph.bin", x)
    index = pytest.importorskip("hnswlib").Index("l2", D)
    index.load_index(str(tmp_path / "graph.bin"), max_elements=400)
    index.add_items(x + np.float32(0.01), np.arange(200, 400))
    index.save_index(str(tmp_path / "again.bin"))
    index.load_index(str(tmp_path / "again.bin"))
    assert index.get_current_count() == 400
