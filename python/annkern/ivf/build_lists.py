# SPDX-License-Identifier: Apache-2.0
"""Cutting rows into lists. The definition is reference/build_lists.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays.columns import rows_of
from ..arrays.host import frozen, host_rows, release_pages
from ..arrays.views import View, host_copy, view
from ..ops.distances import distances
from ..ops.kmeans import lloyd, unit
from ..ops.knn import knn
from ..ops.metrics import DEFAULT_METRIC, metric_known, metric_of
from ..ops.sampling import BLOCK_BYTES, norms_are_equal, training_sample
from ..runtime.backend import load
from ..runtime.context import KERNEL_DTYPES, real_number, shaped, thread_count, whole_number
from ..runtime.progress import Bar
from ..runtime.types import MetricName
from ..stores.store import Store, rows_of_store
from .lists import Lists

Array = np.ndarray[Any, np.dtype[Any]]
Floats = np.ndarray[Any, np.dtype[np.float32]]
NEAR = 16  # lists that are looked at first for a second one; four times as many where that does not decide


def build_lists(
    x: Any,
    n_lists: int | None = None,
    metric: MetricName | None = None,
    soar: bool = True,
    soar_lambda: float = 1.0,
    iterations: int = 12,
    sample: int = 64,
    seed: int = 0,
    threads: int | None = None,
    progress: bool = False,
) -> Lists:
    """Cut rows into lists, by the nearest of some centroids: an inverted file (IVF).

    Parameters
    ----------
    x : array (n, d) or Store
        Floats or 8-bit integers, of any array library; may be memory-mapped. A store is decoded. n < 2^31.
    n_lists : int, optional
        At most n; by default 4 sqrt(n).
    metric : str, optional
        Any of numbers; by default the store's, or "sqeuclidean" for an array.
    soar : bool
        Put each row into a second list, too, chosen so that the row is near to it where it is badly placed in the first
        (SOAR: Sun et al., NeurIPS 2023). Twice the memory, and 15 to 55% fewer rows to read for the same recall.
    soar_lambda : float
        What a second list costs for lying in the same direction as the first; 0 takes the second nearest. 0.5 to 1.5 are
        about as good.
    iterations : int
        Of k-means, at most.
    sample : int
        Rows for each list that k-means sees.
    seed : int
        Of the sample and of the first centroids: the same seed gives the same bytes, for any number of threads.
    threads : int, optional
        CPU threads.
    progress : bool
        Show a bar on the terminal.

    Returns
    -------
    Lists
        In host memory; `Lists.convert` moves them.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came: more lists than rows, NaN or infinity, lengths whose squares
        float32 cannot hold.

    Notes
    -----
    An iteration compares the sample, `sample` rows a list, with all centroids; at the end all n rows are compared with all
    centroids once, with SOAR most of them once. Memory: the sample in float32, and a block of rows.

    Under "cosine", and under "inner_product" where all rows have about the same length, rows and centroids have unit length;
    otherwise centroids are means. With r = x - c for the nearest centroid c, the second list is that of smallest
    ``|x - c'|^2 + soar_lambda <r / |r|, x - c'>^2`` among the others (ties: the nearer one).

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.random.default_rng(0).standard_normal((2000, 32), dtype=np.float32)
    >>> lists = ak.build_lists(x)
    >>> lists
    Lists(n=2000, lists=179, d=32, metric='sqeuclidean', 2.00 a row)
    >>> dist, idx = ak.search_lists(lists, ak.compress(x, "lvq8", lists=lists), x[:3], 5, probes=20)
    >>> idx[:, 0]
    array([0, 1, 2])
    """
    if metric is None:
        metric = x.metric if isinstance(x, Store) else DEFAULT_METRIC
    metric = metric_known(metric)
    if metric_of(load("cpu"), metric).bits:
        raise ValueError(f"metric: expected one of numbers, got {metric!r}, which takes bits")
    x = rows_of_store("x", x).decode(threads=threads) if isinstance(x, Store) else rows_of("x", x)
    thread_count(threads)
    seen = shaped("x", view("x", x), "n, d", tuple(KERNEL_DTYPES))
    n, d = seen.shape
    if n >= 2**31:
        raise ValueError(f"x: expected fewer than 2^31 rows, got {n}")
    count = min(n, max(1, round(4 * n**0.5))) if n_lists is None else whole_number("n_lists", n_lists, 1)
    if count > n:
        raise ValueError(f"n_lists: expected at most the {n} rows of x, got {count}")
    weight = real_number("soar_lambda", soar_lambda)
    if not 0.0 <= weight < np.inf:
        raise ValueError(f"soar_lambda: expected a number from 0 on, got {soar_lambda}")
    iterations, seed = whole_number("iterations", iterations, 0), whole_number("seed", seed, 0)
    sampled = training_sample(x, whole_number("sample", sample, 1) * count, seed)
    if not np.isfinite(np.einsum("ij,ij->i", sampled, sampled)).all():
        raise ValueError("x: expected rows whose squared lengths float32 can hold, got larger numbers; scale them down")
    spherical = metric == "cosine" or (metric == "inner_product" and norms_are_equal(sampled))
    centroids = _centroids(sampled, count, spherical, iterations, seed, threads)
    copies = 2 if soar and count > 1 else 1
    labels = np.empty((n, copies), np.int32)
    step, bar = max(1, BLOCK_BYTES // max(1, 4 * (d + 4 * NEAR))), Bar(n, progress, "assign")
    for first in range(0, n, step):
        rows = _rows(x, seen, first, min(step, n - first))
        labels[first : first + len(rows)] = assigned(unit(rows) if spherical else rows, centroids, weight, copies, threads)
        release_pages(seen, first, len(rows))
        bar.at(min(n, first + step))
    return _of_labels(centroids, labels, metric)


def _centroids(rows: Floats, count: int, spherical: bool, iterations: int, seed: int, threads: int | None) -> Floats:
    """k-means from rows that the seed chooses. (k-means++ takes time in proportion to the square of the lists.)"""
    if count == 0:
        return np.empty((0, rows.shape[1]), np.float32)
    if spherical:
        rows = unit(rows)
    chosen = np.random.Generator(np.random.Philox(seed + 1)).permutation(len(rows))[:count]
    return lloyd(rows, rows[np.sort(chosen)], "inner_product" if spherical else "sqeuclidean", iterations, threads)[0]


def _rows(x: Any, seen: View, first: int, count: int) -> Floats:
    rows = host_rows(x, seen, np.arange(first, first + count))
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        row = first + int(np.argmin(finite))
        raise ValueError(f"x: expected finite numbers, got NaN or infinity in row {row}")
    return rows


def assigned(rows: Floats, centroids: Floats, weight: float, copies: int, threads: int | None) -> Array:
    """(n, copies): the list of each row, and a second one by SOAR."""
    if copies == 1:
        return host_copy(view("labels", knn(centroids, rows, 1, threads=threads, check_finite=False)[1]))
    labels = np.empty((len(rows), 2), np.int32)
    open_rows, near = np.arange(len(rows)), NEAR
    while len(open_rows):
        near = min(near, len(centroids))
        left = rows[open_rows]
        squares, lists = knn(centroids, left, near, threads=threads, check_finite=False)
        second, loss = _second(left, centroids, squares, lists, weight, threads)
        labels[open_rows, 0], labels[open_rows, 1] = lists[:, 0], second
        # A list that was not looked at is farther than those that were, and loses by that alone.
        undecided = loss > squares[:, -1]
        open_rows = open_rows[undecided] if near < len(centroids) else open_rows[:0]
        near *= 4
    return labels


def _second(
    rows: Floats, centroids: Floats, squares: Array, lists: Array, weight: float, threads: int | None
) -> tuple[Array, Array]:
    """The list of smallest loss among those but the first, and that loss."""
    residuals = rows - centroids[lists[:, 0]]
    directions = unit(residuals)
    along = np.einsum("ij,ij->i", directions, rows)[:, None] - distances(
        centroids, directions, lists, "inner_product", threads=threads, check_finite=False
    )
    losses = squares + np.float32(weight) * along * along
    losses[:, 0] = np.inf
    best = np.argmin(losses, axis=1)
    at = np.arange(len(rows))
    return lists[at, best], losses[at, best]


def _of_labels(centroids: Floats, labels: Array, metric: MetricName) -> Lists:
    """labels (n, copies): the members of each list in ascending order."""
    copies, flat = labels.shape[1], labels.ravel()
    by_list = np.argsort(flat, kind="stable")
    sizes = np.bincount(flat, minlength=len(centroids))
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    ids = (by_list // copies).astype(np.int32)
    return Lists(frozen(np.ascontiguousarray(centroids)), frozen(offsets), frozen(ids), metric)
