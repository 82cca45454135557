# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import numpy as np
import pytest
from cases import BIT_METRICS, Case

import annkern as ak
from annkern import reference
from annkern.reference import METRICS

DTYPES = {"sqeuclidean": np.float32, "inner_product": np.float32, "hamming": np.int32}
INFINITE = float("inf")


def merged(backend, dists, ids, k, metric="sqeuclidean", **arguments):
    got = ak.merge_topk(backend.array(dists), backend.array(ids), k, metric, **arguments)
    return tuple(backend.numpy(x) for x in got)


def check(backend, dists, ids, k, metric="sqeuclidean", offsets=None):
    """The bytes of the reference, with the parts in this order and in the other."""
    want = reference.merge_topk(dists, ids, k, metric, offsets=offsets)
    backwards = None if offsets is None else list(offsets)[::-1]
    for got in (
        merged(backend, dists, ids, k, metric, offsets=offsets),
        merged(backend, dists[::-1].copy(), ids[::-1].copy(), k, metric, offsets=backwards),
    ):
        assert got[0].dtype == want[0].dtype and got[1].dtype == want[1].dtype
        np.testing.assert_array_equal(got[1], want[1])
        assert got[0].tobytes() == want[0].tobytes()


def searched(backend, base, queries, k, metric, cuts):
    """dists, ids (parts, m, k) of a base cut into parts; ids count from each part's first row."""
    parts = [
        [backend.numpy(x) for x in ak.knn(backend.array(base[a:b]), backend.array(queries), k, metric)]
        for a, b in itertools.pairwise(cuts)
    ]
    return np.stack([dist for dist, _ in parts]), np.stack([idx for _, idx in parts])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [1, 7, 30])
def test_merged_parts_are_the_whole(backend, metric, k):
    kind = ("bits", "bits") if metric in BIT_METRICS else ("float32", "float32")
    base, queries = Case(metric, *kind, 60, 5, 6, k, "duplicates").arrays()
    whole = [backend.numpy(x) for x in ak.knn(backend.array(base), backend.array(queries), k, metric)]
    cuts = [0, 5, 25, 25, 60]  # the first part holds fewer rows than k, the third none
    dists, ids = searched(backend, base, queries, k, metric, cuts)
    added = ids + np.array(cuts[:-1])[:, None, None]  # what is missing then has an id, but the missing distance
    offsets = backend.array(np.array(cuts[:-1]))
    for got in (merged(backend, dists, added, k, metric), merged(backend, dists, ids, k, metric, offsets=offsets)):
        assert got[0].dtype == whole[0].dtype
        assert got[0].tobytes() == whole[0].tobytes()
        assert got[1].tobytes() == whole[1].tobytes()


@pytest.mark.parametrize("metric", ["sqeuclidean", "inner_product", "hamming"])
def test_merges_compose(backend, metric):
    kind = ("bits", "bits") if metric in BIT_METRICS else ("float32", "float32")
    base, queries = Case(metric, *kind, 60, 5, 6, 9, "duplicates").arrays()
    cuts = [0, 4, 7, 30, 55, 60]
    dists, ids = searched(backend, base, queries, 9, metric, cuts)
    whole = merged(backend, dists, ids, 9, metric, offsets=cuts[:-1])
    first = merged(backend, dists[:2], ids[:2], 9, metric, offsets=cuts[:2])
    last = merged(backend, dists[2:], ids[2:], 9, metric, offsets=[cut - 7 for cut in cuts[2:-1]])
    pairs = [np.stack(both) for both in zip(first, last, strict=True)]
    for got, want in zip(merged(backend, *pairs, 9, metric, offsets=[0, 7]), whole, strict=True):
        assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("metric", DTYPES)
@pytest.mark.parametrize("shape", [(1, 2, 3), (4, 3, 10), (3, 0, 2), (0, 2, 3), (2, 2, 0), (7, 1, 1), (2, 3, 150)], ids=str)
def test_against_the_reference(backend, rng, metric, shape):
    dists = rng.integers(0, 9, shape).astype(DTYPES[metric])
    ids = rng.integers(-1, 50, shape)
    for k in (0, 1, 5, 40, 400):
        check(backend, dists, ids, k, metric)
        check(backend, dists, ids, k, metric, offsets=[50 * part for part in range(shape[0])])


@pytest.mark.parametrize("metric", DTYPES)
@pytest.mark.parametrize("parts", [1, 2, 3, 8, 33])
def test_sorted_parts(backend, rng, metric, parts):
    """Of various lengths, with ties between parts; then one entry that is out of place, in each place."""
    m, width, sign = 6, 12, -1 if metric == "inner_product" else 1
    dists = (sign * np.sort(rng.integers(0, 20, (parts, m, width)))).astype(DTYPES[metric])
    ids = np.sort(rng.permutation(parts * m * width).reshape(m, width, parts).T.swapaxes(1, 2), axis=2)
    ids[np.arange(width) >= rng.integers(0, width + 1, (parts, m, 1))] = -1
    for k in (1, 10, parts * width + 3):
        check(backend, dists, ids, k, metric)
    for place in range(width):
        swapped = ids.copy()
        swapped[0, :, [place, place - 1]] = ids[0, :, [place - 1, place]]
        check(backend, dists, swapped, 10, metric)


@pytest.mark.parametrize("metric", ["sqeuclidean", "inner_product"])
def test_special_distances(backend, rng, metric):
    values = np.array([0, -0.0, 1, -1, INFINITE, -INFINITE, np.nan, -np.nan, 1e-45, 3e38], np.float32)
    dists, ids = rng.choice(values, (3, 40, 8)), rng.integers(-1, 5, (3, 40, 8))
    for k in (2, 24, 30):
        check(backend, dists, ids, k, metric)
    keys = dists if metric == "sqeuclidean" else -dists
    check(backend, np.take_along_axis(dists, np.argsort(keys, axis=2), axis=2), ids, 5, metric)


def test_what_comes_twice_is_kept_twice(backend):
    dists, ids = np.array([[[1, 2, 3]]] * 3, np.float32), np.array([[[4, 5, 6]]] * 3)
    for k in (4, 9, 12):
        check(backend, dists, ids, k)


def test_integers_stay_exact(backend):
    dists = np.array([[[2**24 + 1, 2**30 + 1]], [[2**24, 2**30]], [[-(2**31), 2**31 - 2]]], np.int32)
    ids = np.array([[[1, 2]], [[3, 4]], [[5, 6]]])
    got = merged(backend, dists, ids, 6, "hamming")
    assert got[0].tolist() == [[-(2**31), 2**24, 2**24 + 1, 2**30, 2**30 + 1, 2**31 - 2]]
    assert got[1].tolist() == [[5, 3, 1, 4, 2, 6]]


@pytest.mark.parametrize("metric", DTYPES)
def test_what_is_missing_stays_missing(backend, metric):
    missing = METRICS[metric].missing
    sign = -1 if metric == "inner_product" else 1
    dists = np.array([[[sign * 3, missing, missing]], [[sign * 1, sign * 2, missing]]]).astype(DTYPES[metric])
    ids = np.array([[[0, -1, -1]], [[0, 4, -1]]])
    ids_added = ids + np.array([5000, 7000])[:, None, None]
    for got in (
        merged(backend, dists, ids, 5, metric, offsets=[5000, 7000]),
        merged(backend, dists, ids_added, 5, metric),
        merged(backend, dists, ids, 5, metric, offsets=(5000, np.int64(7000))),
    ):
        assert got[1].tolist() == [[7000, 7004, 5000, -1, -1]]
        assert got[0].tolist() == [[sign * 1, sign * 2, sign * 3, missing, missing]]
    got = merged(backend, dists, ids, 3, metric, offsets=[2**63 - 1, 0])  # 4 + 2^63 - 1 is no id
    assert got[1].tolist() == [[0, 4, 2**63 - 1]]
    got = merged(backend, dists, ids, 3, metric, offsets=[0, 2**63 - 1])
    assert got[1].tolist() == [[2**63 - 1, 0, -1]]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_out_is_written_and_returned(backend, rng, dtype):
    dists, ids = rng.integers(0, 99, (2, 3, 4)).astype(dtype), rng.integers(0, 99, (2, 3, 4))
    out = backend.array(np.zeros((3, 2), dtype)), backend.array(np.zeros((3, 2), np.int64))
    metric = "hamming" if dtype == np.int32 else "sqeuclidean"
    got = ak.merge_topk(backend.array(dists), backend.array(ids), 2, metric, out=out)
    assert got[0] is out[0] and got[1] is out[1]
    want = reference.merge_topk(dists, ids, 2, metric)
    np.testing.assert_array_equal(backend.numpy(out[0]), want[0])
    np.testing.assert_array_equal(backend.numpy(out[1]), want[1])


def test_parts_may_lie_anywhere(backend, rng):
    dists, ids = rng.standard_normal((3, 4, 10)).astype(np.float32), rng.integers(0, 99, (3, 4, 10))
    offsets = backend.array(np.arange(3) * 100)[::2]
    for cut in (np.s_[::2, ::2, :5], np.s_[::-2, ::-1, :5], np.s_[::2, ::2, 5:0:-2]):
        want = reference.merge_topk(dists[cut], ids[cut], 3, offsets=[0, 200])
        got = ak.merge_topk(backend.array(dists)[cut], backend.array(ids)[cut], 3, offsets=offsets)
        np.testing.assert_array_equal(backend.numpy(got[0]), want[0])
        np.testing.assert_array_equal(backend.numpy(got[1]), want[1])


def test_threads_do_not_show(rng):
    dists, ids = rng.integers(0, 50, (3, 2000, 40)).astype(np.float32), rng.integers(-1, 10**6, (3, 2000, 40))
    dists[:, ::2].sort(axis=2)
    ids[:, ::2].sort(axis=2)
    one, more = (ak.merge_topk(dists, ids, 20, threads=threads) for threads in (1, 3))
    assert one[0].tobytes() == more[0].tobytes() and one[1].tobytes() == more[1].tobytes()
