# SPDX-License-Identifier: Apache-2.0
"""The same bytes for any number of threads, any cut of the batch, and any order of the base."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from cases import BIT_METRICS, Case
from test_knn import all_distances, search

import annkern as ak
from annkern.reference import METRICS


def arrays(metric, n, m, d, contents="normal"):
    kind = ("bits", "bits") if metric in BIT_METRICS else ("float32", "float32")
    return Case(metric, *kind, n, m, d, 1, contents).arrays()


@pytest.mark.parametrize("metric", METRICS)
def test_threads_do_not_show(rng, metric):
    base, queries = arrays(metric, 40_000, 37, 24, "duplicates")
    values = rng.integers(0, 50, (9, 4000)).astype(np.float32)
    r = float(np.quantile(ak.pairwise(queries[:5], base, metric), 0.9 if metric == "inner_product" else 0.1))

    def everything(threads):
        results = [
            ak.pairwise(queries, base, metric, threads=threads),
            *ak.knn(base, queries, 30, metric, threads=threads),
            *ak.knn(base, queries[:2], 30, metric, threads=threads),
            *ak.knn(base, queries, 2500, metric, threads=threads),
            *ak.radius(base, queries, r, metric, threads=threads),
            *ak.select_k(values, 100, threads=threads),
        ]
        return [result.tobytes() for result in results]

    one = everything(1)
    assert everything(2) == one
    assert everything(7) == one


@pytest.mark.parametrize("pair", [("float32", "float32"), ("float16", "float32"), ("int8", "int8"), ("uint8", "float32")])
@pytest.mark.parametrize("metric", ["sqeuclidean", "inner_product", "cosine", "cityblock"])
def test_batches_do_not_show(backend, metric, pair):
    n, m = (90, 7) if backend.slow else (2100, 67)
    base, queries = Case(metric, *pair, n, m, 29, 1).arrays()
    whole = search(backend, base, queries, 12, metric)
    for size in (1, 2, 5) if backend.slow else (1, 3, 16, 33, 64):
        parts = [search(backend, base, queries[a : a + size], 12, metric) for a in range(0, m, size)]
        for ours, together in zip(zip(*parts, strict=True), whole, strict=True):
            assert np.concatenate(ours).tobytes() == together.tobytes()


@pytest.mark.parametrize("metric", ["euclidean", "inner_product", "jaccard"])
def test_the_base_in_another_order(backend, rng, metric):
    """Distances keep their bits; ids follow their rows, but that ties now go by the new ids."""
    base, queries = arrays(metric, 80, 4, 11, "duplicates")
    order = rng.permutation(80)
    moved = all_distances(backend, base[order], queries, metric)
    assert np.ascontiguousarray(moved).tobytes() == all_distances(backend, base, queries, metric)[:, order].tobytes()
    distances, _ = search(backend, base, queries, 80, metric)
    moved_distances, ids = search(backend, base[order], queries, 80, metric)
    assert moved_distances.tobytes() == distances.tobytes()
    for query in range(4):
        np.testing.assert_array_equal(np.sort(order[ids[query]]), np.arange(80))


def test_twice_the_same(backend):
    base, queries = arrays("sqeuclidean", 150, 9, 40)
    first = search(backend, base, queries, 20)
    for _ in range(3):
        again = search(backend, base, queries, 20)
        assert again[0].tobytes() == first[0].tobytes() and again[1].tobytes() == first[1].tobytes()


def test_calls_from_many_threads():
    """Callers share the pool; each gets its own answer."""
    base, queries = arrays("sqeuclidean", 4000, 40, 32)
    want = ak.knn(base, queries, 10)
    wrong = []

    def call():
        for _ in range(5):
            got = ak.knn(base, queries, 10)
            if got[0].tobytes() != want[0].tobytes() or got[1].tobytes() != want[1].tobytes():
                wrong.append(threading.get_ident())

    callers = [threading.Thread(target=call) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_batches_that_tensor_cores_prefilter(backend, rng):
    """The fewest queries, rows and dimensions that policy.h gives to the prefilter, and some of them alone."""
    base = rng.standard_normal((32_768, 32)).astype(np.float16)
    queries = rng.standard_normal((2_049, 32), dtype=np.float32)
    distances, ids = search(backend, base, queries, 10, "inner_product")
    for begin, end in ((0, 16), (2_040, 2_049)):
        some, some_ids = search(backend, base, queries[begin:end], 10, "inner_product")
        assert distances[begin:end].tobytes() == some.tobytes()
        assert ids[begin:end].tobytes() == some_ids.tobytes()
