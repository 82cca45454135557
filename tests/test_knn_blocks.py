# SPDX-License-Identifier: Apache-2.0
"""A base in blocks gives the bytes of one call over all rows, however it is cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from cases import BIT_METRICS, CONTENTS, DTYPE_PAIRS, NUMBER_METRICS, Case

import annkern as ak
from annkern.ops.knn_blocks import knn_blocks
from annkern.runtime.backend import load
from annkern.stores.registry import codec

KINDS = [
    *((metric, "float32", "float32") for metric in NUMBER_METRICS),
    *(("sqeuclidean", *pair) for pair in DTYPE_PAIRS[1:]),
    *((metric, "bits", "bits") for metric in BIT_METRICS),
]
STORES = ["f16", "sq8", "lvq4", "lvq8", "pq8x4", "pq4x8", "rabitq1", "rabitq4", "bin"]


def cuts(n, step):
    """Of 0 .. n: blocks of `step` rows, and one of none."""
    return [*range(0, n, step), n, n]


def check(backend, base, queries, k, metric, step, filter=None, **arguments):
    parts = [(base[a:b], None if filter is None else filter[..., a:b]) for a, b in itertools.pairwise(cuts(len(base), step))]
    there = [tuple(None if x is None else backend.array(np.ascontiguousarray(x)) for x in part) for part in parts]
    queries, whole_filter = backend.array(queries), None if filter is None else backend.array(filter)
    got = knn_blocks(there, queries, k, metric, **arguments)
    want = ak.knn(backend.array(base), queries, k, metric, filter=whole_filter)
    for ours, theirs in zip(got, want, strict=True):
        ours, theirs = backend.numpy(ours), backend.numpy(theirs)
        np.testing.assert_array_equal(ours, theirs)
        assert ours.tobytes() == theirs.tobytes() and ours.dtype == theirs.dtype


@pytest.mark.parametrize("metric, base_type, query_type", KINDS)
def test_any_cut_gives_the_bytes_of_one_call(backend, metric, base_type, query_type):
    for m, k, step in [(1, 5, 40), (3, 100, 7), (3, 200, 64), (33, 10, 50)]:
        base, queries = Case(metric, base_type, query_type, 130, m, 9, k, "duplicates").arrays()
        check(backend, base, queries, k, metric, step)


@pytest.mark.parametrize("contents", CONTENTS)
@pytest.mark.parametrize("metric", ["sqeuclidean", "inner_product"])
def test_contents(backend, metric, contents):
    """Ties across blocks, and rows at an infinite distance, which are there all the same."""
    base, queries = Case(metric, "float32", "float32", 60, 4, 8, 12, contents).arrays()
    check(backend, base, queries, 12, metric, 9)
    check(backend, base, queries, 70, metric, 9)


@pytest.mark.parametrize("per_query", [False, True])
def test_filters(backend, rng, per_query):
    for m, k, step in [(2, 8, 11), (40, 5, 64)]:
        base, queries = Case("sqeuclidean", "float32", "float32", 150, m, 6, k, "duplicates").arrays()
        filter = rng.random((m, len(base)) if per_query else len(base)) < 0.3
        filter[..., 22:44] = False  # of some blocks no row may be returned
        check(backend, base, queries, k, "sqeuclidean", step, filter)


@pytest.mark.parametrize("metric", ["sqeuclidean", "inner_product"])
@pytest.mark.parametrize("spec", STORES)
def test_stores(backend, rng, spec, metric):
    x = rng.standard_normal((200, 16)).astype(np.float32)
    estimator = codec(spec, metric).fit(x)
    whole = estimator.encode(x).convert(backend.array)
    shared = {name: backend.array(part) for name, part in estimator.encode(x[:1]).shared_arrays().items()}
    blocks = [estimator.encode(x[a:b]).convert(backend.array) for a, b in itertools.pairwise(cuts(len(x), 64))]
    for block in blocks[1:]:  # the first has its own copies of what is shared
        block.arrays = {**block.arrays, **shared}
    for m in (1, 20):
        queries = backend.array(x[:m] * 1.1)
        got, want = knn_blocks(blocks, queries, 70, metric), ak.knn(whole, queries, 70, metric)
        for ours, theirs in zip(got, want, strict=True):
            assert backend.numpy(ours).tobytes() == backend.numpy(theirs).tobytes()


def test_projected_store(backend, rng):
    x = rng.standard_normal((200, 24)).astype(np.float32)
    estimator = codec("leanvec8:lvq8,f16").fit(x)
    whole = estimator.encode(x).convert(backend.array)
    blocks = [estimator.encode(x[a:b]).convert(backend.array).primary for a, b in itertools.pairwise(cuts(len(x), 64))]
    got, want = knn_blocks(blocks, backend.array(x[:5]), 9), ak.knn(whole.primary, backend.array(x[:5]), 9)
    for ours, theirs in zip(got, want, strict=True):
        assert backend.numpy(ours).tobytes() == backend.numpy(theirs).tobytes()


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads(threads, rng):
    """More workers than blocks of queries share the rows; fewer take the blocks of queries one by one."""
    for m, d in [(3, 8), (70, 8), (2500, 4)]:
        base = rng.integers(-3, 4, (3000, d)).astype(np.float32)
        queries = rng.integers(-3, 4, (m, d)).astype(np.float32)
        want = ak.knn(base, queries, 20)
        got = knn_blocks((base[i : i + 700] for i in range(0, len(base), 700)), queries, 20, threads=threads)
        assert got[0].tobytes() == want[0].tobytes() and got[1].tobytes() == want[1].tobytes()


def test_long_blocks_are_shared_in_turns(rng):
    """More chunks than a task takes: 8 MB of rows."""
    base, queries = rng.integers(-9, 9, (50_000, 96)).astype(np.float32), rng.integers(-9, 9, (40, 96)).astype(np.float32)
    want = ak.knn(base, queries, 15)
    for threads in (1, 3):
        got = knn_blocks([base[:49_000], base[49_000:]], queries, 15, threads=threads)
        assert got[0].tobytes() == want[0].tobytes() and got[1].tobytes() == want[1].tobytes()


def test_ids_beyond_32_bits(rng):
    """Positions of entries have 32 bits, ids 64."""
    cpu, firsts = load("cpu"), [0, 2**31, 2**32 - 2, 2**32 + 5, 2**40]
    x = rng.integers(0, 3, (len(firsts), 4, 2)).astype(np.float32)
    queries = x[0, :3].copy()
    distances, indices, carry = np.empty((3, 9), np.float32), np.empty((3, 9), np.int64), cpu.KnnCarry()
    matrix = [cpu.Matrix(rows.ctypes.data, len(rows), 2, 8, "f32") for rows in (queries, *x)]
    for first, block in zip(firsts, matrix[1:], strict=True):
        where = distances.ctypes.data, indices.ctypes.data, 0, carry, first, first == firsts[-1]
        cpu.knn_block(block, matrix[0], "sqeuclidean", 9, cpu.Filter(), *where, cpu.Exec(1))
    want = ak.knn(x.reshape(-1, 2), queries, 9)
    np.testing.assert_array_equal(distances, want[0])
    np.testing.assert_array_equal(indices, np.add.outer(firsts, np.arange(4)).ravel()[want[1]])


def test_memory_of_a_block_may_be_used_again(rng):
    base, queries = rng.standard_normal((90, 5)).astype(np.float32), rng.standard_normal((20, 5)).astype(np.float32)

    def blocks():
        memory = np.empty((30, 5), np.float32)
        for first in range(0, 90, 30):
            memory[...] = base[first : first + 30]
            yield memory

    for ours, theirs in zip(knn_blocks(blocks(), queries, 7), ak.knn(base, queries, 7), strict=True):
        assert ours.tobytes() == theirs.tobytes()


def test_nothing_to_find(backend):
    x = np.zeros((4, 3), np.float32)
    for m, k, n in [(0, 2, 4), (2, 0, 4), (2, 3, 0)]:
        for got in (knn_blocks([backend.array(x[:n])] * 2, backend.array(x[:m]), k),):
            assert got[0].shape == got[1].shape == (m, k)
            assert (backend.numpy(got[1]) == -1).all() and np.isinf(backend.numpy(got[0])).all()


def test_errors_name_the_block(backend, rng):
    x = rng.standard_normal((20, 4)).astype(np.float32)
    queries, fine, spoilt = backend.array(x[:2]), backend.array(x), x.copy()
    spoilt[7, 1] = np.nan
    stores = [codec("lvq8").fit(rows).encode(x).convert(backend.array) for rows in (x, x * 2)]
    for blocks, message in [
        ([], "blocks: expected one or more, got none"),
        ([fine, backend.array(spoilt)], r"blocks\[1\]: expected finite numbers, got NaN or infinity in row 7"),
        ([fine, backend.array(x[:, :3].copy())], r"expected 3 columns, as blocks\[1\] has"),
        (
            [fine, backend.array(x.astype(np.float16))],
            r"blocks\[1\]: expected 4 columns of float32, as the first block, got 4 c",
        ),
        (stores, r"blocks\[1\]: expected a store of the estimator that encoded the first block, got another 'mean'"),
        ([fine, stores[0]], r"blocks\[1\]: expected 4 columns of float32, as the first block, got a store 'lvq8'"),
    ]:
        with pytest.raises(ValueError, match=message):
            knn_blocks(blocks, queries, 3)
    with pytest.raises(ValueError, match="queries: expected finite numbers"):
        knn_blocks([fine], backend.array(spoilt), 3)
    two = codec("leanvec2:lvq8,f16").fit(x).encode(x).convert(backend.array)
    with pytest.raises(ValueError, match=r"blocks\[0\]: expected a store of one level"):
        knn_blocks([two], queries, 3)
