# SPDX-License-Identifier: Apache-2.0
"""Scans of 8-bit product quantization leave rows out by a bound (cpu/distance/pq_prefilter.h): they find what sorting all
keys finds, bit for bit. pairwise makes every key, by the float32 tables alone, so that it is the oracle on every level."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import assert_equal_on_every_level, assert_selected
from test_lvq import METRICS

import annkern as ak
from annkern.reference import METRICS as ROWS


def encoded(rng, n, d, m, *, estimator=ak.PQ, scale=1.0, duplicates=0):
    """A store, and rows like its own as queries; the last `duplicates` rows are copies of a few."""
    x = rng.standard_normal((n, d), dtype=np.float32) * np.asarray(scale, np.float32)
    if duplicates:
        x[n - duplicates :] = x[rng.integers(0, 5, duplicates)]
    options = {"rounds": 1} if estimator is ak.OPQ else {}
    store = estimator(m, 8, metric="cosine", iterations=1, sample=600, **options).fit(x[:600]).encode(x)
    return store, rng.standard_normal((21, d), dtype=np.float32) * np.asarray(scale, np.float32)


def assert_finds(store, queries, metric, ks, filter=None):
    """Neighbours and hits are those of all distances, for one query, a group that is not full, and several groups."""
    everything = ak.pairwise(queries, store, metric)
    passes = np.ones(everything.shape, bool) if filter is None else np.broadcast_to(filter, everything.shape)
    row = ROWS[metric]
    keys = row.key(everything)
    for m in (1, 3, len(queries)):
        own = filter[:m] if filter is not None and filter.ndim == 2 else filter
        for k in ks:
            distances, indices = ak.knn(store, queries[:m], k, metric, filter=own)
            assert_selected(distances, indices, everything[:m], metric, passes[:m])
        for rank in (0, 20, len(store) // 2):  # a radius that is some row's own distance
            r = np.sort(everything[0] * (-1 if row.similarity else 1))[rank] * (-1 if row.similarity else 1)
            lims, distances, indices = ak.radius(store, queries[:m], float(r), metric, filter=own)
            near = (keys[:m] <= row.key(np.float32(r))) & passes[:m]
            np.testing.assert_array_equal(lims, np.concatenate([[0], np.cumsum(near.sum(axis=1))]))
            np.testing.assert_array_equal(indices, np.nonzero(near)[1])
            assert distances.tobytes() == everything[:m][near].tobytes()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("estimator", [ak.PQ, ak.OPQ])
@pytest.mark.parametrize("n, d, m", [(700, 9, 1), (1003, 30, 7), (1024, 32, 16), (1300, 70, 33), (2111, 100, 97)])
def test_what_all_keys_say(rng, n, d, m, estimator, metric):
    store, queries = encoded(rng, n, d, m, estimator=estimator)
    assert_finds(store, queries, metric, (1, 10, n // 32, n // 2, n, n + 3))


@pytest.mark.parametrize("metric", METRICS)
def test_ties_go_to_the_smaller_id(rng, metric):
    """Thousands of equal keys at the k-th place and before it."""
    store, queries = encoded(rng, 6000, 24, 12, duplicates=5000)
    queries[:3] = store.decode(np.array([5995, 5996, 5997]))
    assert_finds(store, queries, metric, (1, 10, 50, 187))


@pytest.mark.parametrize("metric", METRICS)
def test_filters(rng, metric):
    """Shared ones make lists of rows of all lengths, those of single queries move their thresholds apart."""
    store, queries = encoded(rng, 1500, 40, 20)
    for share in (0.5, 0.95):
        assert_finds(store, queries, metric, (1, 10, 46), filter=rng.random(1500) < share)
    assert_finds(store, queries, metric, (1, 10, 46), filter=rng.random((21, 1500)) < rng.random((21, 1)))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", ["one part", "1e-30", "1e-18", "1e15", "1e18", "1e30"])
def test_tables_of_extreme_numbers(rng, scale, metric):
    """One part so much larger that bytes say nothing of the others, and sums and spans at the ends of what is screened."""
    scales = np.where(np.arange(24) < 2, 1e4, 1) if scale == "one part" else float(scale)
    store, queries = encoded(rng, 900, 24, 12, scale=scales)
    with np.errstate(over="ignore", invalid="ignore"):
        assert_finds(store, queries, metric, (1, 10, 28))
        assert_finds(store, queries * np.float32(1e-3), metric, (10,))


def test_rounding_alone_decides(rng):
    """Keys in the last bits of large sums: a bound that forgot the error of the float32 chain would leave rows out."""
    store, queries = encoded(rng, 3000, 96, 96, scale=1e-4)
    book = store.arrays["codebook"]
    book += np.float32(100)  # in place: products of about 100 in each part, that differ from the seventh digit on
    queries = np.abs(queries) * np.float32(1e4)
    assert_finds(store, queries, "inner_product", (1, 10, 93))
    assert_finds(store, -queries, "inner_product", (1, 10, 93))


def test_more_parts_than_sums_of_16_bits_hold_of_seven(rng):
    """600 parts of 127 are beyond 65,535: entries are smaller there."""
    store, queries = encoded(rng, 700, 600, 600)
    assert_finds(store, np.full((5, 600), 3, np.float32), "inner_product", (1, 10, 21))
    assert_finds(store, queries[:5], "sqeuclidean", (1, 10, 21))


CHECK = """
import hashlib
import numpy as np
import annkern as ak
rng = np.random.default_rng(3)
x = rng.standard_normal((4000, 54), dtype=np.float32)
x[1000:3000] = x[:20].repeat(100, axis=0)
queries = rng.standard_normal((37, 54), dtype=np.float32)
digest = hashlib.sha256()
radius = {"sqeuclidean": 50.0, "euclidean": 7.5, "inner_product": 25.0, "cosine": 0.5}
for m in (5, 27, 54):
    store = ak.PQ(m, 8, metric="cosine", iterations=1, sample=1000).fit(x).encode(x)
    for metric in radius:
        for k in (1, 10, 125):
            for count in (1, 2, 37):
                for array in ak.knn(store, queries[:count], k, metric):
                    digest.update(array.tobytes())
        for array in ak.radius(store, queries, radius[metric], metric):
            digest.update(array.tobytes())
print(digest.hexdigest())
"""


def test_same_bytes_on_every_level():
    assert_equal_on_every_level(CHECK)
