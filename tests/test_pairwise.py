# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from cases import BIT_METRICS, DTYPE_PAIRS, DTYPES, NUMBER_METRICS, Case, bits, numbers, table
from oracle import assert_distances

import annkern as ak
from annkern import reference

KINDS = [(metric, *pair) for metric in NUMBER_METRICS for pair in DTYPE_PAIRS] + [(m, "bits", "bits") for m in BIT_METRICS]


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_within_the_bound_of_the_reference(backend, kind):
    for case in table(small=backend.slow):
        if (case.metric, case.base, case.queries) != kind:
            continue
        base, queries = case.arrays()
        got = backend.numpy(ak.pairwise(backend.array(queries), backend.array(base), case.metric))
        assert_distances(got, queries, base, case.metric)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("metric", ["sqeuclidean", "inner_product", "cityblock", "chebyshev", "hamming", "jaccard"])
def test_8_bit_numbers_are_exact(backend, rng, metric, dtype):
    d = 40 if backend.slow else 3001
    dtype = "uint8" if metric in BIT_METRICS else dtype
    base, queries = numbers(rng, 30, d, DTYPES[dtype]), numbers(rng, 5, d, DTYPES[dtype])
    got = backend.numpy(ak.pairwise(backend.array(queries), backend.array(base), metric))
    want = reference.pairwise(queries, base, metric)
    if metric == "jaccard":
        np.testing.assert_allclose(got, want, rtol=0, atol=2.0**-23)
    else:
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "inner_product", "cosine"])
@pytest.mark.parametrize("fill", [(127, 127), (-128, -128), (-128, 127), (0, 255), (255, 255)])
def test_8_bit_numbers_at_their_limits_and_widest(backend, metric, fill):
    d = 32_768 if not backend.slow else 257
    dtype = np.uint8 if max(fill) > 127 else np.int8
    base, queries = np.full((3, d), fill[0], dtype), np.full((2, d), fill[1], dtype)
    got = backend.numpy(ak.pairwise(backend.array(queries), backend.array(base), metric))
    assert_distances(got, queries, base, metric)


@pytest.mark.parametrize("metric", NUMBER_METRICS)
def test_near_vectors_far_from_the_origin_keep_their_digits(backend, rng, metric):
    base = (1000 + 1e-3 * rng.standard_normal((20, 33))).astype(np.float32)
    got = backend.numpy(ak.pairwise(backend.array(base[:4]), backend.array(base), metric))
    if metric in ("sqeuclidean", "euclidean"):
        exact = reference.exact(base[:4], base, metric)
        np.testing.assert_allclose(got, exact, rtol=40 * 2.0**-24)
    assert_distances(got, base[:4], base, metric)


def test_zero_vectors_are_at_cosine_distance_one(backend, rng):
    base = np.vstack([np.zeros((1, 17)), rng.standard_normal((3, 17))]).astype(np.float32)
    got = backend.numpy(ak.pairwise(backend.array(base), backend.array(base), "cosine"))
    np.testing.assert_array_equal(got[0], 1)
    np.testing.assert_array_equal(got[:, 0], 1)


@pytest.mark.parametrize("value", [1e-44, 1e-38, 1e-25, 1e25, 3e38])
def test_cosine_of_very_short_and_very_long_vectors(backend, value):
    base = np.array([[value, 0], [value, value], [0, value], [-value, 0]], np.float32)
    queries = np.array([[1, 0], [value, 0]], np.float32)
    got = backend.numpy(ak.pairwise(backend.array(queries), backend.array(base), "cosine"))
    want = reference.pairwise(queries, base, "cosine")
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


@pytest.mark.parametrize("metric", [*NUMBER_METRICS, *BIT_METRICS])
def test_rows_may_lie_anywhere(backend, rng, metric):
    """Row strides wider than a row, zero and negative; elements that are not adjacent."""
    make = bits if metric in BIT_METRICS else numbers
    wide = make(rng, 20, 24, *([] if metric in BIT_METRICS else [DTYPES["float32"]]))
    whole = backend.array(wide)
    forms = [np.s_[:, :17], np.s_[::2, 3:20], np.s_[:, ::2]]
    if backend.name != "cuda":  # torch has no negative strides
        forms += [np.s_[::-1, :17], np.s_[:, ::-1]]
    for form in forms:
        part = np.ascontiguousarray(wide[form])
        want = backend.numpy(ak.pairwise(backend.array(part[:3]), backend.array(part), metric))
        got = backend.numpy(ak.pairwise(whole[form][:3], whole[form], metric))
        np.testing.assert_array_equal(got, want)


def test_one_row_seen_many_times(rng):
    row = rng.standard_normal((1, 13)).astype(np.float32)
    queries = rng.standard_normal((4, 13)).astype(np.float32)
    got = ak.pairwise(queries, np.broadcast_to(row, (50, 13)))
    np.testing.assert_array_equal(got, np.repeat(ak.pairwise(queries, row), 50, axis=1))


def test_a_pair_does_not_depend_on_its_neighbours(backend):
    """Alone, in a column or in a row, in any position: the same bits."""
    for metric in (*NUMBER_METRICS, *BIT_METRICS):
        kind = ("bits", "bits") if metric in BIT_METRICS else ("float32", "float32")
        base, queries = Case(metric, *kind, 37, 11, 21, 1).arrays()
        whole = backend.numpy(ak.pairwise(backend.array(queries), backend.array(base), metric))
        for q, i in [(0, 0), (10, 36), (5, 17), (7, 32)]:
            alone = backend.numpy(ak.pairwise(backend.array(queries[q : q + 1]), backend.array(base[i : i + 1]), metric))
            row = backend.numpy(ak.pairwise(backend.array(queries[q : q + 1]), backend.array(base), metric))
            column = backend.numpy(ak.pairwise(backend.array(queries), backend.array(base[i : i + 1]), metric))
            assert alone.tobytes() == whole[q, i].tobytes()
            assert row.tobytes() == whole[q].tobytes()
            assert column[:, 0].tobytes() == np.ascontiguousarray(whole[:, i]).tobytes()


def test_aliases_are_the_same_metric(backend, rng):
    x = backend.array(rng.standard_normal((9, 5)).astype(np.float32))
    for alias, name in reference.ALIASES.items():
        np.testing.assert_array_equal(backend.numpy(ak.pairwise(x, x, alias)), backend.numpy(ak.pairwise(x, x, name)))


def test_out_is_written_and_returned(backend, rng):
    x = rng.standard_normal((6, 5)).astype(np.float32)
    out = backend.array(np.zeros((2, 6), np.float32))
    got = ak.pairwise(backend.array(x[:2]), backend.array(x), out=out)
    assert got is out
    np.testing.assert_array_equal(backend.numpy(out), backend.numpy(ak.pairwise(backend.array(x[:2]), backend.array(x))))
