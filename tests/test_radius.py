# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from cases import BIT_METRICS, DTYPE_PAIRS, NUMBER_METRICS, Case, table
from hypothesis import given
from hypothesis import strategies as st
from test_knn import packed

import annkern as ak
from annkern.reference import METRICS

KINDS = [(metric, *pair) for metric in NUMBER_METRICS for pair in DTYPE_PAIRS] + [(m, "bits", "bits") for m in BIT_METRICS]


def assert_hits(backend, base, queries, r, metric, passes=None, filter=None):
    """Exactly the pairs whose own distance, as pairwise reports it, is within r."""
    options = {} if filter is None else {"filter": backend.array(filter)}
    found = ak.radius(backend.array(base), backend.array(queries), r, metric, **options)
    lims, distances, indices = (backend.numpy(x) for x in found)
    everything = backend.numpy(ak.pairwise(backend.array(queries), backend.array(base), metric))
    row = METRICS[metric]
    near = row.key(everything) <= row.key(np.float32(r))
    if passes is not None:
        near &= passes
    np.testing.assert_array_equal(lims, np.concatenate([[0], np.cumsum(near.sum(1))]))
    np.testing.assert_array_equal(indices, np.nonzero(near)[1])
    assert distances.dtype == everything.dtype and lims.dtype == indices.dtype == np.int64
    assert distances.tobytes() == everything[near].tobytes()


def middle(base, queries, metric) -> float:
    """A radius that equals one of the distances, near the third nearest."""
    everything = ak.pairwise(queries, base, metric)
    if not everything.size:
        return 1.0
    row = METRICS[metric]
    return float(np.sort(row.key(everything[0]))[min(2, len(base) - 1)]) * (-1 if row.similarity else 1)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_every_case(backend, kind):
    for case in table(small=backend.slow):
        if (case.metric, case.base, case.queries) != kind:
            continue
        base, queries = case.arrays()
        assert_hits(backend, base, queries, middle(base, queries, case.metric), case.metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("r", [-np.inf, -1.0, 0.0, 1e30, np.inf])
def test_radii_that_take_nothing_or_everything(backend, metric, r):
    kind = ("bits", "bits") if metric in BIT_METRICS else ("float32", "float32")
    for contents in ("normal", "huge"):  # huge ones overflow, some to infinity less infinity
        base, queries = Case(metric, *kind, 33, 3, 5, 1, contents).arrays()
        assert_hits(backend, base, queries, r, metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "per_query"])
def test_filters(backend, rng, metric, shared):
    kind = ("bits", "bits") if metric in BIT_METRICS else ("float32", "float32")
    base, queries = Case(metric, *kind, 70, 4, 6, 1).arrays()
    r = 0.0 if metric == "inner_product" else float(np.median(ak.pairwise(queries, base, metric)))
    for share in (0.0, 0.3, 1.0):
        passes = rng.random((70,) if shared else (4, 70)) < share
        for filter in (passes, packed(passes)):
            assert_hits(backend, base, queries, r, metric, np.broadcast_to(passes, (4, 70)), filter)


def test_a_base_of_many_chunks(backend):
    n = 1500 if backend.slow else 150_000
    for m in (2, 40):
        base, queries = Case("sqeuclidean", "float32", "float32", n, m, 12, 1, "duplicates").arrays()
        assert_hits(backend, base, queries, 4.0, "sqeuclidean")


@given(
    n=st.integers(0, 60),
    m=st.integers(0, 12),
    d=st.integers(0, 20),
    r=st.floats(-5, 50, width=32),
    metric=st.sampled_from(list(METRICS)),
    pair=st.sampled_from(DTYPE_PAIRS),
)
def test_any_shape(n, m, d, r, metric, pair):
    from conftest import BACKENDS

    base, queries = Case(metric, *pair, n, m, d, 1).arrays()
    assert_hits(BACKENDS["cpu"](), base, queries, r, metric)
