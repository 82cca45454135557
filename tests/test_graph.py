# SPDX-License-Identifier: Apache-2.0
"""Graphs: built and searched as the definitions say, whatever the threads and batches; every row within reach; filters."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import annkern as ak
from annkern import reference
from annkern.graphs.build_graph import SLACK, Sample, batches, insertion_order, most_candidates, strict
from annkern.graphs.build_graph import _operands as operands_of

growth = importlib.import_module("annkern.graphs.build_graph")  # the package has a function of that name
BUILDERS = pytest.mark.parametrize("method", ["vamana", "nn_descent"])
METRICS = ("sqeuclidean", "euclidean", "inner_product", "cityblock", "chebyshev")


def whole_numbers(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Small enough that float32 sums are exact, in whatever order they are made."""
    return np.random.default_rng(seed).integers(-8, 9, (n, d)).astype(np.float32)


def gaussian(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32)


def recall(found: np.ndarray, true: np.ndarray) -> float:
    wanted = [set(ids) - {-1} for ids in true.tolist()]
    shares = [len(own.intersection(ids)) / len(own) for own, ids in zip(wanted, found.tolist(), strict=True) if own]
    return float(np.mean(shares)) if shares else 1.0


def reached(graph: ak.Graph) -> np.ndarray:
    seen = np.zeros(len(graph), bool)
    seen[graph.entries] = True
    front = graph.entries
    while len(front):
        there = np.unique(graph.neighbors[front])
        front = there[(there >= 0) & ~seen[there]]
        seen[front] = True
    return seen


def check_invariants(graph: ak.Graph, n: int, degree: int) -> None:
    lists = graph.neighbors
    assert lists.shape == (n, degree) and lists.dtype == np.int32
    assert ((lists >= -1) & (lists < n)).all()
    assert not (lists == np.arange(n)[:, None]).any(), "an edge to itself"
    there = np.sort(lists, axis=1)
    assert not ((there[:, 1:] == there[:, :-1]) & (there[:, 1:] >= 0)).any(), "a double edge"
    assert not ((lists[:, 1:] >= 0) & (lists[:, :-1] < 0)).any(), "-1 stands behind the list"
    assert reached(graph).all()


def defined(x: np.ndarray, metric: str, degree: int, window: int, most: int) -> np.ndarray:
    scan = operands_of(x, metric, None)
    order, entry_count = insertion_order(scan, Sample.of(x, scan, 0), 0, None)
    room = degree + max(1, round(degree * (SLACK - 1.0)))
    alpha, n = (0.95 if metric == "inner_product" else 1.15), len(x)
    passes = [(strict(alpha, metric == "inner_product"), batches(n)), (alpha, batches(n, grows=False))]
    return reference.build_graph(x, order, entry_count, passes, degree, room, window, most, metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n, d, degree, window", [(300, 5, 6, 12), (130, 20, 4, 7)])
def test_build_is_the_definition(metric, n, d, degree, window):
    x = whole_numbers(n, d)
    graph = ak.build_graph(x, metric, degree, window)
    want = defined(x, metric, degree, window, most_candidates(window, degree + 2))
    connected = (graph.neighbors != want).any(axis=1)
    assert connected.sum() <= (~reached(ak.Graph(want, graph.entries))).sum()
    check_invariants(graph, n, degree)


@pytest.mark.parametrize("metric", METRICS)
def test_prunings_look_at_a_few_candidates(monkeypatch, metric):
    """Batches as large as the graph: rows have more sources than that, and searches expand more."""
    monkeypatch.setattr(growth, "LARGEST_BATCH", 1.0)
    monkeypatch.setattr(growth, "most_candidates", lambda window, room: 8)
    x = whole_numbers(250, 4)
    graph = ak.build_graph(x, metric, 4, 11)
    want = defined(x, metric, 4, 11, 8)
    connected = (graph.neighbors != want).any(axis=1)
    assert connected.sum() <= (~reached(ak.Graph(want, graph.entries))).sum()
    assert (want != defined(x, metric, 4, 11, 250)).any(), "all candidates were looked at"
    check_invariants(graph, 250, 4)


def test_long_rows_do_not_empty_the_lists_of_others():
    """Inner product: where a few rows are far longer than others, all of these are nearer to them than to one another."""
    x, q = gaussian(3000, 25), gaussian(200, 25, 1)
    x *= np.random.default_rng(2).lognormal(0, 1, (3000, 1)).astype(np.float32)
    graph = ak.build_graph(x, "inner_product", 24, 64)
    assert (graph.neighbors >= 0).sum(axis=1).mean() > 12
    found = ak.search_graph(graph, x, q, 10, window=40)[1]
    assert recall(found, ak.knn(x, q, 10, "inner_product")[1]) > 0.95


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k, window", [(1, 1), (5, 3), (10, 17), (40, 64)])
def test_search_is_the_definition(metric, k, window):
    x, q = whole_numbers(400, 9), whole_numbers(23, 9, 1)
    graph = ak.build_graph(x, metric, 8, 20)
    dist, ids = ak.search_graph(graph, x, q, k, window=window)
    want = reference.search_graph(graph.neighbors, graph.entries, x, q, k, window, metric)
    np.testing.assert_array_equal(ids, want[1])
    np.testing.assert_allclose(dist, want[0], rtol=1e-6)


@pytest.mark.parametrize("k, window, expand", [(40, 40, 7), (40, 64, 1), (10, 80, 33), (5, 30, 30), (5, 30, 10**12)])
def test_rows_behind_the_first_are_not_expanded(k, window, expand):
    x, q = whole_numbers(400, 9), whole_numbers(23, 9, 1)
    graph = ak.build_graph(x, degree=8, window=20)
    every = ak.search_graph(graph, x, q, k, window=window)[1]
    found = ak.search_graph(graph, x, q, k, window=window, expand=expand)[1]
    want = reference.search_graph(graph.neighbors, graph.entries, x, q, k, window, expand=expand)[1]
    np.testing.assert_array_equal(found, want)
    assert (found.tobytes() == every.tobytes()) == (expand >= window)
    for i in (0, 11):  # a query on its own is searched otherwise
        alone = ak.search_graph(graph, x, q[i : i + 1], k, window=window, expand=expand, threads=2)[1]
        assert alone.tobytes() == found[i].tobytes()
    mask = np.ones(len(x), bool)
    every = ak.search_graph(graph, x, q, k, window=window, expand=expand, filter=mask)[1]
    assert every.tobytes() == found.tobytes()  # all rows are allowed
    mask[:200] = False
    few = ak.search_graph(graph, x, q, k, window=window, filter=mask)[1]
    assert ak.search_graph(graph, x, q, k, window=window, expand=expand, filter=mask)[1].tobytes() == few.tobytes()


def test_bits():
    x = np.random.default_rng(0).integers(0, 256, (500, 8), dtype=np.uint8)
    graph = ak.build_graph(x, "hamming", 16, 32)
    check_invariants(graph, 500, 16)
    dist, ids = ak.search_graph(graph, x, x[:50], 5, window=60)
    true = ak.knn(x, x[:50], 5, "hamming")
    assert dist.dtype == np.int32 and (dist == true[0]).mean() > 0.9
    assert (ids[:, 0] == np.arange(50)).mean() > 0.9


@pytest.mark.parametrize("spec", ["f32", "f16", "lvq8", "lvq4", "lvq4x8", "sq8"])
@pytest.mark.parametrize("metric", ["sqeuclidean", "inner_product", "cosine"])
def test_same_bytes_whatever_the_threads_and_batches(spec, metric):
    x, q = gaussian(1500, 24), gaussian(67, 24, 1)
    store = ak.compress(x, spec, metric)
    graphs = [ak.build_graph(store, degree=12, window=24, threads=threads) for threads in (1, 2, 7, 2)]
    assert len({g.neighbors.tobytes() + g.entries.tobytes() for g in graphs}) == 1
    whole = ak.search_graph(graphs[0], store, q, 10, window=20, threads=1)
    for threads in (2, 7):
        again = ak.search_graph(graphs[0], store, q, 10, window=20, threads=threads)
        assert [a.tobytes() for a in again] == [a.tobytes() for a in whole]
    for step in (1, 5, 32):
        parts = [ak.search_graph(graphs[0], store, q[i : i + step], 10, window=20) for i in range(0, len(q), step)]
        assert b"".join(d.tobytes() for d, _ in parts) == whole[0].tobytes()
        assert b"".join(i.tobytes() for _, i in parts) == whole[1].tobytes()


def test_another_seed_is_another_graph():
    x = gaussian(600, 8)
    a, b = (ak.build_graph(x, degree=8, window=16, seed=seed) for seed in (0, 1))
    assert a.neighbors.tobytes() != b.neighbors.tobytes()


@pytest.mark.parametrize("spec", ["f32", "lvq8", "lvq4x8"])
def test_distances_are_those_of_the_store(spec):
    x, q = gaussian(2000, 33), gaussian(20, 33, 1)
    store = ak.compress(x, spec)
    graph = ak.build_graph(x, degree=24, window=48)
    dist, ids = ak.search_graph(graph, store, q, 10, window=40)
    assert dist.tobytes() == store.distances(q, ids).tobytes()
    if spec != "lvq4x8":  # whose two levels disagree on who is near
        assert recall(ids, ak.knn(store, q, 10)[1]) > 0.95
    fine = ak.search_graph(graph, store, q, 10, window=40, rerank=x)
    assert fine[0].tobytes() == ak.distances(x, q, fine[1]).tobytes()
    assert recall(fine[1], ak.knn(x, q, 10)[1]) > 0.95


@pytest.fixture(scope="module")
def filtered() -> tuple[ak.Graph, np.ndarray]:
    x = gaussian(20_003, 12)
    return ak.build_graph(x, degree=24, window=48), x


@pytest.mark.parametrize("kind", ["bool", "uint32"])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.1, 0.5, 0.9, 1.0])
def test_filters(filtered, kind, shared, share):
    graph, x = filtered
    n, m, k = len(x), 30, 10
    q = gaussian(m, 12, 1)
    mask = np.random.default_rng(7).random((n,) if shared else (m, n)) < share
    given = mask
    if kind == "uint32":
        padded = np.concatenate([mask, np.zeros((*mask.shape[:-1], -n % 32), bool)], axis=-1)
        given = np.packbits(padded, axis=-1, bitorder="little").view(np.uint32)
    dist, ids = ak.search_graph(graph, x, q, k, window=64, filter=given)
    true = ak.knn(x, q, k, filter=given)
    missing = ids < 0
    assert (missing == (true[1] < 0)).all()
    assert np.isinf(dist[missing]).all()
    own = np.broadcast_to(mask, (m, n))
    assert np.take_along_axis(own, np.maximum(ids, 0), axis=1)[~missing].all()
    assert recall(ids, true[1]) > 0.97
    for i in range(m):  # a search on its own reads ahead, which must not show
        alone = ak.search_graph(graph, x, q[i : i + 1], k, window=64, filter=given if shared else given[i : i + 1])
        assert alone[0].tobytes() == dist[i].tobytes() and alone[1].tobytes() == ids[i].tobytes()
    if share == 1.0:
        plain = ak.search_graph(graph, x, q, k, window=64)
        assert dist.tobytes() == plain[0].tobytes() and ids.tobytes() == plain[1].tobytes()


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7])
def test_fewer_rows_than_the_degree(n):
    x = gaussian(n, 6)
    graph = ak.build_graph(x, degree=16, window=8)
    check_invariants(graph, n, 16)
    dist, ids = ak.search_graph(graph, x, gaussian(4, 6, 1), 5, window=3)
    true = ak.knn(x, gaussian(4, 6, 1), 5)
    np.testing.assert_array_equal(ids, true[1])
    np.testing.assert_array_equal(dist, true[0])


def test_no_queries_and_no_neighbours():
    x = gaussian(100, 6)
    graph = ak.build_graph(x, degree=8)
    assert ak.search_graph(graph, x, x[:0], 5)[1].shape == (0, 5)
    assert ak.search_graph(graph, x, x[:3], 0)[1].shape == (3, 0)


@BUILDERS
def test_all_rows_equal(method):
    x = np.ones((3000, 8), np.float32)
    graph = ak.build_graph(x, degree=8, window=16, method=method)
    check_invariants(graph, 3000, 8)
    dist, ids = ak.search_graph(graph, x, x[:2], 10)
    assert (dist == 0).all() and (ids >= 0).all()


@BUILDERS
@pytest.mark.parametrize("spec", ["f32", "lvq8"])
def test_thousands_of_duplicates(spec, method):
    x = np.repeat(gaussian(200, 10), 20, axis=0)
    x = np.concatenate([x, np.zeros((3000, 10), np.float32)])
    store = ak.compress(x, spec)
    graph = ak.build_graph(store, degree=16, window=32, method=method)
    check_invariants(graph, len(x), 16)
    dist, _ = ak.search_graph(graph, store, x[:4000:20], 10, window=40)
    true, _ = ak.knn(store, x[:4000:20], 10)
    assert (dist == true).mean() > 0.95


@BUILDERS
def test_clusters_far_apart(method):
    """Entry points in the clusters, and edges to what else would be out of reach, keep recall where distance would not."""
    centres = gaussian(40, 16) * 1000
    x = (centres[:, None] + gaussian(40 * 100, 16, 1).reshape(40, 100, 16)).reshape(-1, 16)
    graph = ak.build_graph(x, degree=16, window=32, method=method)
    check_invariants(graph, len(x), 16)
    q = x[::37] + gaussian(len(x[::37]), 16, 2) * 0.1
    assert recall(ak.search_graph(graph, x, q, 10, window=64)[1], ak.knn(x, q, 10)[1]) > 0.95


def test_wrong_arguments():
    x = gaussian(100, 6)
    graph = ak.build_graph(x, degree=8)
    with pytest.raises(ValueError, match=r"store: expected 100 rows, as graph has, got 99"):
        ak.search_graph(graph, x[:99], x[:2], 3)
    with pytest.raises(TypeError, match="graph: expected a Graph, got ndarray"):
        ak.search_graph(graph.neighbors, x, x[:2], 3)
    with pytest.raises(ValueError, match="degree: expected 1 or more, got 0"):
        ak.build_graph(x, degree=0)
    with pytest.raises(ValueError, match="alpha: expected a positive number, got -1"):
        ak.build_graph(x, alpha=-1)
    with pytest.raises(ValueError, match="rerank: expected 100 rows, as base has, got 50"):
        ak.search_graph(graph, x, x[:2], 3, rerank=x[:50])
    bad = x.copy()
    bad[17, 2] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity in row 17"):
        ak.build_graph(bad, degree=8)
    with pytest.raises(ValueError, match=r"queries: .*NaN or infinity in row 17"):
        ak.search_graph(graph, x, bad, 3)
