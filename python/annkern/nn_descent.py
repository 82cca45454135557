# SPDX-License-Identifier: Apache-2.0
"""Lists of nearest rows by descent, and a graph of them: what `build_graph` does under method="nn_descent". The contract is
csrc/ops/nn_descent.h, the definition reference/nn_descent.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._scan import Scan, address_of, refuse_bad_row
from ._spaces import aligned
from ._training import Bar

Array = np.ndarray[Any, np.dtype[Any]]
EMPTY = np.uint64(2**64 - 1)
STARTS = 12  # times that the rows are cut into groups
SAMPLE = 16  # of a list, new and others, in a round
MOST_ROUNDS = 16
FEW_UNTAKEN = 0.002  # of all entries: then it ends


def nearest_lists(scan: Scan, metric: str, width: int, seed: int, progress: bool = False) -> Array:
    """(n, width) uint64: the nearest rows of each row, as csrc/ops/nn_descent.h lays them out."""
    n = scan.n
    lists = aligned((n, width), "uint64")
    lists[:] = EMPTY
    bad, untaken = scan.look(False), np.zeros(1, np.int64)
    backend, where = scan.call.backend, scan.call.executor()
    held = (lists.ctypes.data, width, SAMPLE), (0, 0, 0), untaken.ctypes.data, address_of(bad), where
    bar = Bar(STARTS + MOST_ROUNDS, progress, "build", "rounds")
    for start in range(STARTS):
        order = order_of_start(n, seed, start)
        backend.nn_descent_start(scan.base_matrix, metric, order.ctypes.data, *held)
        refuse_bad_row("store", bad)
        bar.at(start + 1)
    for turn in range(MOST_ROUNDS):
        backend.nn_descent_round(scan.base_matrix, metric, order.ctypes.data, *held)
        refuse_bad_row("store", bad)
        if untaken[0] <= FEW_UNTAKEN * lists.size:
            break
        bar.at(STARTS + turn + 1)
    bar.at(STARTS + MOST_ROUNDS)
    return lists


def order_of_start(n: int, seed: int, start: int) -> Array:
    """The rows by chance: the first of each set decide how it is cut."""
    return np.random.Generator(np.random.Philox([seed, start])).permutation(n).astype(np.int32)


def descend(
    scan: Scan, metric: str, insertion: tuple[Array, int], degree: int, width: int, seed: int, progress: bool
) -> Array:
    """(n, degree) int32: the neighbours of each row, all of them within reach of the first rows of the insertion's order."""
    n, (order, entry_count) = scan.n, insertion
    lists = nearest_lists(scan, metric, width, seed, progress)
    neighbors = aligned((n, degree), "int32")
    state = np.zeros((n, 2), np.int32)
    bad, backend = scan.look(False), scan.call.backend
    graph = (degree, neighbors.ctypes.data, state.ctypes.data)
    held = (lists.ctypes.data, width, SAMPLE)
    backend.nn_descent_prune(scan.base_matrix, metric, 0, held, graph, 0, address_of(bad), scan.call.executor())
    del lists
    whole = (order.ctypes.data, entry_count, 0, n)
    own = (degree, degree, neighbors.ctypes.data, state.ctypes.data)
    backend.finish_graph(scan.base_matrix, metric, whole, width, 1.0, own, address_of(bad), scan.call.executor())
    return neighbors
