# SPDX-License-Identifier: Apache-2.0
"""The second search of a graph over the same stores: it takes a shorter way, to the same answers and errors."""

from __future__ import annotations

import concurrent.futures
import gc
import pickle
import sys
import weakref

import numpy as np
import pytest

import annkern as ak


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(11)
    x = rng.standard_normal((1200, 24), dtype=np.float32)
    return x, rng.standard_normal((40, 24), dtype=np.float32), ak.build_graph(x, degree=16)


def fresh(graph):
    return ak.Graph(graph.neighbors, graph.entries, graph.metric)


@pytest.mark.parametrize(
    "spec, rerank", [("f32", None), ("lvq8", None), ("lvq4x8", None), ("lvq4", "f32"), ("pq12x4", "lvq8")]
)
@pytest.mark.parametrize("metric", [None, "inner_product"])
def test_the_same_bytes(data, spec, rerank, metric):
    x, q, graph = data
    graph, store = fresh(graph), ak.compress(x, spec)
    finer = None if rerank is None else ak.compress(x, rerank)
    how = {"window": 30, "metric": metric, "rerank": finer}
    first = ak.search_graph(graph, store, q, 7, **how)
    assert graph.plan is not None
    for more in ({}, {"threads": 2}, {"check_finite": False}):
        again = ak.search_graph(graph, store, q, 7, **how, **more)
        np.testing.assert_array_equal(again[0], first[0])
        np.testing.assert_array_equal(again[1], first[1])
    one = ak.search_graph(graph, store, q[5:6], 7, **how)
    np.testing.assert_array_equal(one[1], first[1][5:6])
    asked = metric, finer, None, None, True
    kept = graph.plan(graph, store, q, 7, 30, *asked)
    assert [(a.shape, a.dtype) for a in kept] == [(a.shape, a.dtype) for a in first]
    np.testing.assert_array_equal(kept[1], first[1])
    assert graph.plan(graph, store, q, 7.0, 30, *asked) is None  # looked at anew, which says what is wrong


def test_it_is_the_callers_alone(data):
    """Searches of several threads share what is kept, and results are new arrays that nobody else holds."""
    x, q, graph = data
    graph, store = fresh(graph), ak.compress(x, "lvq4x8")
    expected = ak.search_graph(graph, store, q, 7, window=40)
    held = sys.getrefcount(graph.neighbors), sys.getrefcount(q)

    def one(i):
        return ak.search_graph(graph, store, q[i : i + 1], 7, window=40)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(one, list(range(len(q))) * 20))
    for i, (near, ids) in enumerate(found):
        np.testing.assert_array_equal(near[0], expected[0][i % len(q)])
        np.testing.assert_array_equal(ids[0], expected[1][i % len(q)])
    after = sys.getrefcount(graph.neighbors), sys.getrefcount(q)
    near, ids = found[0]
    held_results = sys.getrefcount(near), sys.getrefcount(ids)
    graph.plan = None
    without = sys.getrefcount(graph.neighbors)
    assert after == held and without == held[0] - 1
    assert held_results == (3, 3)  # by the tuple, by the name, and by the call that asks


def test_what_differs_is_looked_at_anew(data):
    x, q, graph = data
    graph, first, second = fresh(graph), ak.compress(x, "lvq8"), ak.compress(-x, "lvq8")
    expected = ak.search_graph(fresh(graph), second, q, 5)[1]
    ak.search_graph(graph, first, q, 5)
    np.testing.assert_array_equal(ak.search_graph(graph, second, q, 5)[1], expected)
    near = ak.search_graph(graph, second, q, 5, metric="cosine")[0]
    np.testing.assert_array_equal(near, ak.search_graph(fresh(graph), second, q, 5, metric="cosine")[0])
    passing = np.arange(len(x)) % 2 == 0
    assert (ak.search_graph(graph, second, q, 5, filter=passing)[1] % 2 == 0).all()
    np.testing.assert_array_equal(ak.search_graph(graph, second, q[:, ::-1][:, ::-1], 5)[1], expected)
    graph.neighbors = np.full_like(graph.neighbors, -1)
    assert (ak.search_graph(graph, second, q, 500)[1] == -1).any()


def test_an_array_is_read_as_it_is_now(data):
    x, q, graph = data
    graph, x = fresh(graph), x.copy()
    ak.search_graph(graph, x, q, 1, window=100)
    assert graph.plan is None
    x[3] = np.nan
    with pytest.raises(ValueError, match="store: expected finite numbers, got NaN or infinity in row 3"):
        ak.search_graph(graph, x, q, 1, window=1200)


def test_errors_are_the_same(data):
    x, q, graph = data
    graph, store = fresh(graph), ak.compress(x, "lvq8")
    ak.search_graph(graph, store, q, 5)
    bad = q.copy()
    bad[2, 3] = np.inf
    with pytest.raises(ValueError, match="queries: expected finite numbers, got NaN or infinity in row 2"):
        ak.search_graph(graph, store, bad, 5)
    for wrong, message in (
        ({"k": -1}, "k: expected"),
        ({"window": 0}, "window: expected"),
        ({"threads": 0}, "threads: expected"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            ak.search_graph(graph, store, q, **({"k": 5} | wrong))
    with pytest.raises(ValueError, match="rerank_k: expected rerank beside it"):
        ak.search_graph(graph, store, q, 5, rerank_k=10)
    with pytest.raises(ValueError, match="queries: expected 24 columns"):
        ak.search_graph(graph, store, q[:, :20].copy(), 5)


def test_it_keeps_no_store_alive(data):
    x, q, graph = data
    graph, store, finer = fresh(graph), ak.compress(x, "lvq4"), ak.compress(x, "lvq8")
    expected = ak.search_graph(graph, store, q, 5, rerank=finer)[1]
    seen = weakref.ref(store), weakref.ref(finer)
    plain = ak.search_graph(fresh(graph), store, q, 5)[1]
    del finer
    gc.collect()
    assert seen[1]() is None
    np.testing.assert_array_equal(ak.search_graph(graph, store, q, 5)[1], plain)  # not the kept search, whose finer is gone
    finer = ak.compress(x, "lvq8")
    np.testing.assert_array_equal(ak.search_graph(graph, store, q, 5, rerank=finer)[1], expected)
    del store
    gc.collect()
    assert seen[0]() is None


def test_pickles(data):
    x, q, graph = data
    graph, store = fresh(graph), ak.compress(x, "lvq4x8")
    expected = ak.search_graph(graph, store, q, 5)
    moved = pickle.loads(pickle.dumps((graph, store)))
    np.testing.assert_array_equal(ak.search_graph(*moved, q, 5)[1], expected[1])
