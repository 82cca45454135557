# SPDX-License-Identifier: Apache-2.0
"""Lists of nearest rows by descent, and a graph of them: what `build_graph` does under method="nn_descent". The contract is
csrc/ops/nn_descent.h, the definition reference/nn_descent.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays.libraries import aligned
from ..arrays.views import View, host_copy, view, with_adjacent_rows
from ..ops.operands import Operands
from ..runtime.context import Context
from ..runtime.progress import Bar
from ..runtime.types import MetricName
from ..stores.store import Store

Array = np.ndarray[Any, np.dtype[Any]]
STARTS = 12  # times that the rows are cut into groups
SAMPLE = 16  # of a list, new and others, in a round
MOST_ROUNDS = 16
BLOCK_ROWS = 4096
FEW_NEW = 0.002  # of all entries: then it ends
MOST_WINDOW_ON_DEVICE = 4096  # lists are pruned in shared memory, or by the keys of all pairs of candidates


def descend(
    operands: Operands,
    rows: Any,
    metric: MetricName,
    insertion: tuple[Array, int],
    degree: int,
    width: int,
    seed: int,
    progress: bool,
) -> Any:
    """(n, degree) int32: the neighbours of each row, all of them within reach of the first rows of the insertion's order."""
    n, context = operands.n, operands.context
    width = max(degree, min(width, n - 1))
    refuse_wide(context, width)
    firsts = first_equals(rows, n)
    lists = nearest_lists(operands, metric, width, np.unique(firsts), seed, progress)
    neighbors = allocate(context, (n, degree), "int32")
    context.run(
        "nn_descent_prune", operands.base.native, metric, (0, 0), _held(lists, width), (degree, neighbors.address), 0, 0
    )
    del lists
    found = host_copy(neighbors)
    add_equals(found, firsts)
    state = np.repeat((found >= 0).sum(axis=1, keepdims=True), 2, axis=1).astype(np.int32)
    sizes = (width, degree, degree, degree)
    return finish(operands, metric, insertion, sizes, 1.0, to_device(context, found), to_device(context, state))


def nearest_lists(
    operands: Operands, metric: MetricName, width: int, members: Array, seed: int, progress: bool = False
) -> View:
    """(n, width) int64: the nearest of `members` for each of them, as csrc/ops/nn_descent.h lays them out."""
    context = operands.context
    lists, still_new = allocate(context, (operands.n, width), "int64"), allocate(context, (1,), "int64")
    bar = Bar(STARTS + MOST_ROUNDS, progress, "build", "rounds")

    def step(op: str, order: View, empties: bool = False) -> None:
        order_of = (order.address, len(members))
        held = _held(lists, width, empties)
        context.run(op, operands.base.native, metric, order_of, held, (0, 0), still_new.address, 0)

    for start in range(STARTS):
        order = to_device(context, order_of_start(members, seed, start))
        step("nn_descent_start", order, empties=start == 0)
        bar.at(start + 1)
    for turn in range(MOST_ROUNDS):
        step("nn_descent_round", order)
        ended = int(host_copy(still_new)[0]) <= FEW_NEW * len(members) * width
        bar.at(STARTS + turn + 1)
        if ended:
            break
    bar.close()
    return lists


def finish(
    operands: Operands,
    metric: MetricName,
    insertion: tuple[Array, int],
    sizes: tuple[int, int, int, int],
    alpha: float,
    neighbors: View,
    state: View,
) -> Any:
    """The lists, none of them longer than the degree, with every row within reach. sizes: window, candidates of a pruning,
    degree, room."""
    context = operands.context
    order = to_device(context, insertion[0])
    words = (order.address, insertion[1], 0, operands.n)
    lists = (neighbors.address, state.address, 0, 0)
    context.run("finish_graph", operands.base.native, metric, words, sizes, alpha, lists, 0)
    return neighbors.owner


def refuse_wide(context: Context, window: int) -> None:
    if window > MOST_WINDOW_ON_DEVICE and not context.device.on_host:
        raise ValueError(f"window: expected at most {MOST_WINDOW_ON_DEVICE} on a device, got {window}")


def allocate(context: Context, shape: tuple[int, ...], dtype: str) -> View:
    """Memory where the call works: NumPy's on the host, else of the store's library."""
    return view(
        "graph", aligned(shape, dtype) if context.device.on_host else context.library.empty(shape, dtype, context.device)
    )


def to_device(context: Context, array: Array) -> View:
    """A host array where the call works; the same array in host memory."""
    return view("graph", array if context.device.on_host else context.library.from_numpy(array, context.device))


def _held(lists: View, width: int, empties: bool = False) -> tuple[int, int, int, bool]:
    return lists.address, width, SAMPLE, empties


def order_of_start(members: Array, seed: int, start: int) -> Array:
    """The rows by chance: the first of each set decide how it is cut."""
    return np.random.Generator(np.random.Philox([seed, start])).permutation(members).astype(np.int32)


def first_equals(rows: Any, n: int) -> Array:
    """(n,) int32: for each row the first that equals it, in every bit of what it decodes to."""
    if n == 0:
        return np.empty(0, np.int32)
    width = _words(rows, 0, 1).shape[1]
    factors = np.random.Generator(np.random.Philox(0)).integers(0, 2**64, width, np.uint64) | np.uint64(1)
    sums = np.empty(n, np.uint64)
    for first in range(0, n, BLOCK_ROWS):
        block = _words(rows, first, min(n, first + BLOCK_ROWS))
        sums[first : first + len(block)] = (block * factors).sum(axis=1, dtype=np.uint64)
    _, first_ones, which = np.unique(sums, return_index=True, return_inverse=True)
    found = first_ones[which].astype(np.int32)
    # One pair of 2^32 has equal sums by chance: the later row then passes for one without equals.
    for row in np.flatnonzero(found != np.arange(n)).tolist():
        if not np.array_equal(_words(rows, row, row + 1), _words(rows, found[row], found[row] + 1)):
            found[row] = row
    return found


def add_equals(neighbors: Array, firsts: Array) -> None:
    """Rows that equal one another, of which only the first was in the descent: each leads to those that follow it in a ring
    of theirs, half of the degree at most, and else where the first leads, each beginning where the one before it ends."""
    n, degree = neighbors.shape
    counts = np.bincount(firsts, minlength=n)[firsts]
    rows = np.flatnonzero(counts > 1)
    rows = rows[np.argsort(firsts[rows], kind="stable")]  # equal rows side by side
    starts = np.searchsorted(firsts[rows], firsts[rows])
    sizes = counts[rows][:, None]
    at = (np.arange(len(rows)) - starts)[:, None]
    steps = np.arange(1, max(degree // 2, 1) + 1)
    ring = np.where(steps < sizes, rows[starts[:, None] + (at + steps) % sizes], -1)
    beyond = neighbors[firsts[rows]]
    lengths = (beyond >= 0).sum(axis=1, keepdims=True)
    turned = (np.arange(degree) + at * (degree - len(steps))) % np.maximum(lengths, 1)
    beyond = np.where(np.arange(degree) < lengths, np.take_along_axis(beyond, turned, axis=1), -1)
    both = np.concatenate([ring, beyond], axis=1).astype(np.int32)
    neighbors[rows] = np.take_along_axis(both, np.argsort(both < 0, axis=1, kind="stable"), axis=1)[:, :degree]


def decoded(store: Store, ids: Array) -> Any:
    """Rows of a store, in its library."""
    lead = store.fine.array_views()[0]
    return store.decode(ids if lead.device.on_host else lead.library.from_numpy(ids, lead.device))


def _words(rows: Any, first: int, end: int) -> Array:
    """Rows [first, end) as unsigned integers of at most 32 bits, widened to 64."""
    if isinstance(rows, Store):
        there = host_copy(view("store", decoded(rows, np.arange(first, end))))
    else:
        there = np.ascontiguousarray(host_copy(with_adjacent_rows(view("store", rows[first:end]))))
    words: Array = there.view(f"u{there.itemsize}").astype(np.uint64)
    return words
