# SPDX-License-Identifier: Apache-2.0
"""Filtered graph search: the definition on every backend, and a recall that no filter and no window takes away."""

from __future__ import annotations

import numpy as np
import pytest
from test_graph import gaussian, recall

import annkern as ak
from annkern import reference

N, D = 40_000, 6
WINDOWS = (10, 16, 32, 64, 128, 200)


def packed(passing: np.ndarray) -> np.ndarray:
    """As a bitset of uint32."""
    padded = np.pad(passing, [(0, 0)] * (passing.ndim - 1) + [(0, -passing.shape[-1] % 32)])
    return np.packbits(padded, axis=-1, bitorder="little").view(np.uint32)


def ranks(x: np.ndarray, q: np.ndarray, metric: str) -> np.ndarray:
    """(m, n) in (0, 1): the share of rows nearer to the query."""
    distances = ak.pairwise(q, x, metric) * (-1 if metric == "inner_product" else 1)
    return (np.argsort(np.argsort(distances, axis=1, kind="stable"), axis=1) + 0.5) / len(x)


def filters(x: np.ndarray, q: np.ndarray, metric: str) -> dict[str, np.ndarray]:
    """Rows allowed by chance, near to a query, far from it, on one side of a plane, and outside a small ball."""
    rng, rank = np.random.default_rng(7), ranks(x, q, metric)
    chance = rng.random(len(x))
    out = {f"chance {p}": chance < p for p in (0.001, 0.01, 0.05, 0.1, 0.14, 0.4, 0.55, 0.7, 0.9, 0.99)}
    out |= {f"near {p}": rank < p for p in (0.001, 0.01, 0.1, 0.3, 0.55, 0.9, 0.99)}
    out |= {f"far {p}": rank > 1 - p for p in (0.001, 0.01, 0.1, 0.3, 0.45, 0.55, 0.7, 0.9, 0.95, 0.98, 0.99, 0.995)}
    side = x @ rng.standard_normal(x.shape[1]).astype(np.float32)
    out |= {f"side {p}": side < np.quantile(side, p) for p in (0.05, 0.3, 0.5, 0.8)}
    against = q @ x.T
    out |= {f"against {p}": against < np.quantile(against, p, axis=1)[:, None] for p in (0.05, 0.3, 0.5, 0.9, 0.99)}
    out |= {f"chance {p} beyond {r}": (chance < p) & (rank > r) for p in (0.14, 0.4) for r in (0.0003, 0.001, 0.01)}
    return out


@pytest.fixture(scope="module")
def defined() -> tuple[np.ndarray, np.ndarray, ak.Graph]:
    x, q = 4 * gaussian(N, D), 4 * gaussian(4, D, 1)
    x, q = x.round(), q.round()
    return x, q, ak.build_graph(x, degree=12, window=24)


DEFINED = (
    "chance 0.05",
    "chance 0.14",
    "chance 0.55",
    "chance 0.9",
    "near 0.3",
    "far 0.55",
    "far 0.9",
    "far 0.98",
    "far 0.995",
    "side 0.5",
)
DEFINED += ("chance 0.14 beyond 0.0003", "chance 0.4 beyond 0.001", "chance 0.4 beyond 0.01")


@pytest.mark.parametrize("name", DEFINED)
@pytest.mark.parametrize("window", [1, 12])
def test_it_is_the_definition(defined, backend, monkeypatch, name, window):
    x, q, graph = defined
    passing = filters(x, q, "sqeuclidean")[name]
    want = reference.search_graph(graph.neighbors, graph.entries, x, q, 5, window, filter=passing)
    there, rows, queries = graph.convert(backend.array), backend.array(x), backend.array(q)
    for filter in (passing, packed(passing)):
        found = ak.search_graph(there, rows, queries, 5, window=window, filter=backend.array(filter))
        np.testing.assert_array_equal(backend.numpy(found[1]), want[1])
        np.testing.assert_allclose(backend.numpy(found[0]), want[0], rtol=1e-6)
    assert np.take_along_axis(np.broadcast_to(passing, (len(q), N)), want[1], axis=1).all()


def test_the_definition_takes_every_way(defined, monkeypatch):
    """The filters above lead to searches that look through rows, that go on because few are allowed near the query, that
    score all of them at once, and that do so in the end."""
    x, q, graph = defined
    ways = set()
    module = __import__("annkern.reference.search_graph", fromlist=["_hop"])
    hop = module._hop

    def noted(neighbors, row, allowed, met):
        way["through" if not allowed.all() else "plain"] = True
        return hop(neighbors, row, allowed, met)

    monkeypatch.setattr(module, "_hop", noted)
    for passing in (filters(x, q, "sqeuclidean")[name] for name in DEFINED):
        for own, allowed in zip(ak.pairwise(q, x), np.broadcast_to(passing, (len(q), N)), strict=True):
            way: dict[str, bool] = {}
            found = module.filtered_search(graph.neighbors, graph.entries, own, allowed, 12)
            ways.add((*sorted(way), "all" if len(found) == allowed.sum() else "some"))
    assert ways >= {("plain", "through", "some"), ("plain", "some"), ("all",), ("plain", "all")}


@pytest.fixture(scope="module", params=["sqeuclidean", "inner_product", "cosine"])
def large(request) -> tuple[np.ndarray, np.ndarray, str, ak.Graph]:
    """Rows in clusters, so that a query's neighbours are those of its cluster."""
    rng = np.random.default_rng(3)
    centres = 1.5 * rng.standard_normal((50, 16))
    x, q = ((centres[rng.integers(0, 50, n)] + rng.standard_normal((n, 16))).astype(np.float32) for n in (20_000, 25))
    return x, q, request.param, ak.build_graph(x, request.param, degree=32, window=64)


def test_no_filter_takes_recall_away(large):
    x, q, metric, graph = large
    for name, passing in filters(x, q, metric).items():
        true = ak.knn(x, q, 10, metric, filter=passing)[1]
        recalls = []
        for window in WINDOWS:
            ids = ak.search_graph(graph, x, q, 10, window=window, filter=passing)[1]
            allowed = np.take_along_axis(np.broadcast_to(passing, (len(q), len(x))), np.maximum(ids, 0), axis=1)
            assert (allowed | (ids < 0)).all(), f"{name}: a row that fails"
            recalls.append(recall(ids, true))
        assert recalls == sorted(recalls), f"{name}: {recalls}"
        assert recalls[WINDOWS.index(64)] >= 0.95, f"{name}: {recalls}"


def test_each_query_and_batch_alike(large):
    x, q, metric, graph = large
    store = ak.compress(x, "lvq8", metric)
    for name, passing in filters(x, q, metric).items():
        whole = ak.search_graph(graph, store, q, 10, filter=passing, threads=1)
        assert [a.tobytes() for a in ak.search_graph(graph, store, q, 10, filter=packed(passing), threads=2)] == [
            a.tobytes() for a in whole
        ], name
        for at in (0, 7):
            own = passing if passing.ndim == 1 else passing[at : at + 1]
            alone = ak.search_graph(graph, store, q[at : at + 1], 10, filter=own)
            assert [a.tobytes() for a in alone] == [part[at : at + 1].tobytes() for part in whole], name
        if passing.ndim == 1:
            each = ak.search_graph(graph, store, q, 10, filter=np.tile(passing, (len(q), 1)))
            assert [a.tobytes() for a in each] == [a.tobytes() for a in whole], name


def test_all_true_gives_the_bytes_of_no_filter(large):
    x, q, _, graph = large
    for store in (x, ak.compress(x, "lvq4x8")):
        want = ak.search_graph(graph, store, q, 10)
        for filter in (np.ones(len(x), bool), packed(np.ones(len(x), bool)), np.ones((len(q), len(x)), bool)):
            assert [a.tobytes() for a in ak.search_graph(graph, store, q, 10, filter=filter)] == [a.tobytes() for a in want]


def test_an_issue_of_the_field():
    """The furthest 55% of rows: a window of 64 found .21, one of 10 all."""
    x, q = gaussian(40_000, 24), gaussian(20, 24, 1)
    graph = ak.build_graph(x, degree=32, window=64)
    passing = ranks(x, q, "sqeuclidean") > 0.45
    true = ak.knn(x, q, 10, filter=passing)[1]
    for window in WINDOWS:
        assert recall(ak.search_graph(graph, x, q, 10, window=window, filter=passing)[1], true) >= 0.95


def test_rows_that_are_dropped_leave_the_results_in_order(backend):
    """A search that turns to two hops drops the excluded rows that wait, so that the next is further than the one that it
    had looked at."""
    m = 6 if backend.slow else 200
    x, q = gaussian(30_000, 8), gaussian(200, 8, 1)[-m:]
    graph = ak.build_graph(x, degree=16, window=48)
    there, rows = graph.convert(backend.array), backend.array(x)
    for share in (0.15, 0.19):
        passing = np.random.default_rng(2).random(len(x)) < share
        want = reference.search_graph(graph.neighbors, graph.entries, x, q, 32, 32, filter=passing)
        found = ak.search_graph(there, rows, backend.array(q), 32, window=32, filter=backend.array(passing))
        assert (np.diff(backend.numpy(found[0]), axis=1) >= 0).all()
        np.testing.assert_array_equal(backend.numpy(found[1]), want[1])
