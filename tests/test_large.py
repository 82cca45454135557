# SPDX-License-Identifier: Apache-2.0
"""Sizes above 2^31, in memory that exists only where it is touched."""

from __future__ import annotations

import os

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import annkern as ak

BEYOND = 1 << 31


@pytest.mark.skipif("san.so" in os.environ.get("LD_PRELOAD", ""), reason="minutes long under a sanitizer")
def test_more_than_2_to_the_31_rows():
    """All rows are one byte in memory; the filter passes two of them, behind row 2^31."""
    n = BEYOND + 70
    base = np.broadcast_to(np.array([[7]], np.uint8), (n, 1))
    filter = np.zeros((n + 31) // 32, np.uint32)
    for row in (BEYOND + 5, BEYOND + 64):
        filter[row // 32] |= np.uint32(1 << (row % 32))
    distances, indices = ak.knn(base, np.array([[4]], np.uint8), 3, "cityblock", filter=filter)
    np.testing.assert_array_equal(indices, [[BEYOND + 5, BEYOND + 64, -1]])
    np.testing.assert_array_equal(distances, [[3, 3, np.inf]])
    lims, distances, indices = ak.radius(base, np.array([[4]], np.uint8), 3, "cityblock", filter=filter)
    np.testing.assert_array_equal(lims, [0, 2])
    np.testing.assert_array_equal(indices, [BEYOND + 5, BEYOND + 64])


def test_rows_far_apart(backend):
    """Row strides that carry an offset beyond 2^31 bytes, forwards and backwards."""
    step = (1 << 29) + 4096
    memory = np.zeros(6 * step // 4, np.float32)
    base = as_strided(memory, (6, 3), (step, 4))
    base[:] = np.arange(6)[:, None]
    for rows in (base, base[::-1]):
        if backend.name == "cuda":
            pytest.skip("torch copies would be dense")
        given = rows if backend.on_host else type(backend.array(rows[:1]))(rows)
        distances, indices = ak.knn(given, backend.array(rows[5:].copy()), 2)
        np.testing.assert_array_equal(backend.numpy(indices), [[5, 4]])
        np.testing.assert_array_equal(backend.numpy(distances), [[0, 3]])


def test_a_base_of_more_than_2_to_the_31_bytes():
    base = np.zeros((70_000, 32_768), np.uint8)
    base[-1] = 3
    base[65_000] = 2
    distances, indices = ak.knn(base, base[-1:].copy(), 2)
    np.testing.assert_array_equal(indices, [[69_999, 65_000]])
    np.testing.assert_array_equal(distances, [[0, 32_768]])


def test_a_query_of_more_than_2_to_the_24_bits_is_refused():
    x = np.zeros((1, (1 << 21) + 1), np.uint8)
    with pytest.raises(ValueError, match="base: expected at most 16777216 bits"):
        ak.knn(x, x, 1, "hamming")
    distances, _ = ak.knn(x[:, :-1], ~x[:, :-1], 1, "hamming")
    assert distances[0, 0] == 1 << 24


def test_values_far_apart():
    step = (1 << 29) + 64
    memory = np.zeros(5 * step // 4, np.float32)
    values = as_strided(memory, (5, 4), (step, 4))
    values[:] = [4, 1, 3, 2]
    got, ids = ak.select_k(values, 2)
    np.testing.assert_array_equal(ids, [[1, 3]] * 5)
    np.testing.assert_array_equal(got, [[1, 2]] * 5)
