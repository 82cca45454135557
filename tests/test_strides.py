# SPDX-License-Identifier: Apache-2.0
"""Every argument of every operation as a slice, a reversed, a transposed and a broadcast array: the same results as of a
copy without gaps. out= has no gaps, or is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

import annkern as ak
from annkern.ops.kmeans import sums_by_label

RNG = np.random.default_rng(5)
N, M, C, D, K = 70, 6, 9, 16, 5
X = RNG.standard_normal((N, D)).astype(np.float32)
Q = RNG.standard_normal((M, D)).astype(np.float32)
IDS = np.stack([RNG.permutation(N)[:C] for _ in range(M)])
ALLOWED = RNG.random((M, N)) < 0.6
BITS = RNG.integers(0, 2**32, (M, -(-N // 32)), dtype=np.uint32)
PARTS = RNG.random((3, M, C)).astype(np.float32)
PART_IDS = RNG.permutation(3 * M * C).reshape(3, M, C)
LABELS = RNG.integers(0, 4, N)
GRAPH = ak.build_graph(X, degree=8)


def filled(shape, key, x):
    """An array of that shape, full of what no operation takes, with `x` at `key`."""
    odd = {"f": np.nan, "i": -7, "u": 0, "b": False}[x.dtype.kind]
    memory = np.full(shape, odd, x.dtype)
    memory[key] = x
    return memory


def gaps(x):
    key = (..., slice(2, 2 + x.shape[-1]))
    return filled((*x.shape[:-1], x.shape[-1] + 5), key, x), key


def every_other_row(x):
    return filled((2 * len(x), *x.shape[1:]), np.s_[::2], x), np.s_[::2]


def every_other_column(x):
    return filled((*x.shape[:-1], 2 * x.shape[-1]), np.s_[..., ::2], x), np.s_[..., ::2]


def reversed_rows(x):
    return x[::-1].copy(), np.s_[::-1]


def transposed(x):
    return x.swapaxes(0, -1).copy().swapaxes(0, -1), np.s_[...]


def broadcast(x):
    return np.broadcast_to(x[:1].copy(), x.shape), np.s_[...]


LAYOUTS = (gaps, every_other_row, every_other_column, reversed_rows, transposed, broadcast)


def packed(x):
    return x.copy(), np.s_[...]


def laid(backend, layout):
    """Puts an array where the backend works, in that layout."""

    def put(x):
        memory, key = layout(x)
        if backend.name == "emu":
            import emu_array

            return emu_array.EmuArray(memory)[key]
        return backend.array(memory)[key]

    return put


def stored(b, spec="lvq8"):
    return ak.compress(b.array(X), spec)


def graph(b):
    return GRAPH.convert(b.array)


# Argument -> a call with that argument laid out by `put`, all others without gaps.
CALLS = {
    "knn base": (X, lambda b, put, x: ak.knn(put(x), b.array(Q), K)),
    "knn queries": (Q, lambda b, put, x: ak.knn(b.array(X), put(x), K)),
    "knn queries of a store": (Q, lambda b, put, x: ak.knn(stored(b, "lvq4x8"), put(x), K)),
    "knn queries of leanvec": (Q, lambda b, put, x: ak.knn(stored(b, "leanvec8:lvq8,f16"), put(x), K)),
    "knn rerank": (X, lambda b, put, x: ak.knn(stored(b, "sq4"), b.array(Q), K, rerank=put(x))),
    "knn filter": (ALLOWED, lambda b, put, x: ak.knn(b.array(X), b.array(Q), K, filter=put(x))),
    "knn filter of all": (ALLOWED[0], lambda b, put, x: ak.knn(b.array(X), b.array(Q), K, filter=put(x))),
    "knn packed filter": (BITS, lambda b, put, x: ak.knn(b.array(X), b.array(Q), K, filter=put(x))),
    "pairwise queries": (Q, lambda b, put, x: ak.pairwise(put(x), b.array(X))),
    "pairwise base": (X, lambda b, put, x: ak.pairwise(b.array(Q), put(x))),
    "radius base": (X, lambda b, put, x: ak.radius(put(x), b.array(Q), 30.0)),
    "radius queries": (Q, lambda b, put, x: ak.radius(b.array(X), put(x), 30.0)),
    "radius filter": (ALLOWED, lambda b, put, x: ak.radius(b.array(X), b.array(Q), 30.0, filter=put(x))),
    "radius packed filter": (BITS, lambda b, put, x: ak.radius(b.array(X), b.array(Q), 30.0, filter=put(x))),
    "distances base": (X, lambda b, put, x: ak.distances(put(x), b.array(Q), b.array(IDS))),
    "distances queries": (Q, lambda b, put, x: ak.distances(b.array(X), put(x), b.array(IDS))),
    "distances ids": (IDS, lambda b, put, x: ak.distances(b.array(X), b.array(Q), put(x))),
    "Store.distances queries": (Q, lambda b, put, x: stored(b).distances(put(x), b.array(IDS))),
    "Store.distances ids": (IDS, lambda b, put, x: stored(b).distances(b.array(Q), put(x))),
    "Store.decode ids": (IDS[0], lambda b, put, x: stored(b).decode(put(x))),
    "Store.decode ids of f16": (IDS[0], lambda b, put, x: stored(b, "f16").decode(put(x))),
    "error_bounds queries": (Q, lambda b, put, x: stored(b, "rabitq2").error_bounds(put(x), b.array(IDS))),
    "error_bounds ids": (IDS, lambda b, put, x: stored(b, "rabitq2").error_bounds(b.array(Q), put(x))),
    "select_k values": (PARTS[0], lambda b, put, x: ak.select_k(put(x), K)),
    "select_k ids": (IDS, lambda b, put, x: ak.select_k(b.array(PARTS[0]), K, ids=put(x))),
    "select_k ids of all": (IDS[0], lambda b, put, x: ak.select_k(b.array(PARTS[0]), K, ids=put(x))),
    "merge_topk dists": (PARTS, lambda b, put, x: ak.merge_topk(put(x), b.array(PART_IDS), K)),
    "merge_topk ids": (PART_IDS, lambda b, put, x: ak.merge_topk(b.array(PARTS), put(x), K)),
    "merge_topk int32": (
        (PARTS * 900).astype(np.int32),
        lambda b, put, x: ak.merge_topk(put(x), b.array(PART_IDS), K, "hamming"),
    ),
    "merge_topk offsets": (
        np.array([7, 1000, 10**9]),
        lambda b, put, x: ak.merge_topk(b.array(PARTS), b.array(PART_IDS), K, offsets=put(x)),
    ),
    "assign x": (X, lambda b, put, x: ak.assign(put(x), b.array(Q))),
    "assign centroids": (Q, lambda b, put, x: ak.assign(b.array(X), put(x))),
    "search_graph store": (X, lambda b, put, x: ak.search_graph(graph(b), put(x), b.array(Q), K)),
    "search_graph queries": (Q, lambda b, put, x: twice(graph(b), stored(b), put(x))),
    "search_graph filter": (ALLOWED, lambda b, put, x: ak.search_graph(graph(b), b.array(X), b.array(Q), K, filter=put(x))),
    "build_graph store": (X[:30, :4], lambda b, put, x: built(put(x), "vamana")),
    "build_graph store by descent": (X[:12, :4], lambda b, put, x: built(put(x), "nn_descent")),
    "compress x": (X, lambda b, put, x: ak.compress(put(x), "lvq4x8").decode()),
    "compress learn_queries": (Q, lambda b, put, x: learnt(b.array(X), put(x))),
    "KMeans x": (X, lambda b, put, x: clusters(put(x), None)),
    "KMeans init": (Q, lambda b, put, x: clusters(b.array(X), put(x))),
    "labels": (LABELS, lambda b, put, x: sums_by_label(b.array(X), put(x), 4)),
}


def twice(g, store, queries):
    """A repeated search takes a shorter way."""
    first = ak.search_graph(g, store, queries, K)
    return (*first, *ak.search_graph(g, store, queries, K))


def built(x, method):
    made = ak.build_graph(x, degree=4, window=8, method=method)
    return made.neighbors, made.entries


def learnt(x, queries):
    estimator = ak.LeanVec(8, learn_queries=queries).fit(x)
    return estimator.query_projection_, estimator.data_projection_


def clusters(x, init):
    found = ak.KMeans(M, init=init, iterations=3).fit(x)
    return found.centroids_, found.labels_


def results(backend, found):
    arrays = found if isinstance(found, tuple) else (found,)
    return [x if isinstance(x, np.ndarray) else backend.numpy(x) for x in arrays]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("name", CALLS)
def test_strides(backend, name, layout):
    x, call = CALLS[name]
    if layout is reversed_rows and backend.name == "cuda":
        pytest.skip("PyTorch has no negative strides")
    if name.startswith("error_bounds") and not backend.on_host:
        pytest.skip("error_bounds takes stores in host memory alone")
    values = np.ascontiguousarray(broadcast(x)[0]) if layout is broadcast else x
    expected = results(backend, call(backend, laid(backend, packed), values))
    got = results(backend, call(backend, laid(backend, layout), x))
    for a, b in zip(expected, got, strict=True):
        np.testing.assert_array_equal(b, a)


OUTS = {
    "knn": (2, lambda b, out: ak.knn(b.array(X), b.array(Q), K, out=out), (M, K)),
    "pairwise": (1, lambda b, out: ak.pairwise(b.array(Q), b.array(X), out=out), (M, N)),
    "distances": (1, lambda b, out: ak.distances(b.array(X), b.array(Q), b.array(IDS), out=out), (M, C)),
    "select_k": (2, lambda b, out: ak.select_k(b.array(PARTS[0]), K, out=out), (M, K)),
    "merge_topk": (2, lambda b, out: ak.merge_topk(b.array(PARTS), b.array(PART_IDS), K, out=out), (M, K)),
    "search_graph": (2, lambda b, out: ak.search_graph(graph(b), b.array(X), b.array(Q), K, out=out), (M, K)),
}


@pytest.mark.parametrize("layout", LAYOUTS[:5], ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("name", OUTS)
def test_out_without_gaps_alone(backend, name, layout):
    count, call, shape = OUTS[name]
    if layout is reversed_rows and backend.name == "cuda":
        pytest.skip("PyTorch has no negative strides")
    for place in range(count):
        put = [laid(backend, layout if at == place else packed) for at in range(count)]
        outs = [p(np.zeros(shape, dtype)) for p, dtype in zip(put, (np.float32, np.int64), strict=False)]
        argument = f"out[{place}]" if count > 1 else "out"
        with pytest.raises(ValueError, match=rf"{re.escape(argument)}: expected a contiguous row-major array, got strides"):
            call(backend, tuple(outs) if count > 1 else outs[0])
        assert all((results(backend, out)[0] == 0).all() for out in outs)


def test_a_base_that_begins_with_the_queries_is_checked(backend):
    bad = X.copy()
    bad[M + 1, 3] = np.nan
    x = backend.array(bad)
    with pytest.raises(ValueError, match=f"base: expected finite numbers, got NaN or infinity in row {M + 1}"):
        ak.knn(x, x[:M], K)
    with pytest.raises(ValueError, match=f"queries: expected finite numbers, got NaN or infinity in row {M + 1}"):
        ak.knn(x, x, K)
    with pytest.raises(ValueError, match=f"rerank: expected finite numbers, got NaN or infinity in row {M + 1}"):
        ak.knn(backend.array(X), backend.array(Q), K, rerank=x, rerank_k=N)
