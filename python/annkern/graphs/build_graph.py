# SPDX-License-Identifier: Apache-2.0
"""Building a graph over any store. The contract is csrc/ops/build_graph.h, the definition reference/build_graph.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..arrays.columns import rows_of
from ..arrays.host import frozen
from ..arrays.libraries import aligned
from ..arrays.views import View, host_copy, view, with_adjacent_rows
from ..ops.knn import knn
from ..ops.metrics import Metric, metric_of
from ..ops.operands import Operands
from ..ops.sampling import norms_are_equal
from ..runtime.context import Context, described, real_number, whole_number
from ..runtime.progress import Bar
from ..runtime.types import MetricName
from ..stores.store import Store
from .graph import Graph
from .nn_descent import allocate, decoded, descend, finish, refuse_wide, to_device

Array = np.ndarray[Any, np.dtype[Any]]
METHODS = ("vamana", "nn_descent")
MOST_DEGREE = 1024
# Lists may outgrow the degree by a quarter before they are pruned: else a full list would be pruned for each new edge.
SLACK = 1.25
# The largest batch as a share of the rows: its rows do not see each other.
LARGEST_BATCH = 0.02
MOST_ENTRIES = 32
SAMPLE_ROWS = 16384
KMEANS_ROUNDS = 8


def build_graph(
    store: Any,
    metric: MetricName | None = None,
    degree: int = 64,
    window: int = 128,
    alpha: float | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: bool = False,
    *,
    method: str = "vamana",
    check_finite: bool = True,
) -> Graph:
    """A graph whose edges lead a search to the rows near to any query.

    Parameters
    ----------
    store : array (n, d) or Store
        In host memory or on a device, where the graph then lies; n < 2^31. Of a store of two levels the primary is read:
        where the graph is to be searched closely, build it over a finer store of the same rows (8 bits a dimension are
        enough), and search the coarse one.
    metric : str, optional
        As in `knn`; by default the store's, or "sqeuclidean" for an array.
    degree : int
        Neighbours of a row, at most: 32 to 64. More of them reach high recall with fewer steps, and take 4 bytes each.
    window : int
        Rows kept in view while the neighbours of a row are looked for, at most n; "nn_descent" raises it to the degree.
        Twice the degree is enough; more costs time in proportion, and gains little. At most 4096 on a device.
    alpha : float, optional
        How much nearer a neighbour must be to another neighbour to be left out, in terms of the metric's distances; by
        default 1.15, or 0.95 for "inner_product". Larger keeps longer edges. (Under "inner_product" a neighbour longer
        than the row counts as if it were as long. Where all rows have the same length, inner product ranks as "sqeuclidean"
        does, and the edges are chosen by that.) Of "vamana" alone.
    seed : int
        Of the order in which rows are added, or of which rows they are compared with first.
    threads : int, optional
        CPU threads.
    progress : bool
        Show a bar on the terminal.
    method : str
        "vamana" adds rows one after the other, and leaves out what a nearer neighbour leads to by distance, once with an
        alpha of 1, and over that graph once more with `alpha` (Subramanya et al., NeurIPS 2019). "nn_descent" looks for the
        `window` nearest rows of all at once, among the neighbours of neighbours (Dong et al., WWW 2011), and leaves out what
        others lead to by rank (CAGRA: Ootomo et al., ICDE 2024).
    check_finite : bool
        Refuse NaN and infinity in the rows.

    Returns
    -------
    Graph
        The same bytes for any number of threads, and on devices where the CPU has fused multiply-add. Every row is reached
        from `graph.entries`.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.

    Notes
    -----
    Takes 5 degree bytes a row while it builds, "nn_descent" 8 (window + 48 + degree); the result takes 4 degree. On a device
    45 bytes a row more, and up to half a GB for what is compared at a time. Stops at Ctrl-C, within a fiftieth of its time.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.random.default_rng(0).standard_normal((2000, 32), dtype=np.float32)
    >>> graph = ak.build_graph(x, degree=32)
    >>> graph.shape
    (2000, 32)
    >>> dist, idx = ak.search_graph(graph, x, x[:3], 5)
    >>> idx[:, 0]
    array([0, 1, 2])
    """
    if isinstance(store, Store) and store.primary is not None:
        store = store.primary
    store = rows_of("store", store)
    operands = _operands(store, metric, threads)
    degree = whole_number("degree", degree, 1)
    if degree > MOST_DEGREE:
        raise ValueError(f"degree: expected at most {MOST_DEGREE}, got {degree}")
    window = max(1, min(whole_number("window", window, 1), operands.n))
    sampled = Sample.of(store, operands, whole_number("seed", seed, 0))
    measure = operands.metric
    if measure.name == "inner_product" and norms_are_equal(sampled.vectors):
        measure = metric_of(operands.context.backend, "sqeuclidean")
    if method not in METHODS:
        raise ValueError(f"method: expected {described(METHODS)}, got {method!r}")
    if method == "nn_descent" and alpha is not None:
        raise ValueError(f"alpha: expected None with method='nn_descent', which ranks and does not weigh, got {alpha}")
    if alpha is None:
        alpha = 0.95 if measure.similarity else 1.15
    alpha = real_number("alpha", alpha)
    if not 0.0 < alpha < np.inf:
        raise ValueError(f"alpha: expected a positive number, got {alpha}")
    n = operands.n
    if n >= 2**31:
        raise ValueError(f"store: expected fewer than 2^31 rows, got {n}")
    if check_finite:
        operands.check_finite(True, base_too=True)
    order = insertion_order(operands, sampled, seed, threads)
    if method == "nn_descent":
        lists = descend(operands, store, measure.name, order, degree, window, seed, progress)
    else:
        lists = _grow(operands, measure, order, degree, window, alpha, progress)
    return Graph(frozen(lists), frozen(to_device(operands.context, order[0][: order[1]].copy()).owner), operands.metric.name)


def _operands(store: Any, metric: MetricName | None, threads: int | None) -> Operands:
    """The checked store, without queries: its rows take their place."""
    if isinstance(store, Store):
        first = store.fine.array_views()[0]
        lead = np.empty((0, store.fine.query_dims), np.float32)
        if not first.device.on_host:
            lead = first.library.empty(lead.shape, "float32", first.device)
    else:
        lead = store
    return Operands.of(store, lead, metric, threads, None, base_name="store", query_name="store")


def _grow(
    operands: Operands, measure: Metric, insertion: tuple[Array, int], degree: int, window: int, alpha: float, progress: bool
) -> Any:
    n, context, metric, entries = operands.n, operands.context, measure.name, insertion[1]
    refuse_wide(context, window)
    room = degree + max(1, round(degree * (SLACK - 1.0)))
    sizes = (window, most_candidates(window, room), degree, room)
    neighbors = to_device(context, np.full((n, room), -1, np.int32))
    state = to_device(context, np.zeros((n, 2), np.int32))
    order, outgrown = to_device(context, insertion[0]), allocate(context, (1,), "int64")

    def step(op: str, here: tuple[int, int, int], rule: float, pruned: int) -> None:
        lists = (neighbors.address, state.address, outgrown.address, pruned)
        context.run(op, operands.base.native, metric, (order.address, *here), sizes, rule, lists, 0)

    for turn, rule in enumerate((strict(alpha, measure.similarity), alpha)):
        bar = Bar(n, progress, f"build, pass {turn + 1} of 2")
        for first, count in batches(n, grows=turn == 0):
            here = (min(entries, first) if turn == 0 else entries, first, count)
            step("build_graph", here, rule, 0)
            step("link_graph", here, rule, 0 if context.device.on_host else int(host_copy(outgrown)[0]))
            bar.at(first + count)
    finish(operands, metric, insertion, sizes, alpha, neighbors, state)
    return first_columns(context, neighbors, degree)


def strict(alpha: float, similarity: bool) -> float:
    """The alpha of the first pass: 1, or what occludes more."""
    return max(alpha, 1.0) if similarity else min(alpha, 1.0)


def most_candidates(window: int, room: int) -> int:
    """How many candidates a pruning considers, at most: one and a half windows, and a list; a multiple of 8.

    On WordNet (115,659 rows, degree 48, window 100) the longest search expanded 150 rows."""
    return -(-(3 * window // 2 + room) // 8) * 8


def first_columns(context: Context, x: View, count: int) -> Any:
    """x[:, :count], row-major, where the call works."""
    if context.device.on_host:
        kept = aligned((x.shape[0], count), x.dtype)
        kept[:] = x.owner[:, :count]
        return kept
    columns = view("graph", x.owner[:, :count])
    return columns.owner if columns.row_major else context.library.packed(columns.owner)


def batches(n: int, grows: bool = True) -> Iterator[tuple[int, int]]:
    """First row and count: LARGEST_BATCH of all or, where a graph `grows`, 1, 1, 2, 4, ... until a batch is so large."""
    most = max(1, int(n * LARGEST_BATCH))
    first = 0
    while first < n:
        count = min(max(first, 1) if grows else most, most, n - first)
        yield first, count
        first += count


def insertion_order(operands: Operands, sampled: Sample, seed: int, threads: int | None) -> tuple[Array, int]:
    """The rows as they are added: the entries first, then all others by chance. And how many entries there are."""
    entries = entry_rows(sampled, operands.n, threads)
    shuffled = np.random.Generator(np.random.Philox(seed)).permutation(operands.n).astype(np.int32)
    is_entry = np.zeros(operands.n, bool)
    is_entry[entries] = True
    return np.concatenate([entries, shuffled[~is_entry[shuffled]]]).astype(np.int32), len(entries)


def entry_rows(sampled: Sample, n: int, threads: int | None) -> Array:
    """Of a sample, the row nearest to the mean, and those nearest to the means of clusters."""
    if n == 0:
        return np.empty(0, np.int32)
    rows, count = sampled.vectors, min(MOST_ENTRIES, max(1, n // 64))
    means: list[Array] = [rows.mean(axis=0, dtype=np.float64)[None].astype(np.float32)]
    if count > 1:
        means.append(_cluster_means(rows, count - 1, threads))
    nearest = knn(rows, np.concatenate(means), 1, threads=threads)[1][:, 0]
    return np.array(list(dict.fromkeys(sampled.ids[nearest].tolist())), np.int32)


class Sample(NamedTuple):
    """Some rows of a store, ascending, as float32; bits as zeros and ones."""

    ids: Array
    vectors: Array

    @classmethod
    def of(cls, store: Any, operands: Operands, seed: int) -> Sample:
        n = operands.n
        ids = np.sort(np.random.Generator(np.random.Philox(seed + 1)).permutation(n)[: min(n, SAMPLE_ROWS)])
        if isinstance(store, Store):
            return cls(ids, np.asarray(host_copy(view("store", decoded(store, ids))), np.float32))
        taken = with_adjacent_rows(
            view("store", operands.context.library.take(store, to_device(operands.context, ids).owner))
        )
        if operands.metric.bits:
            return cls(ids, np.unpackbits(host_copy(taken), axis=1, bitorder="little").astype(np.float32))
        return cls(ids, np.asarray(host_copy(view("store", taken.library.astype(taken.owner, "float32"))), np.float32))


def _cluster_means(sample: Array, count: int, threads: int | None) -> Array:
    """k-means, begun at the first `count` rows of the sample: a few rounds are enough for entry points."""
    means: Array = sample[np.linspace(0, len(sample) - 1, count).astype(np.int64)].copy()
    for _ in range(KMEANS_ROUNDS):
        labels = knn(means, sample, 1, threads=threads)[1][:, 0]
        by_mean = np.argsort(labels, kind="stable")
        sizes = np.bincount(labels, minlength=count)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        there = sizes > 0
        sums = np.add.reduceat(sample[by_mean], starts[there], axis=0, dtype=np.float64)
        means[there] = (sums / sizes[there, None]).astype(np.float32)
    return np.asarray(means)
