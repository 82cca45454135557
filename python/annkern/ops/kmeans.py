# SPDX-License-Identifier: Apache-2.0
"""k-means: Lloyd's iterations over `assign` and the cluster_sums kernel. The definition is reference/kmeans.py."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..arrays.columns import rows_of
from ..arrays.host import host_rows
from ..arrays.views import View, host_copy, row_major, view
from ..runtime.context import KERNEL_DTYPES, Context, matrix_of, shaped, thread_count, whole_number
from ..runtime.progress import Bar
from ..runtime.shown import Shown
from ..runtime.types import MetricName
from .assign import assign
from .metrics import metric_known
from .pairwise import pairwise
from .sampling import BLOCK_BYTES, training_sample

METRICS = ("sqeuclidean", "inner_product")
THIN, EARLY, LEAST_ROWS = 4, 0.4, 16  # the first 40% of the iterations see every fourth row, if 16 for each cluster remain
SPLIT = 1.0 / 1024  # how far the halves of a split cluster are moved apart, relative to each coordinate
SEED_ROWS = 4  # for each cluster that seeds come from, and more:
SEED_PAIRS = 1 << 22  # of rows and clusters, up to so many
SEED_TRIES = 4096  # draws for all clusters
FAR = 2000.0  # rows so many times farther from zero than from their centroids, squared, are compared by differences
FAR_ROWS = 4096  # that are asked before the first iteration
Floats = np.ndarray[Any, np.dtype[np.float32]]
Counts = np.ndarray[Any, np.dtype[np.int64]]


class KMeans(Shown):
    """k-means clustering by Lloyd's iterations.

    Parameters
    ----------
    n_clusters : int
        At most the number of rows.
    metric : {"sqeuclidean", "inner_product"}
        With "inner_product" centroids have unit length (spherical k-means), and each row goes to the one of largest product.
    iterations : int
        Fewer are done where the clusters stop changing.
    sample : int or None
        Train on at most so many rows for each cluster, chosen by `seed`; None takes all.
    init : array (n_clusters, d), optional
        Where to start from; by default rows far from one another, chosen by `seed` (k-means++, the best of a few tries).
    seed : int
        The same seed gives the same bytes, for any number of threads.
    threads : int, optional
        CPU threads.
    progress : bool
        Show a bar on the terminal, which ends early where the clusters stop changing.

    Attributes
    ----------
    centroids_ : ndarray (n_clusters, d) float32
    labels_ : array (n,) of int64
        Of all rows given to `fit`, sampled or not; in the library and on the device of `x`, if that is float32.
    inertia_ : float
        The sum over all rows of the distance to their centroid (of the product with it, under "inner_product").
    n_iter_ : int
        Iterations done.

    Notes
    -----
    An iteration is `assign` (2 n k d flops at the speed of `knn`) and one pass over the rows that sums clusters in float64,
    each sum a chain in the order of rows. A cluster that lost all its rows takes half of the largest one (ties: the smallest
    number): the same centroid, the coordinates of the two (under "sqeuclidean", relative to the mean of all rows) moved
    apart by 1/1024, alternately up and down; behind the last iteration nothing stays apart. Seeds come from 4 rows for each
    cluster or more (Arthur and Vassilvitskii, "k-means++", 2007). The first 40% of the iterations see
    every fourth row only, where these are 16 for each cluster or more. Iterations run where `x` lies; on a device they take
    a copy of the rows that are trained on, and give the centroids that the CPU gives at levels with fused multiply-add, bit
    for bit.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.repeat(np.array([[0, 0], [9, 9]], np.float32), 50, axis=0)
    >>> km = ak.KMeans(2).fit(x)
    >>> np.bincount(km.labels_).tolist(), km.inertia_
    ([50, 50], 0.0)
    """

    centroids_: Floats
    labels_: Any
    inertia_: float
    n_iter_: int

    def __init__(
        self,
        n_clusters: int,
        *,
        metric: MetricName = "sqeuclidean",
        iterations: int = 25,
        sample: int | None = 256,
        init: Any = None,
        seed: int = 0,
        threads: int | None = None,
        progress: bool = False,
    ) -> None:
        self.n_clusters = n_clusters
        self.metric = metric
        self.iterations = iterations
        self.sample = sample
        self.init = init
        self.seed = seed
        self.threads = threads
        self.progress = progress

    def fit(self, x: Any) -> KMeans:
        """Find the centroids.

        Parameters
        ----------
        x : array (n, d) of floats or 8-bit integers
            No fewer rows than `n_clusters`.

        Returns
        -------
        KMeans
            Itself.

        Raises
        ------
        ValueError
            For fewer rows, for NaN and infinity, and for rows whose squared lengths float32 cannot hold.
        """
        k = whole_number("n_clusters", self.n_clusters, 1)
        metric = metric_known(self.metric)
        if metric not in METRICS:
            raise ValueError(f"metric: expected {' or '.join(METRICS)}, got {self.metric!r}")
        iterations = whole_number("iterations", self.iterations, 0)
        thread_count(self.threads)
        x = rows_of("x", x)
        seen = shaped("x", view("x", x), "n, d", tuple(KERNEL_DTYPES))
        if seen.shape[0] < k:
            raise ValueError(f"n_clusters: expected at most the {seen.shape[0]} rows of x, got {k}")
        most = seen.shape[0] if self.sample is None else whole_number("sample", self.sample, 1) * k
        rows = training_sample(x, most, whole_number("seed", self.seed, 0))
        if not np.isfinite(np.einsum("ij,ij->i", rows, rows)).all():
            raise ValueError("x: expected rows whose squared lengths float32 can hold, got larger numbers; scale them down")
        like = None if seen.device.on_host else seen
        start, bar = self._start(rows, k, metric), Bar(iterations, self.progress, "k-means", "iterations")
        self.centroids_, self.n_iter_ = lloyd(rows, start, metric, iterations, self.threads, like, bar)
        self.labels_, self.inertia_ = self._label(x, seen, metric)
        return self

    def predict(self, x: Any) -> Any:
        """The cluster of each row: the labels of `assign`.

        Parameters
        ----------
        x : array (n, d)
            As of `fit`.

        Returns
        -------
        array (n,) of int64
            In the library and on the device of `x`, if that is float32.
        """
        if not hasattr(self, "centroids_"):
            raise ValueError("KMeans: expected fit(x) before predict(x)")
        seen = shaped("x", view("x", x), "n, d", tuple(KERNEL_DTYPES))
        return self._label(x, seen, metric_known(self.metric))[0]

    def _start(self, rows: Floats, k: int, metric: MetricName) -> Floats:
        if self.init is None:
            random = np.random.Generator(np.random.Philox(whole_number("seed", self.seed, 0) + 1))
            bar = Bar(k, self.progress, "k-means++", "seeds")
            start = seeds(unit(rows) if metric == "inner_product" else rows, k, random, self.threads, bar)
        else:
            start = host_rows(self.init, view("init", self.init), None)
            if start.shape != (k, rows.shape[1]):
                raise ValueError(f"init: expected shape {(k, rows.shape[1])}, got {start.shape}")
            if not np.isfinite(start).all():
                raise ValueError("init: expected finite numbers, got NaN or infinity")
        return unit(start) if metric == "inner_product" else start

    def _label(self, x: Any, seen: View, metric: MetricName) -> tuple[Any, float]:
        """Labels of all rows, and the sum of their distances."""
        if seen.dtype == "float32":
            place = self.centroids_ if seen.device.on_host else seen.library.from_numpy(self.centroids_, seen.device)
            labels, distances = assign(x, place, metric, threads=self.threads)
            return labels, float(np.asarray(host_rows(distances, view("distances", distances), None), np.float64).sum())
        labels = np.empty(seen.shape[0], np.int64)
        inertia = 0.0
        step = max(1, BLOCK_BYTES // max(1, 4 * seen.shape[1]))
        for first in range(0, seen.shape[0], step):
            block = np.arange(first, min(first + step, seen.shape[0]))
            part = assign(host_rows(x, seen, block), self.centroids_, metric, threads=self.threads)
            labels[first : first + step] = part[0]
            inertia += float(part[1].astype(np.float64).sum())
        return labels, inertia


def lloyd(
    rows: Floats,
    centroids: Floats,
    metric: MetricName,
    iterations: int,
    threads: int | None = None,
    like: View | None = None,
    bar: Bar | None = None,
) -> tuple[Floats, int]:
    """Centroids after at most so many iterations, and how many were done; on the device of the array `like`."""
    clustered = _ClusteredRows(rows, metric, threads, like)
    means, done = iterate(
        clustered.start(centroids), iterations, thin_iterations(len(rows), len(centroids), iterations), clustered, bar
    )
    return means + clustered.shift, done


class Clustered(Protocol):
    """Rows that `iterate` clusters; `thin`: every so many of them."""

    def labels(self, centroids: Floats, thin: int) -> Any:
        """The nearest centroid of each row, an array of any shape."""

    def updated(self, labels: Any, centroids: Floats, thin: int) -> tuple[Floats, Floats]:
        """The means of the rows of each label; and the centroids of the next iteration, none of them without rows."""


def iterate(centroids: Floats, iterations: int, early: int, rows: Clustered, bar: Bar | None = None) -> tuple[Floats, int]:
    """Lloyd's iterations until no label changes, and how many were done. The first `early` see every THIN-th row."""
    previous, means, bar = None, centroids, bar or Bar(iterations, False)
    for done in range(1, iterations + 1):
        thin = THIN if done <= early else 1
        labels = rows.labels(centroids, thin)
        known = host_copy(view("labels", labels))
        if previous is not None and np.array_equal(known, previous):
            if thin == 1:
                bar.close()
                return means, done
            early = 0
        previous = known
        means, centroids = rows.updated(labels, centroids, thin)
        bar.at(done)
    return means, iterations


class _ClusteredRows:
    """Rows on the host or on the device of `like`, less their mean (`shift`) under "sqeuclidean".

    Squared distances are compared as products with one more dimension, x.c - |c|^2 / 2 with the mean of the rows taken off:
    a multiply-add for each dimension, where a sum of squared differences takes a subtraction too. Where clusters are so far
    apart for their size that products lose their digits (`far`), differences are taken.
    """

    def __init__(self, rows: Floats, metric: MetricName, threads: int | None, like: View | None) -> None:
        self.metric, self.threads, self.like = metric, threads, like
        n, self.dims = rows.shape
        self.rows, self.shift, self.far = rows, np.zeros(self.dims, np.float32), False
        if metric == "sqeuclidean":
            self.shift = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
            self.rows = np.empty((n, self.dims + 1), np.float32)
            np.subtract(rows, self.shift, out=self.rows[:, : self.dims])
            self.rows[:, self.dims] = 1
            plain = self.rows[:, : self.dims]
            self.squares = np.einsum("ij,ij->i", plain, plain, dtype=np.float64)
        self.parts: dict[tuple[int, int], Any] = {}  # every so many rows, so many of their columns, where they are compared

    def start(self, centroids: Floats) -> Floats:
        if self.metric == "sqeuclidean":
            centroids = centroids - self.shift
            some = self.rows[:: max(1, len(self.rows) // FAR_ROWS), : self.dims]
            nearest = assign(some, centroids, self.metric, threads=self.threads)[1]
            self.far = bool(self.squares.mean() > FAR * nearest.mean(dtype=np.float64))
        return centroids

    def labels(self, centroids: Floats, thin: int) -> Any:
        metric, products = self.metric, centroids
        if metric == "sqeuclidean" and not self.far:
            halves = -0.5 * (centroids.astype(np.float64) ** 2).sum(axis=1, keepdims=True)
            metric, products = "inner_product", np.concatenate([centroids, halves.astype(np.float32)], axis=1)
        part = self._part(thin, products.shape[1])
        return assign(part, self._to_device(products), metric, threads=self.threads, check_finite=False)[0]

    def updated(self, labels: Any, centroids: Floats, thin: int) -> tuple[Floats, Floats]:
        part = self._part(thin, self.rows.shape[1])
        sums, counts = sums_by_label(part, labels, len(centroids), self.threads, self.dims)
        if self.metric == "sqeuclidean":
            total = self.squares[::thin].sum()
            between = ((sums * sums).sum(axis=1) / np.maximum(counts[0], 1)).sum()
            self.far = bool(total > FAR * (total - between))
        return updated(sums, counts, centroids, self.metric)

    def _part(self, thin: int, columns: int) -> Any:
        if (thin, columns) not in self.parts:
            self.parts[thin, columns] = self._to_device(self.rows[::thin, :columns])
        return self.parts[thin, columns]

    def _to_device(self, array: Floats) -> Any:
        return array if self.like is None else self.like.library.from_numpy(np.ascontiguousarray(array), self.like.device)


def seeds(rows: Floats, k: int, random: np.random.Generator, threads: int | None = None, bar: Bar | None = None) -> Floats:
    """k of the rows: each the one of a few, drawn by squared distance from those before, that brings all rows nearest."""
    bar = bar or Bar(k, False)
    count = min(len(rows), max(SEED_ROWS * k, SEED_PAIRS // k))
    few = rows[np.sort(random.permutation(len(rows))[:count])]
    largest = float(np.abs(few).max(initial=0.0))
    scaled = np.ldexp(few, -int(np.ceil(np.log2(largest)))) if largest > 0 else few
    chosen = [int(random.integers(count))]
    nearest = pairwise(scaled[chosen], scaled, threads=threads)[0].astype(np.float64)
    tries = max(1, min(2 + int(np.log(k)), SEED_TRIES // k))
    while len(chosen) < k:
        reached = np.cumsum(nearest)
        if not reached[-1] > 0:  # fewer distinct rows than clusters
            others = np.setdiff1d(np.arange(count), chosen)[: k - len(chosen)]
            chosen += [int(i) for i in others]
            break
        drawn = np.searchsorted(reached, random.random(tries) * reached[-1], side="right").clip(max=count - 1)
        after = np.minimum(pairwise(scaled[drawn], scaled, threads=threads), nearest)
        best = int(np.argmin(after.sum(axis=1)))
        chosen.append(int(drawn[best]))
        nearest = after[best]
        bar.at(len(chosen))
    bar.close()
    return few[chosen]


def thin_iterations(rows: int, clusters: int, iterations: int) -> int:
    """How many of the first iterations see every fourth row only."""
    return int(iterations * EARLY) if rows >= THIN * LEAST_ROWS * clusters else 0


def sums_by_label(
    rows: Any, labels: Any, k: int, threads: int | None = None, dims: int | None = None
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], Counts]:
    """sums (k, d) of the rows of each label, counts (parts, k), in host memory. rows: float32, on the host or on a device;
    d is the number of their columns, or the first `dims`. labels: beside them, int64 (n,), or uint8 (n, parts)."""
    seen, marks = view("rows", rows), row_major(view("labels", labels))
    d = seen.shape[1] if dims is None else dims
    parts = 1 if len(marks.shape) == 1 else marks.shape[1]
    context = Context.at(seen, threads, None)
    with context.scope():
        # Bytes, since not every library has both types.
        sums, counts = (
            view("sums", context.library.empty((8 * size,), "uint8", context.device)) for size in (k * d, parts * k)
        )
        matrix = matrix_of(context.backend, seen, dims=d)
        context.backend.cluster_sums(
            matrix, marks.address, parts, marks.dtype == "uint8", k, sums.address, counts.address, context.executor()
        )
        context.library.synchronize()
        here = host_copy(sums), host_copy(counts)
    return here[0].view(np.float64).reshape(k, d), here[1].view(np.int64).reshape(parts, k)


def updated(
    sums: np.ndarray[Any, np.dtype[np.float64]], counts: Counts, centroids: Floats, metric: MetricName
) -> tuple[Floats, Floats]:
    """The means (of unit length under inner_product), empty clusters where they were; and the same, empty ones repaired."""
    means = (sums / np.maximum(counts[0], 1)[:, None]).astype(np.float32)
    means[counts[0] == 0] = centroids[counts[0] == 0]
    new = means.copy()
    split_largest(new, counts[0], centroids)
    return (unit(means), unit(new)) if metric == "inner_product" else (means, new)


def split_largest(new: Floats, counts: Counts, old: Floats) -> None:
    """Gives each empty cluster half of the one that is then largest. In place."""
    counts = counts.copy()
    away = np.where(np.arange(new.shape[1]) % 2 == 0, np.float32(1 + SPLIT), np.float32(1 - SPLIT))
    for empty in np.flatnonzero(counts == 0):
        donor = int(np.argmax(counts))
        if counts[donor] < 2:
            new[empty] = old[empty]
            continue
        new[empty] = new[donor] * away
        new[donor] *= np.float32(2) - away
        counts[empty] = counts[donor] // 2
        counts[donor] -= counts[empty]


def unit(x: Floats) -> Floats:
    """Rows divided by their norms; zero rows stay."""
    norms = np.sqrt((x.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    return (x / np.where(norms > 0, norms, 1.0)).astype(np.float32)
