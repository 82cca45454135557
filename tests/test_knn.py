# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from cases import BIT_METRICS, DTYPE_PAIRS, DTYPES, NUMBER_METRICS, Case, numbers, table
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_neighbours, assert_selected

import annkern as ak
from annkern import reference
from annkern.reference import METRICS

KINDS = [(metric, *pair) for metric in NUMBER_METRICS for pair in DTYPE_PAIRS] + [(m, "bits", "bits") for m in BIT_METRICS]


def search(backend, base, queries, k, metric="sqeuclidean", **options):
    options = {key: backend.array(value) if isinstance(value, np.ndarray) else value for key, value in options.items()}
    distances, indices = ak.knn(backend.array(base), backend.array(queries), k, metric, **options)
    return backend.numpy(distances), backend.numpy(indices)


def all_distances(backend, base, queries, metric):
    return backend.numpy(ak.pairwise(backend.array(queries), backend.array(base), metric))


def packed(passes: np.ndarray) -> np.ndarray:
    """Booleans (..., n) as words of 32 bits."""
    n = passes.shape[-1]
    padded = np.zeros((*passes.shape[:-1], (n + 31) // 32 * 32), bool)
    padded[..., :n] = passes
    return np.packbits(padded, axis=-1, bitorder="little").view(np.uint32)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_every_case(backend, kind):
    for case in table(small=backend.slow):
        if (case.metric, case.base, case.queries) != kind:
            continue
        base, queries = case.arrays()
        distances, indices = search(backend, base, queries, case.k, case.metric)
        assert distances.shape == indices.shape == (case.m, case.k)
        assert indices.dtype == np.int64
        assert_selected(distances, indices, all_distances(backend, base, queries, case.metric), case.metric)
        assert_neighbours(distances, indices, queries, base, case.metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "per_query"])
def test_filters(backend, rng, metric, shared):
    kind = ("bits", "bits") if metric in BIT_METRICS else ("float32", "float32")
    n, m = (70, 3) if backend.slow else (333, 9)
    base, queries = Case(metric, *kind, n, m, 12, 1).arrays()
    everything = all_distances(backend, base, queries, metric)
    for share in (0.0, 0.02, 0.5, 0.97):
        passes = rng.random((n,) if shared else (m, n)) < share
        for filter in (passes, packed(passes)):
            distances, indices = search(backend, base, queries, 10, metric, filter=filter)
            assert_selected(distances, indices, everything, metric, np.broadcast_to(passes, (m, n)))


def test_a_filter_of_runs(backend, rng):
    """Shared filters are read by words; per query, row by row."""
    n, k = (90, 40) if backend.slow else (1500, 600)
    base = rng.standard_normal((n, 5)).astype(np.float32)
    for m in (1, 2) if backend.slow else (1, 20):
        queries = rng.standard_normal((m, 5)).astype(np.float32)
        for longest in (3, 20, 70, 400):
            runs = rng.integers(1, longest + 1, n)
            passes = np.repeat(np.arange(n) % 2 == 0, runs)[:n]
            want = search(backend, base, queries, k, "sqeuclidean", filter=np.repeat(passes[None], m, 0))
            for filter in (passes, packed(passes)):
                got = search(backend, base, queries, k, "sqeuclidean", filter=filter)
                assert got[0].tobytes() == want[0].tobytes()
                assert got[1].tobytes() == want[1].tobytes()


@pytest.mark.parametrize("metric", ["sqeuclidean", "inner_product", "hamming"])
def test_all_true_is_no_filter(backend, metric):
    kind = ("bits", "bits") if metric in BIT_METRICS else ("float32", "float32")
    base, queries = Case(metric, *kind, 77, 5, 9, 1).arrays()
    want = search(backend, base, queries, 12, metric)
    for passes in (np.ones(77, bool), np.ones((5, 77), bool)):
        for filter in (passes, packed(passes), ~np.zeros_like(packed(passes))):
            got = search(backend, base, queries, 12, metric, filter=filter)
            assert got[0].tobytes() == want[0].tobytes()
            assert got[1].tobytes() == want[1].tobytes()


@pytest.mark.parametrize("metric", METRICS)
def test_missing_neighbours(backend, metric):
    kind = ("bits", "bits") if metric in BIT_METRICS else ("float32", "float32")
    base, queries = Case(metric, *kind, 3, 2, 4, 1).arrays()
    distances, indices = search(backend, base, queries, 6, metric)
    assert (indices[:, 3:] == -1).all()
    assert (distances[:, 3:] == METRICS[metric].missing).all()
    assert (indices[:, :3] >= 0).all()


@pytest.mark.parametrize("metric", METRICS)
def test_empty_shapes(backend, metric):
    kind = ("bits", "bits") if metric in BIT_METRICS else ("float32", "float32")
    for n, m, k in [(0, 3, 2), (5, 0, 2), (5, 3, 0), (0, 0, 0)]:
        base, queries = Case(metric, *kind, n, m, 4, k).arrays()
        distances, indices = search(backend, base, queries, k, metric)
        assert distances.shape == indices.shape == (m, k)
        assert (indices == -1).all()
        assert (distances == METRICS[metric].missing).all()


def test_ties_go_to_the_smaller_id(backend):
    base = np.zeros((100, 3), np.float32)
    base[50:] = 1
    _, indices = search(backend, base, np.zeros((2, 3), np.float32), 60)
    np.testing.assert_array_equal(indices, np.broadcast_to(np.arange(60), (2, 60)))


def test_sums_with_the_same_root_are_ties(backend):
    """The key of "euclidean" is the root: distinct sums under one float32 root are ordered by id."""
    a = np.float32(1.0)
    b = np.nextafter(a, np.float32(2))
    base = np.array([[b, 1, 1, 1], [a, 1, 1, 1]], np.float32)
    queries = np.zeros((1, 4), np.float32)
    distances, indices = search(backend, base, queries, 2, "euclidean")
    if distances[0, 0] == distances[0, 1]:
        np.testing.assert_array_equal(indices, [[0, 1]])
    assert_selected(distances, indices, all_distances(backend, base, queries, "euclidean"), "euclidean")


@pytest.mark.parametrize("k", [255, 257, 1024, 1025, 2047, 2049, 5000])
def test_any_k(backend, rng, k):
    n = 3000 if not backend.slow else min(k + 50, 1200)
    base, queries = (numbers(rng, rows, 4, DTYPES["float32"], "duplicates") for rows in (n, 2))
    distances, indices = search(backend, base, queries, k)
    assert_selected(distances, indices, all_distances(backend, base, queries, "sqeuclidean"), "sqeuclidean")


def test_many_queries(backend, rng):
    m = 70_000 if not backend.slow else 300
    base, queries = rng.integers(-9, 9, (3, 2), np.int8), rng.integers(-9, 9, (m, 2), np.int8)
    distances, indices = search(backend, base, queries, 1)
    want, want_ids = reference.knn(base, queries, 1) if m < 1000 else _by_hand(base, queries)
    np.testing.assert_array_equal(distances, want)
    np.testing.assert_array_equal(indices, want_ids)


@pytest.mark.parametrize("m", [1, 3, 40])
@pytest.mark.parametrize("kind", [("sqeuclidean", "float32"), ("inner_product", "int8"), ("hamming", "bits")], ids="-".join)
def test_a_base_of_many_chunks(backend, kind, m):
    """So large that the scan is cut up, with equal rows far apart: the parts are merged by key and id."""
    n = 1500 if backend.slow else 150_000
    base, queries = Case(kind[0], kind[1], kind[1], n, m, 48, 1, "duplicates").arrays()
    base[n // 2 :] = base[: n - n // 2]
    for k in (10, 700):
        distances, indices = search(backend, base, queries, k, kind[0])
        assert_selected(distances, indices, all_distances(backend, base, queries, kind[0]), kind[0])
        passes = np.arange(n) % 3 == 0
        distances, indices = search(backend, base, queries, k, kind[0], filter=packed(passes))
        everything = all_distances(backend, base, queries, kind[0])
        assert_selected(distances, indices, everything, kind[0], np.broadcast_to(passes, (m, n)))


def _by_hand(base, queries):
    distances = ((queries[:, None].astype(int) - base) ** 2).sum(-1)
    return distances.min(1, keepdims=True).astype(np.float32), distances.argmin(1)[:, None]


def test_nan_ranks_last_where_nobody_looks(backend):
    base = np.array([[np.nan], [2], [np.inf], [1]], np.float32)
    distances, indices = search(backend, base, np.zeros((1, 1), np.float32), 4, check_finite=False)
    np.testing.assert_array_equal(indices[0, :2], [3, 1])
    np.testing.assert_array_equal(indices[0, 2:], [0, 2])
    assert np.isinf(distances[0, 2:]).all()


def test_out_is_written_and_returned(backend, rng):
    x = rng.standard_normal((20, 5)).astype(np.float32)
    out = backend.array(np.zeros((3, 4), np.float32)), backend.array(np.zeros((3, 4), np.int64))
    got = ak.knn(backend.array(x), backend.array(x[:3]), 4, out=out)
    assert got[0] is out[0] and got[1] is out[1]
    want = search(backend, x, x[:3], 4)
    np.testing.assert_array_equal(backend.numpy(out[0]), want[0])
    np.testing.assert_array_equal(backend.numpy(out[1]), want[1])


@pytest.mark.parametrize("metric", NUMBER_METRICS)
@pytest.mark.parametrize("coarse", ["float16", "bfloat16", "int8"])
def test_rerank_gives_the_distances_of_the_fine_rows(backend, rng, metric, coarse):
    n, m = (60, 2) if backend.slow else (400, 7)
    fine = rng.standard_normal((n, 16)).astype(np.float32)
    base = (fine * (30 if coarse == "int8" else 1)).round(2).astype(DTYPES[coarse])
    queries = rng.standard_normal((m, 16)).astype(np.float32)
    everything = all_distances(backend, fine, queries, metric)
    distances, indices = search(backend, base, queries, 5, metric, rerank=fine)
    np.testing.assert_array_equal(distances, np.take_along_axis(everything, indices, axis=1))
    distances, indices = search(backend, base, queries, 5, metric, rerank=fine, rerank_k=n)
    assert_selected(distances, indices, everything, metric)
    passes = rng.random(n) < 0.1
    distances, indices = search(backend, base, queries, 9, metric, rerank=fine, rerank_k=n, filter=passes)
    assert_selected(distances, indices, everything, metric, np.broadcast_to(passes, (m, n)))


def test_candidates_by_default(backend):
    """max(4 k, k + 32) of them, capped at n: here the coarse base proposes rows in order of their ids."""
    fine = np.full((200, 2), 9, np.float32)
    fine[32] = 1
    fine[33] = 0
    options = {"base": np.zeros((200, 2), np.float16), "queries": np.zeros((1, 2), np.float32), "rerank": fine}
    assert search(backend, k=1, **options)[1].tolist() == [[32]]
    assert search(backend, k=1, **options, rerank_k=34)[1].tolist() == [[33]]
    fine[[79, 80]] = [[-1, 0], [0, 0]]
    assert search(backend, k=20, **options)[1][0, :3].tolist() == [33, 79, 32]


@given(
    n=st.integers(0, 90),
    m=st.integers(0, 20),
    d=st.integers(0, 40),
    k=st.integers(0, 100),
    metric=st.sampled_from(list(METRICS)),
    pair=st.sampled_from(DTYPE_PAIRS),
    contents=st.sampled_from(["normal", "duplicates", "equal", "zeros"]),
    threads=st.integers(1, 3),
)
def test_any_shape(n, m, d, k, metric, pair, contents, threads):
    base, queries = Case(metric, *pair, n, m, d, k, contents).arrays()
    distances, indices = ak.knn(base, queries, k, metric, threads=threads)
    assert_selected(distances, indices, ak.pairwise(queries, base, metric), metric)
