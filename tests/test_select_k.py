# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import annkern as ak
from annkern import reference

SHAPES = [(1, 1, 1), (3, 7, 2), (2, 100, 100), (5, 1000, 10), (2, 33, 40), (3, 0, 2), (0, 4, 2), (4, 5, 0), (2, 5000, 1500)]


def check(backend, values, k, largest=False, ids=None, whole=None, whole_ids=None):
    """`whole`, where given, is a view with the contents of `values` but other strides."""
    options = {} if ids is None else {"ids": backend.array(ids) if whole_ids is None else whole_ids}
    got, got_ids = ak.select_k(backend.array(values) if whole is None else whole, k, largest=largest, **options)
    want, want_ids = reference.select_k(values, k, largest=largest, ids=ids)
    np.testing.assert_array_equal(backend.numpy(got_ids), want_ids)
    np.testing.assert_array_equal(backend.numpy(got), want)


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_against_the_reference(backend, rng, shape, largest):
    m, n, k = shape
    contents = {
        "normal": rng.standard_normal((m, n)),
        "ties": rng.integers(0, 4, (m, n)),
        "equal": np.ones((m, n)),
        "rising": np.arange(m * n).reshape(m, n),
        "falling": -np.arange(m * n).reshape(m, n),
        "wide": rng.standard_normal((m, n)) * 10.0 ** rng.integers(-40, 38, (m, n)),
        "signed zeros": rng.choice([0.0, -0.0], (m, n)),
    }
    for values in contents.values():
        check(backend, values.astype(np.float32), k, largest)


@pytest.mark.parametrize("largest", [False, True])
def test_nan_and_infinity(backend, rng, largest):
    values = rng.standard_normal((6, 50)).astype(np.float32)
    values[rng.random(values.shape) < 0.3] = np.nan
    values[rng.random(values.shape) < 0.2] = np.inf
    values[rng.random(values.shape) < 0.2] = -np.inf
    values[-1] = np.nan
    for k in (1, 20, 50, 60):
        check(backend, values, k, largest)


@pytest.mark.parametrize("largest", [False, True])
def test_ids(backend, rng, largest):
    values = rng.integers(0, 5, (4, 60)).astype(np.float32)
    shared = rng.choice(10**12, 60, replace=False)
    own = rng.integers(-1, 10**15, (4, 60))
    own[2] = -1
    for ids in (shared, own):
        for k in (1, 10, 60, 70):
            check(backend, values, k, largest, ids)


def test_rows_may_lie_anywhere(backend, rng):
    values = rng.standard_normal((8, 40)).astype(np.float32)
    ids = rng.integers(0, 1000, (8, 40))
    whole, whole_ids = backend.array(values), backend.array(ids)
    for form in (np.s_[:, :20], np.s_[::2, 5:], np.s_[:, ::3]):
        part = np.ascontiguousarray(values[form])
        check(backend, part, 7, False, np.ascontiguousarray(ids[form]), whole[form], whole_ids[form])


def test_out_is_written_and_returned(backend, rng):
    values = rng.standard_normal((3, 9)).astype(np.float32)
    out = backend.array(np.zeros((3, 2), np.float32)), backend.array(np.zeros((3, 2), np.int64))
    got = ak.select_k(backend.array(values), 2, out=out)
    assert got[0] is out[0] and got[1] is out[1]
    np.testing.assert_array_equal(backend.numpy(out[0]), np.sort(values, axis=1)[:, :2])


@pytest.mark.parametrize("k", [1, 10, 32, 33, 1000, 2048, 40_000])
def test_long_rows(backend, rng, k):
    n = 2500 if backend.slow else 100_003
    values = rng.standard_normal((2, n)).astype(np.float32)
    values[1] = np.round(values[1], 1)  # mostly ties
    check(backend, values, k)
    check(backend, values, k, largest=True)


@given(
    values=arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(0, 40)), elements=st.floats(width=32)),
    k=st.integers(0, 50),
    largest=st.booleans(),
)
def test_any_values(values, k, largest):
    got, got_ids = ak.select_k(values, k, largest=largest)
    want, want_ids = reference.select_k(values, k, largest=largest)
    np.testing.assert_array_equal(got_ids, want_ids)
    np.testing.assert_array_equal(got, want)
