# SPDX-License-Identifier: Apache-2.0
"""k-means and its parts: assign, sums of clusters, repair of empty ones."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from cases import CONTENTS, numbers

import annkern as ak
from annkern import reference
from annkern.ops.kmeans import sums_by_label
from annkern.runtime.backend import load


def blobs(rng, n, d, k, spread=0.05):
    centres = rng.standard_normal((k, d), dtype=np.float32)
    return (centres[rng.integers(0, k, n)] + spread * rng.standard_normal((n, d))).astype(np.float32)


@pytest.mark.parametrize("metric", ["sqeuclidean", "inner_product", "cosine", "cityblock"])
def test_assign(backend, rng, metric):
    x, centroids = (numbers(rng, n, 7, np.dtype(np.float32), "duplicates") for n in (50, 9))
    labels, distances = ak.assign(backend.array(x), backend.array(centroids), metric)
    want, _ = reference.assign(x, centroids, metric)
    np.testing.assert_array_equal(backend.numpy(labels), want)
    everything = backend.numpy(ak.pairwise(backend.array(x), backend.array(centroids), metric))
    got = np.ascontiguousarray(backend.numpy(distances))
    assert got.tobytes() == np.take_along_axis(everything, want[:, None], 1)[:, 0].tobytes()


def test_assign_to_nothing(rng):
    with pytest.raises(ValueError, match="centroids: expected at least one"):
        ak.assign(np.zeros((3, 2), np.float32), np.zeros((0, 2), np.float32))
    labels, distances = ak.assign(np.zeros((0, 2), np.float32), np.zeros((4, 2), np.float32))
    assert labels.shape == distances.shape == (0,)


@pytest.mark.parametrize("n, d, k", [(1, 1, 1), (50, 3, 4), (77, 16, 5), (90, 100, 300), (3, 401, 2)])
def test_sums_of_clusters(backend, rng, n, d, k):
    x, labels = numbers(rng, n, d, np.dtype(np.float32)), rng.integers(0, k, n)
    want, counts = reference.cluster_sums(x, labels, k)
    for threads in (1, 2, 7) if backend.on_host else (None,):
        got = sums_by_label(backend.array(x), backend.array(labels), k, threads)
        assert got[0].tobytes() == want.tobytes()
        np.testing.assert_array_equal(got[1], counts)


@pytest.mark.parametrize("d, parts", [(5, 5), (7, 3), (64, 4), (100, 9), (24, 12), (130, 2)])
def test_sums_in_subspaces(backend, rng, d, parts):
    x, codes = numbers(rng, 60, d, np.dtype(np.float32)), rng.integers(0, 11, (60, parts)).astype(np.uint8)
    want, counts = reference.cluster_sums(x, codes, 11)
    for threads in (1, 2, 7) if backend.on_host else (None,):
        got = sums_by_label(backend.array(x), backend.array(codes), 11, threads)
        assert got[0].tobytes() == want.tobytes()
        np.testing.assert_array_equal(got[1], counts)


@pytest.mark.skipif(load("cpu").backend_info()["isa"] == "baseline", reason="two roundings a step at this level")
@pytest.mark.parametrize("metric", ["sqeuclidean", "inner_product"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_same_clusters_on_every_backend(backend, rng, metric, dtype):
    """With thinned iterations, a sample, and a cluster that empties."""
    x = blobs(rng, 700, 9, 6).astype(dtype)
    init = np.concatenate([x[:6], x[:1] + np.full((1, 9), 50, dtype)]).astype(np.float32)
    here, there = (
        ak.KMeans(7, metric=metric, sample=80, init=init, iterations=10).fit(array) for array in (x, backend.array(x))
    )
    assert here.centroids_.tobytes() == there.centroids_.tobytes()
    assert here.n_iter_ == there.n_iter_
    np.testing.assert_array_equal(here.labels_, backend.numpy(there.labels_) if dtype == "float32" else there.labels_)


@pytest.mark.parametrize("metric", ["sqeuclidean", "inner_product"])
def test_the_references_iterations(rng, metric):
    x = blobs(rng, 400, 11, 8, 0.2)
    start = x[:8]
    km = ak.KMeans(8, metric=metric, iterations=6, init=start).fit(x)
    centroids, labels, inertia = reference.kmeans(x, start, 6, metric)
    np.testing.assert_allclose(km.centroids_, centroids, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(km.labels_, labels)
    assert km.inertia_ == pytest.approx(inertia, rel=1e-5)
    if metric == "inner_product":
        np.testing.assert_allclose(np.linalg.norm(km.centroids_, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("metric", ["sqeuclidean", "inner_product"])
def test_more_iterations_never_hurt(rng, metric):
    x = blobs(rng, 3000, 10, 30, 1.0)
    reached = [ak.KMeans(20, metric=metric, iterations=i).fit(x).inertia_ for i in (1, 3, 10, 30)]
    better = np.diff(reached) if metric == "inner_product" else -np.diff(reached)
    assert (better > 0).all()


def test_labels_and_inertia_are_those_of_assign(rng):
    x = blobs(rng, 2000, 12, 9)
    km = ak.KMeans(9, sample=40).fit(x)  # trained on 360 rows
    labels, distances = ak.assign(x, km.centroids_)
    np.testing.assert_array_equal(km.labels_, labels)
    assert km.inertia_ == distances.astype(np.float64).sum()
    np.testing.assert_array_equal(km.predict(x[:50]), labels[:50])


def test_empty_clusters_are_filled(rng):
    """Centroids far away lose all rows at once, and come back by splitting the largest cluster."""
    x = blobs(rng, 600, 5, 12)
    start = np.concatenate([x[:1], np.full((11, 5), 1e4, np.float32)])
    km = ak.KMeans(12, init=start, iterations=40).fit(x)
    assert (np.bincount(km.labels_, minlength=12) > 0).all()
    want = reference.kmeans(x, start, 1)[0]
    np.testing.assert_allclose(ak.KMeans(12, init=start, iterations=1).fit(x).centroids_, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("metric", ["sqeuclidean", "inner_product"])
def test_same_bytes_for_any_threads(rng, metric):
    x = blobs(rng, 9000, 20, 50, 0.7)
    one, more, other = (
        ak.KMeans(40, metric=metric, threads=threads, seed=seed).fit(x) for threads, seed in ((1, 3), (7, 3), (1, 4))
    )
    assert one.centroids_.tobytes() == more.centroids_.tobytes() and one.inertia_ == more.inertia_
    assert one.labels_.tobytes() == more.labels_.tobytes()
    assert one.centroids_.tobytes() != other.centroids_.tobytes()


@pytest.mark.parametrize("contents", CONTENTS)
@pytest.mark.parametrize("metric", ["sqeuclidean", "inner_product"])
def test_every_kind_of_rows(rng, metric, contents):
    scale = 1e-8 if contents == "huge" else 1  # 1e16: squares still fit float32
    x = numbers(rng, 90, 6, np.dtype(np.float32), contents) * np.float32(scale)
    km = ak.KMeans(7, metric=metric).fit(x)
    assert np.isfinite(km.centroids_).all() and np.isfinite(km.inertia_)
    assert km.labels_.min() >= 0 and km.labels_.max() < 7
    exact = reference.kmeans(x, km.centroids_, 0, metric)[2]
    assert km.inertia_ == pytest.approx(exact, rel=1e-4, abs=1e-6 * float(np.abs(x).max()) ** 2)


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.uint8, ml_dtypes.bfloat16])
def test_other_types_are_cast(rng, dtype):
    x = (blobs(rng, 300, 8, 5) * 20 + 60).astype(dtype)
    got, want = ak.KMeans(5).fit(x), ak.KMeans(5).fit(x.astype(np.float32))
    assert got.centroids_.tobytes() == want.centroids_.tobytes()
    np.testing.assert_array_equal(got.labels_, want.labels_)


def test_as_many_clusters_as_rows(rng):
    x = rng.standard_normal((9, 3), dtype=np.float32)
    assert ak.KMeans(9).fit(x).inertia_ < 1e-10
    assert ak.KMeans(1).fit(x).centroids_ == pytest.approx(x.mean(axis=0, keepdims=True), abs=1e-6)


def test_bad_input(rng):
    x = rng.standard_normal((9, 3), dtype=np.float32)
    with pytest.raises(ValueError, match="n_clusters: expected at most the 9 rows of x, got 10"):
        ak.KMeans(10).fit(x)
    with pytest.raises(ValueError, match="n_clusters: expected 1 or more"):
        ak.KMeans(0).fit(x)
    with pytest.raises(ValueError, match="metric: expected sqeuclidean or inner_product, got 'cosine'"):
        ak.KMeans(2, metric="cosine").fit(x)
    with pytest.raises(ValueError, match=r"init: expected shape \(2, 3\)"):
        ak.KMeans(2, init=x[:3]).fit(x)
    with pytest.raises(ValueError, match="init: expected finite"):
        ak.KMeans(2, init=np.full((2, 3), np.nan, np.float32)).fit(x)
    with pytest.raises(ValueError, match=r"expected fit\(x\)"):
        ak.KMeans(2).predict(x)
    with pytest.raises(ValueError, match="2 dimensions"):
        ak.KMeans(2).fit(x[0])
    with pytest.raises(TypeError, match="float64"):
        ak.KMeans(2).fit(x.astype(np.float64))
    with pytest.raises(ValueError, match="squared lengths float32 can hold"):
        ak.KMeans(2).fit(x * np.float32(1e30))
    x[4, 1] = np.inf
    with pytest.raises(ValueError, match="row 4"):
        ak.KMeans(2).fit(x)


def test_it_does_not_stop_at_a_part_of_the_rows(rng):
    """The first iterations see every fourth row; where these settle, the others are still to be seen."""
    x = blobs(rng, 4000, 6, 3, 0.3)
    km = ak.KMeans(3, iterations=200, sample=None).fit(x)
    for c in range(3):
        np.testing.assert_allclose(km.centroids_[c], x[km.labels_ == c].mean(axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_seeds_lie_far_from_one_another(seed):
    x = np.repeat(np.array([[0] * 4, [1] * 4], np.float32), 500, axis=0)
    assert ak.KMeans(2, seed=seed).fit(x).inertia_ == 0


def test_more_clusters_than_distinct_rows():
    """Nothing is left of the gap that a split cluster gets."""
    x = np.array([[0, 0], [1000, 0], [0, 1000]], np.float32).repeat(10, axis=0)
    for clusters in (3, 5, 9):
        km = ak.KMeans(clusters).fit(x)
        assert km.inertia_ < 1e-3 and np.isfinite(km.centroids_).all()


def test_clusters_of_two_scales(backend):
    """Small ones beside others 3,000 times as far: differences do not drown in the squares of what is far."""
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [rng.integers(0, 8, n) + 0.05 * rng.standard_normal(n) + at for n, at in ((400, 0), (100, 3e3), (100, -3e3))]
    )
    x = x.astype(np.float32)[:, None]
    init = (np.arange(8) + np.array([[0], [3e3], [-3e3]])).reshape(-1, 1).astype(np.float32) + np.float32(0.2)
    km = ak.KMeans(24, init=init, sample=None).fit(backend.array(x))
    assert km.inertia_ == pytest.approx(reference.kmeans(x, init, 25)[2], rel=0.01)
    assert min(ak.KMeans(24, seed=seed).fit(x).inertia_ for seed in range(3)) < 20  # all in one of eight: 43
