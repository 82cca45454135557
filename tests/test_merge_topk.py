# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import numpy as np
import pytest
from cases import BIT_METRICS, Case

import annkern as ak
from annkern import reference
from annkern.reference import METRICS


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [1, 7, 30])
def test_merged_parts_are_the_whole(backend, metric, k):
    kind = ("bits", "bits") if metric in BIT_METRICS else ("float32", "float32")
    base, queries = Case(metric, *kind, 60, 5, 6, k, "duplicates").arrays()
    whole = [backend.numpy(x) for x in ak.knn(backend.array(base), backend.array(queries), k, metric)]
    cuts = [0, 5, 25, 60]  # the first part holds fewer rows than k
    parts = [
        [backend.numpy(x) for x in ak.knn(backend.array(base[a:b]), backend.array(queries), k, metric)]
        for a, b in itertools.pairwise(cuts)
    ]
    dists = np.stack([part[0] for part in parts])
    ids = np.stack([np.where(part[1] < 0, -1, part[1] + a) for part, a in zip(parts, cuts, strict=False)])
    got = [backend.numpy(x) for x in ak.merge_topk(backend.array(dists), backend.array(ids), k, metric)]
    assert got[0].dtype == whole[0].dtype
    assert got[0].tobytes() == whole[0].tobytes()
    assert got[1].tobytes() == whole[1].tobytes()


@pytest.mark.parametrize("metric", ["sqeuclidean", "inner_product", "hamming"])
@pytest.mark.parametrize("shape", [(1, 2, 3), (4, 3, 10), (3, 0, 2), (0, 2, 3), (2, 2, 0), (7, 1, 1)], ids=str)
def test_against_the_reference(backend, rng, metric, shape):
    dtype = np.int32 if metric == "hamming" else np.float32
    dists = rng.integers(0, 9, shape).astype(dtype)
    ids = rng.integers(-1, 50, shape)
    for k in (0, 1, 5, 40):
        got = ak.merge_topk(backend.array(dists), backend.array(ids), k, metric)
        want = reference.merge_topk(dists, ids, k, metric)
        for ours, theirs in zip(got, want, strict=True):
            np.testing.assert_array_equal(backend.numpy(ours), theirs)
            assert backend.numpy(ours).dtype == theirs.dtype


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
    view, id_view = backend.array(dists)[::2, ::2, :5], backend.array(ids)[::2, ::2, :5]
    want = reference.merge_topk(dists[::2, ::2, :5], ids[::2, ::2, :5], 3)
    got = ak.merge_topk(view, id_view, 3)
    np.testing.assert_array_equal(backend.numpy(got[0]), want[0])
    np.testing.assert_array_equal(backend.numpy(got[1]), want[1])
