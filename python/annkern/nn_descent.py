# SPDX-License-Identifier: Apache-2.0
"""Lists of nearest rows by descent, and a graph of them: what `build_graph` does under method="nn_descent". The contract is
csrc/ops/nn_descent.h, the definition reference/nn_descent.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._arrays import host_copy, view, with_adjacent_rows
from ._scan import Scan, address_of, refuse_bad_row
from ._spaces import aligned
from ._store import Store
from ._training import Bar

Array = np.ndarray[Any, np.dtype[Any]]
EMPTY = np.uint64(2**64 - 1)
STARTS = 12  # times that the rows are cut into groups
SAMPLE = 16  # of a list, new and others, in a round
MOST_ROUNDS = 16
BLOCK_ROWS = 4096
FEW_UNTAKEN = 0.002  # of all entries: then it ends


def descend(
    scan: Scan, rows: Any, metric: str, insertion: tuple[Array, int], degree: int, width: int, seed: int, progress: bool
) -> Array:
    """(n, degree) int32: the neighbours of each row, all of them within reach of the first rows of the insertion's order."""
    n, (order, entry_count) = scan.n, insertion
    firsts = first_equals(rows, n)
    width = max(degree, min(width, n - 1))
    lists = nearest_lists(scan, metric, width, np.unique(firsts), seed, progress)
    neighbors = aligned((n, degree), "int32")
    bad, backend = scan.look(False), scan.call.backend
    graph = (degree, neighbors.ctypes.data)
    held = (lists.ctypes.data, width, SAMPLE)
    backend.nn_descent_prune(scan.base_matrix, metric, (0, 0), held, graph, 0, address_of(bad), scan.call.executor())
    del lists
    add_equals(neighbors, firsts)
    state = np.repeat((neighbors >= 0).sum(axis=1, keepdims=True), 2, axis=1).astype(np.int32)
    whole = (order.ctypes.data, entry_count, 0, n)
    own = (degree, degree, neighbors.ctypes.data, state.ctypes.data)
    backend.finish_graph(scan.base_matrix, metric, whole, width, 1.0, own, address_of(bad), scan.call.executor())
    return neighbors


def nearest_lists(scan: Scan, metric: str, width: int, members: Array, seed: int, progress: bool = False) -> Array:
    """(n, width) uint64: the nearest of `members` for each of them, as csrc/ops/nn_descent.h lays them out."""
    lists = aligned((scan.n, width), "uint64")
    lists[:] = EMPTY
    bad, untaken = scan.look(False), np.zeros(1, np.int64)
    backend, where = scan.call.backend, scan.call.executor()
    held = (lists.ctypes.data, width, SAMPLE), (0, 0), untaken.ctypes.data, address_of(bad), where
    bar = Bar(STARTS + MOST_ROUNDS, progress, "build", "rounds")
    for start in range(STARTS):
        order = order_of_start(members, seed, start)
        backend.nn_descent_start(scan.base_matrix, metric, (order.ctypes.data, len(order)), *held)
        refuse_bad_row("store", bad)
        bar.at(start + 1)
    for turn in range(MOST_ROUNDS):
        backend.nn_descent_round(scan.base_matrix, metric, (order.ctypes.data, len(order)), *held)
        refuse_bad_row("store", bad)
        ended = untaken[0] <= FEW_UNTAKEN * len(members) * width
        bar.at(STARTS + (MOST_ROUNDS if ended else turn + 1))
        if ended:
            break
    return lists


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
    rows = rows[np.argsort(firsts[rows], kind="stable")]  # equals one behind the other
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


def _words(rows: Any, first: int, end: int) -> Array:
    """Rows [first, end) as unsigned integers of at most 32 bits, widened to 64."""
    if isinstance(rows, Store):
        there = host_copy(view("store", rows.decode(np.arange(first, end))))
    else:
        there = np.ascontiguousarray(host_copy(with_adjacent_rows(view("store", rows[first:end]))))
    whole: Array = there.view(f"u{there.itemsize}").astype(np.uint64)
    return whole
