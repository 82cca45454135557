# SPDX-License-Identifier: Apache-2.0
"""Graphs go to faiss, hnswlib and CAGRA, whose searches find what ours does, and come back as they were."""

from __future__ import annotations

import numpy as np
import pytest
from test_graph import check_invariants, gaussian, reached, recall

import annkern as ak

N, D, K = 4000, 24, 10
METRICS = {"sqeuclidean": "l2", "inner_product": "ip", "cosine": "cosine"}


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.fixture(scope="module", params=METRICS)
def built(request) -> tuple[ak.Graph, np.ndarray, np.ndarray, np.ndarray, float]:
    """Graph, rows, queries, true neighbours, and the recall of our own search at a window of 60."""
    x, q = gaussian(N, D), gaussian(200, D, 1)
    graph = ak.build_graph(x, request.param, 24, 48)
    true = ak.knn(x, q, K, request.param)[1]
    return graph, x, q, true, recall(ak.search_graph(graph, x, q, K, window=60)[1], true)


def same_edges(a: ak.Graph, b: ak.Graph) -> float:
    pairs = zip(a.neighbors.tolist(), b.neighbors.tolist(), strict=True)
    return float(np.mean([set(own) - {-1} == set(other) - {-1} for own, other in pairs]))


@pytest.mark.parametrize("kind", ["hnsw", "nsg"])
def test_faiss_searches_it(built, kind):
    faiss = pytest.importorskip("faiss")
    graph, x, q, true, ours = built
    index = graph.to_faiss(x, kind)
    assert isinstance(index, {"hnsw": faiss.IndexHNSWFlat, "nsg": faiss.IndexNSG}[kind])
    if kind == "hnsw":
        index.hnsw.efSearch = 60
    else:
        index.nsg.search_L = 60
    _, ids = index.search(unit(q) if graph.metric == "cosine" else q, K)
    assert recall(ids, true) >= ours - 0.01
    back = ak.Graph.of(index, metric=graph.metric)
    assert back.entries.tolist() == graph.entries[:1].tolist()
    assert same_edges(back, graph) > 0.999
    again = faiss.deserialize_index(faiss.serialize_index(index))
    assert again.ntotal == N and recall(again.search(unit(q) if graph.metric == "cosine" else q, K)[1], true) > 0.8


def test_hnswlib_reads_it(built, tmp_path):
    hnswlib = pytest.importorskip("hnswlib")
    graph, x, q, true, ours = built
    graph.save_hnswlib(tmp_path / "graph.bin", x)
    index = hnswlib.Index(METRICS[graph.metric], D)
    index.load_index(str(tmp_path / "graph.bin"), max_elements=N + 10)
    index.set_ef(60)
    ids, _ = index.knn_query(q, K)
    assert recall(ids.astype(np.int64), true) >= ours - 0.01
    assert same_edges(ak.Graph.of(index, metric=graph.metric), graph) > 0.999
    index.add_items(gaussian(10, D, 3), np.arange(N, N + 10))
    assert index.get_current_count() == N + 10
    index.save_index(str(tmp_path / "again.bin"))


def test_cagra(built):
    graph, x, q, true, ours = built
    lists = graph.to_cagra()
    assert lists.dtype == np.uint32 and lists.shape == graph.shape and (lists < N).all()
    ordered = np.sort(lists, axis=1)
    assert (ordered[:, 1:] != ordered[:, :-1]).all() and not (lists == np.arange(N)[:, None]).any()
    for own, full in zip(graph.neighbors, lists, strict=True):
        there = own[own >= 0]
        assert (full[: len(there)] == there).all()
    again = ak.Graph.of(lists, graph.entries, graph.metric)
    assert recall(ak.search_graph(again, x, q, K, window=60)[1], true) >= ours - 0.01


@pytest.mark.parametrize("n, degree", [(0, 4), (1, 4), (3, 8), (40, 64)])
def test_few_rows(n, degree, tmp_path):
    x = gaussian(n, 5)
    graph = ak.build_graph(x, degree=degree)
    lists = graph.to_cagra()
    assert lists.shape == (n, degree) and (lists < max(n, 1)).all()
    for row, (own, full) in enumerate(zip(graph.neighbors, lists, strict=True)):
        there = own[own >= 0].tolist()
        assert full[: len(there)].tolist() == there and set(full.tolist()) <= set(range(n))
        assert n == 1 or row not in full
    graph.save_hnswlib(tmp_path / "few.bin", x)
    k = min(n, 3)
    if n == 0:
        return
    true = ak.knn(x, x, k)[1]
    pytest.importorskip("faiss")
    for kind in ("hnsw", "nsg"):
        np.testing.assert_array_equal(np.sort(graph.to_faiss(x, kind).search(x, k)[1]), np.sort(true))
    hnswlib = pytest.importorskip("hnswlib")
    index = hnswlib.Index("l2", 5)
    index.load_index(str(tmp_path / "few.bin"))
    np.testing.assert_array_equal(np.sort(index.knn_query(x, k)[0].astype(np.int64)), np.sort(true))


def test_parts_that_one_entry_does_not_reach():
    pytest.importorskip("faiss")
    x = np.concatenate([gaussian(50, 4, seed) + 1000 * seed for seed in range(20)])
    near = ak.knn(x, x, 9)[1][:, 1:]
    graph = ak.Graph.of(near)
    assert len(graph.entries) >= 20
    index = graph.to_faiss(x)
    assert (ak.Graph.of(index).entries == graph.entries[:1]).all()
    index.hnsw.efSearch = 1000
    np.testing.assert_array_equal(index.search(x, 1)[1][:, 0], np.arange(len(x)))


def test_more_parts_than_entries():
    """Nothing is left out in silence: edges are added, and a warning says so."""
    pairs = np.arange(6000).reshape(-1, 2)[:, ::-1].reshape(-1, 1).astype(np.int32)
    with pytest.warns(UserWarning, match="1024 entries reach 2048 of 6000 rows"):
        graph = ak.Graph.of(pairs)
    check_invariants(graph, 6000, 1)
    with pytest.warns(UserWarning, match="edges were added"):
        graph = ak.Graph.of(np.concatenate([pairs, np.full_like(pairs, -1)], axis=1))
    check_invariants(graph, 6000, 2)
    assert reached(graph).all()
    assert (graph.neighbors[:, 0] == pairs[:, 0]).all(), "where there is room, no edge goes"
    with pytest.raises(ValueError, match="neighbors: expected lists of 1 or more"):
        ak.Graph.of(np.empty((2000, 0), np.int32))


def test_wrong_arguments(tmp_path):
    x = gaussian(100, 6)
    graph = ak.build_graph(x, degree=8)
    with pytest.raises(ValueError, match="kind: expected hnsw or nsg, got 'hnswflat'"):
        graph.to_faiss(x, "hnswflat")
    with pytest.raises(ValueError, match="vectors: expected 100 rows, as the graph has, got 99"):
        graph.save_hnswlib(tmp_path / "x", x[:99])
    for dtype in ("float64", ">f4", "complex64"):
        with pytest.raises(TypeError, match=r"vectors: expected float32.*; cast it"):
            graph.save_hnswlib(tmp_path / "x", x.astype(dtype))
    with pytest.raises(ValueError, match=r"metric: expected sqeuclidean, .*which hnswlib has, got 'cityblock'"):
        ak.build_graph(x, "cityblock", 8).save_hnswlib(tmp_path / "x", x)
