# SPDX-License-Identifier: Apache-2.0
"""Direct calls (csrc/bind/direct.h): plain NumPy arrays and stores reach the kernels without the checks of the Python layer,
with the same bytes and the same errors."""

from __future__ import annotations

import concurrent.futures
import gc
import sys
import weakref

import numpy as np
import pytest
from cases import BIT_METRICS, NUMBER_METRICS
from direct_calls import CPU, DTYPES, NAMES, calls, numbers, same

import annkern as ak


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", NUMBER_METRICS)
def test_arrays_give_the_same_bytes(indirect, taken, metric, dtype):
    base = numbers(1, 60, 19, dtype)
    for queries in (numbers(2, 9, 19, dtype), numbers(3, 1, 19)):
        for name, call in calls(base, queries, metric).items():
            del taken[:]
            result = call()
            assert taken == [name]
            same(result, indirect(call))


@pytest.mark.parametrize("metric", BIT_METRICS)
def test_bits_give_the_same_bytes(indirect, taken, metric):
    base, queries = numbers(1, 60, 5, "uint8"), numbers(2, 9, 5, "uint8")
    for name, call in calls(base, queries, metric).items():
        del taken[:]
        result = call()
        assert taken == [name]
        same(result, indirect(call))


@pytest.mark.parametrize("spec", ["f32", "f16", "sq8", "lvq8", "rabitq4", "pq5x8", "bin"])
def test_stores_give_the_same_bytes(indirect, taken, spec):
    x, queries = numbers(1, 300, 20), numbers(2, 9, 20)
    store = ak.compress(x, spec, metric="inner_product")
    ak.knn(store, queries, 5)  # what the kernels take is known from here on
    for metric in (None, "cosine"):
        for name, call in calls(store, queries, metric).items():
            del taken[:]
            result = call()
            assert taken == [name]
            same(result, indirect(call))


def test_select_and_merge_give_the_same_bytes(indirect, taken):
    values, ids = numbers(1, 6, 40), np.random.default_rng(1).integers(-1, 99, (6, 40))
    parts = [ak.knn(numbers(part, 30, 8), numbers(9, 6, 8), 4) for part in (1, 2)]
    dists, names = (np.stack(each) for each in zip(*parts, strict=True))
    for name, call in {
        "select_k": lambda: ak.select_k(values[:, 1:], 3),
        "merge_topk": lambda: ak.merge_topk(dists, names, 6),
    }.items():
        del taken[:]
        result = call()
        assert taken == [name]
        same(result, indirect(call))
    for call in (
        lambda: ak.select_k(values, 3, largest=True, ids=ids),
        lambda: ak.merge_topk(-dists, names, 3, metric="inner_product"),
    ):
        same(call(), indirect(call))


@pytest.mark.parametrize(
    "spec, rerank", [("f32", None), ("lvq8", None), ("lvq4x8", None), ("lvq4", "f32"), ("pq12x4", "lvq8")]
)
@pytest.mark.parametrize("metric", [None, "inner_product"])
def test_graphs_give_the_same_bytes(indirect, taken, spec, rerank, metric):
    x, queries = numbers(1, 600, 24), numbers(2, 9, 24)
    graph, store = ak.build_graph(x, degree=16), ak.compress(x, spec)
    finer = None if rerank is None else ak.compress(x, rerank)
    first = ak.search_graph(graph, store, queries, 7, window=30, metric=metric, rerank=finer)
    for more in ({}, {"threads": 2}, {"check_finite": False}, {"expand": 30}):
        del taken[:]
        same(ak.search_graph(graph, store, queries, 7, window=30, metric=metric, rerank=finer, **more), first)
        assert taken == ["search_graph"]
    narrow = {"window": 30, "metric": metric, "rerank": finer, "expand": 3}
    same(
        ak.search_graph(graph, store, queries, 7, **narrow),
        indirect(lambda: ak.search_graph(graph, store, queries, 7, **narrow)),
    )
    one = ak.search_graph(graph, store, queries[5:6], 7, window=30, metric=metric, rerank=finer)
    assert one[1].tobytes() == first[1][5:6].tobytes()


def test_rows_may_lie_apart(indirect, taken):
    wide, queries = numbers(1, 80, 32), numbers(2, 12, 32)
    for base, q in ((wide[::2, 3:20], queries[::-1, 3:20]), (wide[::-1], np.broadcast_to(queries[:1], (4, 32)))):
        del taken[:]
        same(ak.knn(base, q, 5), indirect(lambda base=base, q=q: ak.knn(base, q, 5)))
        assert taken == ["knn"]


class Own(np.ndarray):
    pass


@pytest.mark.parametrize(
    "queries",
    [
        numbers(2, 3, 8).astype(">f4").astype("<f4").view(Own),
        np.asfortranarray(numbers(2, 3, 8)),
        numbers(2, 3, 16)[:, ::2],
        np.frombuffer(b"\0" + numbers(2, 3, 8).tobytes(), np.uint8)[1:].view(np.float32).reshape(3, 8),
    ],
    ids=["subclass", "columns", "strided", "unaligned"],
)
def test_what_is_not_plain_is_answered_all_the_same(taken, queries):
    base = numbers(1, 50, 8)
    want = ak.knn(base, np.ascontiguousarray(np.asarray(queries)).copy(), 4)
    del taken[:]
    same(tuple(map(np.asarray, ak.knn(base, queries, 4))), want)
    assert not taken


BASE, QUERIES = numbers(1, 50, 8), numbers(2, 3, 8)
BAD = QUERIES.copy()
BAD[2, 3] = np.nan


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: ak.knn(BASE, QUERIES, -1), "k: expected"),
        (lambda: ak.knn(BASE, QUERIES, 2.0), "k: expected"),
        (lambda: ak.knn(BASE, QUERIES, 2, "cosin"), "metric: expected"),
        (lambda: ak.knn(BASE, QUERIES, 2, 3), "metric: expected"),
        (lambda: ak.knn(BASE, QUERIES, 2, threads=0), "threads: expected"),
        (lambda: ak.knn(BASE, QUERIES[:, :5].copy(), 2), "queries: expected 8 columns"),
        (lambda: ak.knn(BASE, QUERIES[0], 2), "queries: expected 2 dimensions"),
        (lambda: ak.knn(BASE, QUERIES.astype(np.float64), 2), "queries: expected float32"),
        (lambda: ak.knn(BASE, BAD, 2), "queries: expected finite numbers, got NaN or infinity in row 2"),
        (lambda: ak.pairwise(QUERIES, BAD), "base: expected finite numbers, got NaN or infinity in row 2"),
        (lambda: ak.distances(BASE, QUERIES, np.full((3, 2), 50)), "ids: expected rows below 50, got 50"),
        (lambda: ak.distances(BASE, QUERIES, np.zeros((2, 2), np.int64)), "ids: expected a row for each"),
        (lambda: ak.radius(BASE, QUERIES, float("nan")), "r: expected"),
        (lambda: ak.select_k(QUERIES, 2, ids=np.zeros((2, 8), np.int64)), "ids: expected shape"),
        (lambda: ak.merge_topk(QUERIES[None], np.zeros((1, 3, 7), np.int64), 2), "ids: expected shape"),
    ],
)
def test_errors_are_those_of_the_python_layer(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_counts_of_arguments_are_checked():
    for name in NAMES:
        with pytest.raises(TypeError, match=f"{name}: expected"):
            getattr(CPU, name)(1, 2)


def test_results_are_the_callers_alone():
    x, queries = numbers(1, 600, 24), numbers(2, 9, 24)
    graph, store = ak.build_graph(x, degree=16), ak.compress(x, "lvq4x8")
    expected = ak.search_graph(graph, store, queries, 7, window=40)
    held = sys.getrefcount(x), sys.getrefcount(queries), sys.getrefcount(graph.neighbors)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: ak.search_graph(graph, store, queries[i % 9][None], 7, window=40), range(200)))
        rows = list(pool.map(lambda i: ak.knn(x, queries[i % 9][None], 7), range(200)))
    for i, (near, ids) in enumerate(found):
        assert near.tobytes() == expected[0][i % 9][None].tobytes() and ids.tobytes() == expected[1][i % 9][None].tobytes()
    del near, ids, i
    near, ids = rows[0]
    assert sys.getrefcount(near) == 3 and sys.getrefcount(ids) == 3  # by the tuple, by the name, and by the call that asks
    assert (sys.getrefcount(x), sys.getrefcount(queries), sys.getrefcount(graph.neighbors)) == held


def test_other_objects_are_not_taken_for_those_of_the_last_search():
    x, queries = numbers(1, 600, 24), numbers(2, 9, 24)
    graph = ak.build_graph(x, degree=16)
    for round_ in range(6):
        rows = x if round_ % 2 else -x
        store = ak.compress(rows, "lvq8")
        want = ak.search_graph(ak.Graph(graph.neighbors, graph.entries), store, queries, 5)
        ak.search_graph(graph, store, queries, 5)
        same(ak.search_graph(graph, store, queries, 5), want)
        near = ak.search_graph(graph, store, queries, 5, metric="cosine")
        same(near, ak.search_graph(ak.Graph(graph.neighbors, graph.entries), store, queries, 5, metric="cosine"))
        gone = weakref.ref(store)
        del store
        gc.collect()
        assert gone() is None  # a graph keeps no store alive
    graph.neighbors = np.full_like(graph.neighbors, -1)
    store = ak.compress(x, "lvq8")
    assert (ak.search_graph(graph, store, queries, 500)[1] == -1).any()


def test_an_array_is_read_as_it_is_now():
    x, queries = numbers(1, 600, 24), numbers(2, 9, 24)
    graph = ak.build_graph(x, degree=16)
    ak.search_graph(graph, x, queries, 1, window=100)
    x[3] = np.nan
    with pytest.raises(ValueError, match="store: expected finite numbers, got NaN or infinity in row 3"):
        ak.search_graph(graph, x, queries, 1, window=600)


def test_a_store_cannot_be_given_other_arrays():
    store = ak.compress(numbers(1, 30, 8), "lvq8")
    with pytest.raises(TypeError):
        store.arrays["codes"] = np.zeros_like(store.arrays["codes"])
