# SPDX-License-Identifier: Apache-2.0
"""What a search can come to, and the few edges that bring the rest of a graph within its reach."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.int32]]
WIDE_FRONT = 64  # rows from which on a step by arrays costs less than one by numbers


def reached(neighbors: Array, entries: Array, seen: Any = None) -> Any:
    """(n,) booleans: what a search from `entries` can come to; `seen`, where given, is added to."""
    seen = np.zeros(len(neighbors), bool) if seen is None else seen
    front = entries[~seen[entries]]
    while len(front):
        seen[front] = True
        there = np.unique(neighbors[front])
        there = there[there >= 0]
        front = there[~seen[there]]
    return seen


class Reach:
    """Rows that `entries` reach, each by an edge from its parent, which is never removed. Writes to `neighbors`."""

    def __init__(self, neighbors: Array, entries: Array) -> None:
        self.neighbors = neighbors
        self.parents = np.full(len(neighbors), -1, np.int32)
        self.order: list[int] = []  # rows within reach, as they came
        front = np.unique(entries)
        self.parents[front] = front
        self._spread(front)
        self._room, self._spare = 0, 0  # rows of the order before these have no free place, and no edge to spare

    def connect(self) -> int:
        """Gives each row out of reach an edge from a row that it leads to itself, and where none of these can, from one that
        has a free place, and else from one that has an edge to spare. How many edges were given."""
        starts, sources = self._leading()
        given, at = 0, 0
        for lost in np.flatnonzero(self.parents < 0).tolist():
            while at < len(self.order):
                row = self.order[at]
                for other in sources[starts[row] : starts[row + 1]]:
                    given += self.parents[other] < 0 and self._give(row, other, spare=True)
                at += 1
            if self.parents[lost] < 0:
                self._give_from_any(lost)
                given += 1
        return int(given)

    def _leading(self) -> tuple[list[int], list[int]]:
        """Rows out of reach, by the rows that they lead to: those of row i are sources[starts[i] : starts[i + 1]]."""
        lost = np.flatnonzero(self.parents < 0)
        to = self.neighbors[lost].ravel()
        by = np.repeat(lost, self.neighbors.shape[1])[to >= 0]
        to = to[to >= 0]
        grouped = np.argsort(to, kind="stable")
        starts = np.searchsorted(to[grouped], np.arange(len(self.parents) + 1))
        return starts.tolist(), by[grouped].tolist()

    def _spread(self, front: Any) -> None:
        """Breadth first; the rows of a step in ascending order, each with the first of the step before that leads to it."""
        while len(front) > WIDE_FRONT:
            self.order.extend(front.tolist())
            there = self.neighbors[front].ravel()
            by = np.repeat(front, self.neighbors.shape[1])
            new = (there >= 0) & (self.parents[there] < 0)
            front, first = np.unique(there[new], return_index=True)
            self.parents[front] = by[new][first]
        few = front.tolist()
        while few:
            if len(few) > WIDE_FRONT:
                return self._spread(np.array(few))
            self.order.extend(few)
            found: list[int] = []
            for row in few:
                for to in self.neighbors[row].tolist():
                    if to >= 0 and self.parents[to] < 0:
                        self.parents[to] = row
                        found.append(to)
            few = sorted(found)
        return None

    def _give_from_any(self, row: int) -> None:
        while self._room < len(self.order):
            if self._give(self.order[self._room], row, spare=False):
                return
            self._room += 1
        # There is one: rows within reach have more places than there are edges that lead to a row first.
        while not self._give(self.order[self._spare], row, spare=True):
            self._spare += 1

    def _give(self, row: int, to: int, spare: bool) -> bool:
        """An edge in the first free place of `row`; or else, to spare, in that of the last one that is no parent's."""
        listed = self.neighbors[row].tolist()
        place = listed.index(-1) if -1 in listed else -1
        if place < 0 and spare:
            # An edge of a row to itself is no parent's, though a row where searches begin is its own parent.
            place = max((p for p, other in enumerate(listed) if other == row or self.parents[other] != row), default=-1)
        if place < 0:
            return False
        self.neighbors[row, place] = to
        self.parents[to] = row
        self._spread(np.array([to]))
        return True
