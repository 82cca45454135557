# SPDX-License-Identifier: Apache-2.0
"""What direct calls take besides arrays: stores of two levels, filters, finer rows, other names, and out=."""

from __future__ import annotations

import numpy as np
import pytest
from direct_calls import CPU, calls, numbers, same

import annkern as ak


@pytest.mark.parametrize("spec", ["lvq4x8", "leanvec12:lvq4,lvq8", "leanvec12:lvq8,f16"])
@pytest.mark.parametrize("metric", [None, "cosine"])
def test_stores_of_two_levels_give_the_same_bytes(indirect, taken, spec, metric):
    x, queries = numbers(1, 300, 20), numbers(2, 9, 20)
    store, graph = ak.compress(x, spec, metric="inner_product"), ak.build_graph(x, degree=16)
    ak.search_graph(graph, store, queries, 5)
    for base in (store, store.primary):  # that of LeanVec multiplies queries by its projection
        for name, call in {
            **calls(base, queries, metric),
            "search_graph": lambda base=base: ak.search_graph(graph, base, queries, 5, metric=metric),
        }.items():
            del taken[:]
            result = call()
            assert taken == [name]
            same(result, indirect(call))


def packed(allowed):
    bits = np.packbits(allowed, axis=-1, bitorder="little")
    return np.ascontiguousarray(np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, -bits.shape[-1] % 4)])).view(np.uint32)


def filters(n, m):
    rng = np.random.default_rng(0)
    one, each = rng.random(n) < 0.6, rng.random((m, n)) < 0.3
    return {"one": one, "each": each, "packed": packed(one), "each packed": packed(each), "apart": each[::-1, :n]}


@pytest.mark.parametrize("which", filters(1, 1))
def test_filters_give_the_same_bytes(indirect, taken, which):
    x, queries = numbers(1, 300, 20), numbers(2, 9, 20)
    allowed, graph, store = filters(300, 9)[which], ak.build_graph(x, degree=16), ak.compress(x, "lvq8")
    ak.search_graph(graph, store, queries, 5)
    for name, call in {
        "knn": lambda: ak.knn(x, queries, 5, filter=allowed),
        "radius": lambda: ak.radius(x, queries, 30, filter=allowed),
        "search_graph": lambda: ak.search_graph(graph, store, queries, 5, filter=allowed),
    }.items():
        del taken[:]
        result = call()
        assert taken == [name]
        same(result, indirect(call))
    same(ak.search_graph(graph, store, queries, 5), indirect(lambda: ak.search_graph(graph, store, queries, 5)))


def test_rerank_gives_the_same_bytes(indirect, taken):
    x, queries = numbers(1, 300, 20), numbers(2, 9, 20)
    coarse, fine = ak.compress(x, "lvq4"), ak.compress(x, "lvq4x8")
    allowed = filters(300, 9)["each"]
    for call in (
        lambda: ak.knn(coarse, queries, 5, rerank=x),
        lambda: ak.knn(coarse, queries, 5, rerank=fine, rerank_k=20),
        lambda: ak.knn(x.astype(np.float16), queries, 5, "cosine", rerank=x, rerank_k=300),
        lambda: ak.knn(fine, queries, 5, "ip", rerank_k=7, filter=allowed),
        lambda: ak.knn(fine, queries, 400, rerank=x),
    ):
        del taken[:]
        result = call()
        assert taken == ["knn"]
        same(result, indirect(call))
    bad = x.copy()
    bad[3] = np.nan
    with pytest.raises(ValueError, match="rerank: expected finite numbers, got NaN or infinity in row 3"):
        ak.knn(coarse, queries, 5, rerank=bad, rerank_k=300)
    with pytest.raises(ValueError, match="rerank: expected 300 rows"):
        ak.knn(coarse, queries, 5, rerank=x[:7])
    with pytest.raises(ValueError, match="rerank_k: expected 5 or more"):
        ak.knn(fine, queries, 5, rerank_k=4)


def test_other_names_and_numbers(taken):
    x, queries = numbers(1, 60, 8), numbers(2, 9, 8)
    for alias, name in CPU.metric_aliases.items():
        same(ak.knn(x, queries, np.int64(3), alias), ak.knn(x, queries, 3, name))
        same(ak.pairwise(queries, x, alias, threads=np.int32(1)), ak.pairwise(queries, x, name))
    same(ak.radius(x, queries, 9), ak.radius(x, queries, np.float64(9)))
    same(ak.knn(x, queries, 80)[1][:, 60:], np.full((9, 20), -1))
    assert len(taken) == 4 * len(CPU.metric_aliases) + 3


def outs(m, k, dtype="float32"):
    return np.full((m, k), 7, dtype), np.full((m, k), 7, np.int64)


def test_results_are_written_where_they_are_wanted(taken):
    x, queries = numbers(1, 300, 20), numbers(2, 9, 20)
    store, graph = ak.compress(x, "lvq4x8"), ak.build_graph(x, degree=16)
    ak.search_graph(graph, store, queries, 5)
    ids, parts = np.arange(27).reshape(9, 3), [np.stack([part] * 2) for part in ak.knn(x, queries, 4)]
    for name, call in {
        "knn": lambda **out: ak.knn(store, queries, 5, **out),
        "search_graph": lambda **out: ak.search_graph(graph, store, queries, 5, **out),
        "select_k": lambda **out: ak.select_k(queries, 5, ids=np.arange(20) + 3, **out),
        "merge_topk": lambda **out: ak.merge_topk(*parts, 5, "sqeuclidean", offsets=[0, 300], **out),
    }.items():
        want, out = call(), outs(9, 5)
        for given in (out, list(out), (out[0], None)):
            del taken[:]
            found = call(out=given)
            assert taken == [name] and found[0] is out[0] and (given[1] is None or found[1] is out[1])
            same(tuple(found), tuple(want))
    for call, shape in (
        (lambda **out: ak.pairwise(queries, store, **out), (9, 300)),
        (lambda **out: ak.distances(x, queries, ids, **out), (9, 3)),
    ):
        out = outs(*shape)[0]
        del taken[:]
        assert call(out=out) is out and len(taken) == 1
        same(out, call())


def test_results_are_not_written_over_inputs(taken):
    x, other, indices = numbers(1, 20, 20), numbers(2, 20, 20), np.zeros((20, 20), np.int64)
    store, graph, offsets = ak.compress(x, "f32"), ak.build_graph(other, degree=4), np.zeros(20, np.int64)
    (held,) = store.arrays.values()
    ak.search_graph(graph, other, other, 20)
    bits = np.zeros((20, 20), np.uint32).view(np.float32)
    parts = x[None], indices[None] + 1
    del taken[:]
    for call, name in (
        (lambda: ak.knn(x, other, 20, out=(x, indices)), "base"),
        (lambda: ak.knn(other, x, 20, out=(x, indices)), "queries"),
        (lambda: ak.knn(other, other, 20, rerank=x, out=(x, indices)), "rerank"),
        (lambda: ak.knn(store, other, 20, out=(held, indices)), "base"),
        (lambda: ak.knn(other, other, 20, filter=bits.view(np.uint32)[:, :1], out=(bits, indices)), "filter"),
        (lambda: ak.knn(other, other, 20, out=(indices.view(np.float32).reshape(-1)[:400].reshape(20, 20), indices)), "out"),
        (lambda: ak.pairwise(x, other, out=x), "queries"),
        (lambda: ak.distances(other, other, indices, out=indices.view(np.float32).reshape(-1)[:400].reshape(20, 20)), "ids"),
        (lambda: ak.select_k(x, 20, out=(x, np.zeros((20, 20), np.int64))), "values"),
        (lambda: ak.select_k(x, 20, ids=indices, out=(np.zeros_like(x), indices)), "ids"),
        (lambda: ak.merge_topk(*parts, 20, offsets=offsets[:1], out=(x, np.zeros((20, 20), np.int64))), "dists"),
        (lambda: ak.search_graph(graph, other, x, 20, out=(x, indices)), "queries"),
    ):
        kept = x.copy()
        with pytest.raises(ValueError, match=f"expected memory of its own, but it overlaps {name}"):
            call()
        assert np.array_equal(x, kept)
    assert not taken


def test_nothing_is_written_where_a_row_is_bad():
    x, queries = numbers(1, 60, 8), numbers(2, 9, 8)
    x[50, 3] = np.inf
    for call, out in (
        (lambda out: ak.knn(x, queries, 5, out=out), outs(9, 5)),
        (lambda out: ak.pairwise(queries, x, out=out[0]), outs(9, 60)),
    ):
        with pytest.raises(ValueError, match="base: expected finite numbers, got NaN or infinity in row 50"):
            call(out)
        assert (out[0] == 7).all() and (out[1] == 7).all()
