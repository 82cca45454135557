# SPDX-License-Identifier: Apache-2.0
"""Indexes of parts that are there, from stores and from rows that come in blocks."""

from __future__ import annotations

import numpy as np
import pytest

import annkern as ak
from annkern.stores import blocks as store_blocks

X = np.random.default_rng(3).standard_normal((900, 16), dtype=np.float32)


def results(index):
    return [found.tobytes() for found in index.search(X[:20], 5)]


def same(one, other):
    assert results(one) == results(other)
    assert (one.spec, one.metric, len(one)) == (other.spec, other.metric, len(other))
    for a, b in ((one.store, other.store), (one.rerank, other.rerank)):
        assert (a is None) == (b is None)
        for name, x in (a.arrays if a is not None else {}).items():
            assert np.asarray(x).tobytes() == np.asarray(b.arrays[name]).tobytes()
    assert (one.graph is None) == (other.graph is None)
    assert one.graph is None or one.graph.neighbors.tobytes() == other.graph.neighbors.tobytes()


@pytest.mark.parametrize("rerank", [None, "f32", "array"])
@pytest.mark.parametrize("with_graph", [True, False])
def test_of_parts(with_graph, rerank, tmp_path):
    store = ak.compress(X, "lvq4", "inner_product")
    graph = ak.build_graph(X, "inner_product", degree=12) if with_graph else None
    finer = {None: None, "f32": ak.compress(X, "f32", "inner_product"), "array": X}[rerank]
    index = ak.Index.of(store, graph, rerank=finer)
    head = "graph12" if with_graph else "flat"
    assert index.spec == f"{head},lvq4" + ("" if rerank is None else "+f32") and index.metric == "inner_product"
    assert index.store is store and index.graph is graph
    search = (lambda *rest, **given: ak.search_graph(graph, *rest, **given)) if with_graph else ak.knn
    assert results(index) == [x.tobytes() for x in search(store, X[:20], 5, rerank=finer)]
    index.save(tmp_path / "x")
    assert results(ak.load(tmp_path / "x")) == results(index)


def test_of_arrays_and_metrics():
    index = ak.Index.of(X)
    assert index.spec == "flat,f32" and index.store.arrays["data"] is X and index.metric == "sqeuclidean"
    assert ak.Index.of(X, metric="cos").metric == "cosine"
    graph = ak.build_graph(X, "cosine", degree=4)
    assert ak.Index.of(X, graph).metric == "cosine"
    assert ak.Index.of(ak.compress(X, "lvq4x8", "ip"), rerank=X).rerank.spec == "f32"
    foreign = ak.Graph.of(np.arange(900)[:, None] ** 0 * np.array([[1, 2]]), [0])
    assert results(ak.Index.of(X, foreign))


def test_parts_that_do_not_fit():
    store, graph = ak.compress(X, "lvq8"), ak.build_graph(X, degree=4)
    for call, error, words in (
        (lambda: ak.Index.of(store, graph.neighbors), TypeError, "graph: expected a Graph.*Graph.of takes an array"),
        (lambda: ak.Index.of(X[:30], graph), ValueError, "graph: expected one of 30 rows, as store has, got 900"),
        (lambda: ak.Index.of(store, rerank=X[:30]), ValueError, "rerank: expected 900 rows of 16 columns.*got 30 x 16"),
        (lambda: ak.Index.of(store, rerank=X[:, :8].copy()), ValueError, "rerank: expected 900 rows of 16.*got 900 x 8"),
        (lambda: ak.Index.of(X.astype(np.float64)), TypeError, "store: expected .*got float64"),
        (lambda: ak.Index.of(store, metric="nearest"), ValueError, "metric: expected"),
        (lambda: ak.Index.of(None), TypeError, "store: expected an array"),
    ):
        with pytest.raises(error, match=words):
            call()


@pytest.mark.parametrize("spec", ["flat,lvq8", "graph8,lvq8", "flat,lvq4+lvq8", "graph8,lvq8+f32"])
def test_from_a_store(spec):
    store = ak.compress(X, "lvq8", "cosine")
    index = ak.Index.build(store, spec)
    assert index.metric == "cosine" and store in (index.store, index.rerank)
    if index.graph is not None:
        assert index.graph.neighbors.tobytes() == ak.build_graph(store, "cosine", 8, 100).neighbors.tobytes()


def test_from_a_store_of_another_form():
    store = ak.compress(X, "f32")
    same(ak.Index.build(store, "graph8,lvq4x8+f32"), ak.Index.build(X, "graph8,lvq4x8+f32"))
    same(ak.Index.build(store, "graph8,lvq4x8", reorder=True), ak.Index.build(X, "graph8,lvq4x8", reorder=True))
    two = ak.compress(X, "lvq4x8")
    assert ak.Index.build(two, "graph8,lvq4x8").store is two
    same(ak.Index.build(two, "flat,pq4x8"), ak.Index.build(two.decode(), "flat,pq4x8"))


def halves(x, step=250):
    return (x[first : first + step] for first in range(0, len(x), step))


@pytest.mark.parametrize(
    "spec", ["flat,f32", "graph8,lvq4+f32", "graph8,leanvec8:lvq4,lvq8", "flat,pq4x4+f16", "graph8,lvq8"]
)
@pytest.mark.parametrize("metric", ["sqeuclidean", "cosine"])
def test_from_blocks(spec, metric):
    """All rows are few enough to be fitted to."""
    same(ak.Index.build(halves(X), spec, metric), ak.Index.build(X, spec, metric))
    same(ak.Index.build(list(halves(X, 900)), spec, metric), ak.Index.build(X, spec, metric))


def test_blocks_are_held_one_at_a_time(monkeypatch):
    monkeypatch.setattr(store_blocks, "FIT_ROWS", 300)
    asked = []

    def blocks():
        for first in range(0, 900, 100):
            asked.append(first)
            yield X[first : first + 100]

    estimator = store_blocks.estimator

    def fitted(*args, **given):
        assert asked == [0, 100, 200]
        return estimator(*args, **given)

    monkeypatch.setattr(store_blocks, "estimator", fitted)
    index = ak.Index.build(blocks(), "flat,lvq4x8")
    codec = ak.LVQ(4, 8).fit(X[:300])
    assert index.store.arrays["codes"].tobytes() == codec.encode(X).arrays["codes"].tobytes()


def test_blocks_of_bits_and_other_metrics():
    bits = np.packbits(X > 0, axis=1, bitorder="little")
    found = ak.Index.build(halves(bits), "graph8,u8", "hamming").search(bits[:9], 1)
    assert (found[0] == 0).all()
    assert ak.Index.build(halves(X), "graph32,f32", "cityblock").search(X[:9], 1)[1][:, 0].tolist() == [*range(9)]


def test_blocks_of_columns():
    pa = pytest.importorskip("pyarrow")
    batches = (pa.FixedSizeListArray.from_arrays(pa.array(block.ravel()), 16) for block in halves(X))
    same(ak.Index.build(batches, "flat,lvq8"), ak.Index.build(X, "flat,lvq8"))


def test_what_is_no_iterable_of_blocks():
    for x, error, words in (
        (iter([]), ValueError, "x: expected at least one block of rows, got none"),
        ([[1.0, 2.0]], TypeError, "x: expected an array .* got list"),
        ([], TypeError, "x: expected an array .* got list"),
        ("text", TypeError, "x: expected an array .* got str"),
        (iter([X, X[:, :8].copy()]), ValueError, "x: expected 16 columns"),
        (iter([X[0]]), ValueError, r"x: expected 2 dimensions"),
    ):
        with pytest.raises(error, match=words):
            ak.Index.build(x, "flat,lvq8")
    with pytest.raises(ValueError, match="reorder: expected False for blocks"):
        ak.Index.build(halves(X), "graph8,lvq8", reorder=True)
