# SPDX-License-Identifier: Apache-2.0
"""Graphs by descent: as the definition says, the same whatever the threads, close to exact lists, as good to search."""

from __future__ import annotations

import numpy as np
import pytest
from test_graph import METRICS, check_invariants, gaussian, reached, recall, whole_numbers

import annkern as ak
from annkern import reference
from annkern.arrays.views import host_copy
from annkern.graphs import nn_descent as descent
from annkern.graphs.build_graph import _operands as operands_of
from annkern.reference import nn_descent as defined


def lists_of(*args) -> np.ndarray:
    return host_copy(descent.nearest_lists(*args)).view(np.uint64)


def ids_of(lists: np.ndarray) -> np.ndarray:
    """(n, width) rows, -1 where a list is shorter."""
    places = (lists >> np.uint64(1) & np.uint64(2**31 - 1)).astype(np.int64)
    return np.where(lists == np.uint64(2**64 - 1), -1, defined.row_at(np.arange(len(lists))[:, None], places))


def build(x, metric=None, degree=16, window=32, **more) -> ak.Graph:
    return ak.build_graph(x, metric, degree, window, method="nn_descent", **more)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n, d, degree, window", [(1040, 5, 6, 12), (190, 12, 5, 9), (60, 3, 4, 80)])
def test_is_the_definition(monkeypatch, metric, n, d, degree, window):
    monkeypatch.setattr(descent, "STARTS", 2)
    monkeypatch.setattr(descent, "SAMPLE", 4)
    monkeypatch.setattr(descent, "MOST_ROUNDS", 3)
    monkeypatch.setattr(descent, "FEW_NEW", 0.0)
    x = whole_numbers(n, d)
    keys = reference.metrics.find(metric).key(reference.pairwise(x, x, "sqeuclidean" if metric == "euclidean" else metric))
    want = defined.NearestLists(keys, window)
    firsts = descent.first_equals(x, n)
    members = np.unique(firsts)
    for start in range(2):
        defined.start(want, descent.order_of_start(members, 0, start))
    for _ in range(3):
        defined.descend(want, 4)
        if want.still_new() == 0:
            break
    lists = lists_of(operands_of(x, metric, 2), metric, window, members, 0)
    np.testing.assert_array_equal(ids_of(lists), want.array())
    graph, pruned = build(x, metric, degree, window), defined.add_equals(defined.prune(want.array(), degree), firsts)
    connected = (graph.neighbors != pruned).any(axis=1)
    assert connected.sum() <= (~reached(ak.Graph(pruned, graph.entries))).sum()
    check_invariants(graph, n, degree)


@pytest.mark.parametrize("spec", ["f32", "f16", "lvq8", "lvq4", "lvq4x8", "sq8", "pq12x4"])
@pytest.mark.parametrize("metric", ["sqeuclidean", "inner_product", "cosine"])
def test_same_bytes_whatever_the_threads(spec, metric):
    store = ak.compress(gaussian(1500, 24), spec, metric)
    graphs = [build(store, threads=threads) for threads in (1, 2, 7, 2)]
    assert len({g.neighbors.tobytes() + g.entries.tobytes() for g in graphs}) == 1
    check_invariants(graphs[0], 1500, 16)


@pytest.mark.parametrize("spec", ["f32", "f16", "lvq8", "lvq4", "pq12x4", "pq12x8", "rabitq4"])
@pytest.mark.parametrize("metric", ["inner_product", "cosine"])
def test_keys_are_distances(spec, metric):
    """Of one row to the other, decoded, or the other way round."""
    store = ak.compress(gaussian(300, 24), spec, metric)
    lists = lists_of(operands_of(store, metric, 2), metric, 16, np.arange(300), 0)
    order = (lists >> np.uint64(32)).astype(np.uint32)
    keys = np.where(order >> 31, order & 0x7FFFFFFF, ~order).view(np.float32)
    ids, rows = ids_of(lists), store.decode()
    one_way = ak.distances(store, rows, ids, metric)
    other = np.array(
        [[ak.pairwise(rows[i : i + 1], store, metric)[0, row] for i in own] for row, own in enumerate(ids[:40])]
    )
    sign = -1 if metric == "inner_product" else 1
    assert ((keys == sign * one_way)[:40] | (keys[:40] == sign * other)).all()


def test_another_seed_is_another_graph():
    x = gaussian(3000, 16)
    assert build(x, seed=0).neighbors.tobytes() != build(x, seed=1).neighbors.tobytes()


@pytest.mark.parametrize("dims", [4, 12])
def test_lists_are_close_to_exact(dims):
    """Rows of a known intrinsic dimension in a space of 48."""
    x = gaussian(10_000, dims) @ gaussian(dims, 48, 1)
    lists = lists_of(operands_of(x, "sqeuclidean", None), "sqeuclidean", 64, np.arange(10_000), 0)
    true = ak.knn(x, x[:500], 65)[1]
    true = np.array([own[own != row][:64] for row, own in enumerate(true)])
    assert recall(ids_of(lists)[:500], true) > 0.95
    keys = (lists >> np.uint64(32)).astype(np.int64)
    assert (np.diff(keys, axis=1) >= 0).all()


@pytest.mark.parametrize("metric", METRICS)
def test_is_searched_as_well_as_vamana(metric):
    x, q = gaussian(6000, 12), gaussian(200, 12, 1)
    true = ak.knn(x, q, 10, metric)[1]
    found = [
        recall(ak.search_graph(ak.build_graph(x, metric, 16, 32, method=method), x, q, 10, window=40)[1], true)
        for method in ("vamana", "nn_descent")
    ]
    assert found[1] > found[0] - 0.01


def test_rows_that_are_equal():
    x = np.random.default_rng(0).integers(0, 3, (2000, 5)).astype(np.float16)
    _, first, which = np.unique(x, axis=0, return_index=True, return_inverse=True)
    for rows in (x, x.astype(np.int8), ak.compress(x.astype(np.float32), "f32")):
        np.testing.assert_array_equal(descent.first_equals(rows, 2000), first[which.ravel()])


def one_hot(n, d):
    x = np.zeros((n, d), np.float32)
    x[np.arange(n), np.random.default_rng(2).integers(0, d, n)] = 1
    return x


@pytest.mark.parametrize("method", ["nn_descent", "vamana"])
def test_rows_that_are_all_equally_near(method):
    """Equal rows find each other among 400 that are all at distance 1: no few of them take the places in all lists."""
    x = one_hot(1200, 400)
    graph = ak.build_graph(x, "cosine", method=method)
    distances, _ = ak.search_graph(graph, x, x[:300], 1, window=32)
    assert (distances < 0.5).mean() >= 0.9


def test_order_of_ties():
    rows, ids = np.arange(40)[:, None], np.arange(1000)
    places = np.array([[defined.place(row, id) for id in ids] for row in range(40)])
    np.testing.assert_array_equal(defined.row_at(rows, places), np.broadcast_to(ids, places.shape))
    first = np.argsort(places, axis=1)[:, :100]
    assert np.bincount(first.ravel(), minlength=1000).max() < 20  # 4 expected


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 40, 129])
def test_fewer_rows_than_a_list(n):
    x = gaussian(n, 6)
    graph = build(x, window=8)
    check_invariants(graph, n, 16)
    assert ((graph.neighbors >= 0).sum(axis=1) >= min(16, n - 1)).all()
    dist, ids = ak.search_graph(graph, x, gaussian(4, 6, 1), 5, window=20)
    true = ak.knn(x, gaussian(4, 6, 1), 5)
    np.testing.assert_array_equal(ids, true[1])
    np.testing.assert_array_equal(dist, true[0])


def test_bits():
    x = np.random.default_rng(0).integers(0, 256, (900, 8), dtype=np.uint8)
    graph = build(x, "hamming")
    check_invariants(graph, 900, 16)
    assert (ak.search_graph(graph, x, x[:50], 5, window=60)[1][:, 0] == np.arange(50)).mean() > 0.9


def test_wrong_arguments():
    x = gaussian(100, 6)
    with pytest.raises(ValueError, match="method: expected vamana or nn_descent, got 'nsg'"):
        ak.build_graph(x, method="nsg")
    with pytest.raises(ValueError, match="alpha: expected None with method='nn_descent'"):
        build(x, alpha=1.2)
    x[17, 2] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity in row 17"):
        build(x)


def test_progress(capsys):
    build(gaussian(300, 6), progress=True)
    assert " rounds (" in capsys.readouterr().err
