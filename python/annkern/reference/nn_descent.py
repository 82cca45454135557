# SPDX-License-Identifier: Apache-2.0
"""Lists of nearest rows by descent, and the graph that ranks make of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[Any]
LEAF_ROWS, MOST_SETS = 128, 16
BITS = 2**31 - 1


def place(row: int, id: int) -> int:
    """Where `id` comes among rows that are equally near to `row`: a permutation of 31 bits, for each row another."""
    x = (int(id) + int(row) * 0x9E3779B9) & BITS
    for factor in (0x21F0AAAD, 0x735A2D97):
        x = (x ^ x >> 16) * factor & BITS
    return x


def row_at(row: Any, place: Any) -> Any:
    """The row whose place it is."""
    x = place
    for inverse in (0x17132227, 0x333C4925):
        x = x * inverse & BITS
        x = x ^ x >> 16
    return (x - row * 0x9E3779B9) & BITS


class NearestLists:
    """Of each row the `width` nearest that were offered, by (key, place). `taken` says which of them a round has taken. keys
    (n, n): of all pairs."""

    def __init__(self, keys: Keys, width: int) -> None:
        self.keys, self.width = keys, width
        self.ids: list[list[int]] = [[] for _ in keys]
        self.taken: list[set[int]] = [set() for _ in keys]

    def rank(self, row: int, id: int) -> tuple[Any, int]:
        return self.keys[row, id], place(row, id)

    def compare(self, pairs: Iterator[tuple[int, int]]) -> None:
        for a, b in pairs:
            self.offer(a, b)
            self.offer(b, a)

    def offer(self, row: int, id: int) -> None:
        if id not in self.ids[row]:
            self.ids[row] = sorted([*self.ids[row], id], key=lambda id: self.rank(row, id))[: self.width]
            self.taken[row].intersection_update(self.ids[row])

    def array(self) -> NDArray[np.int32]:
        """(n, width) ids, -1 where a list is shorter."""
        return _padded(self.ids, self.width)

    def still_new(self) -> int:
        return sum(len(ids) - len(taken) for ids, taken in zip(self.ids, self.taken, strict=True))


def leaves(keys: Keys, rows: Sequence[int]) -> Iterator[list[int]]:
    """Groups of at most LEAF_ROWS rows: each row goes to the nearest of the first few, of equally near ones to the first."""
    if len(rows) <= LEAF_ROWS:
        yield list(rows)
        return
    firsts = list(rows)[: min(MOST_SETS, -(-2 * len(rows) // LEAF_ROWS))]
    nearest = keys[np.ix_(firsts, rows)].argmin(axis=0)
    for s in range(len(firsts)):
        members = [row for row, at in zip(rows, nearest, strict=True) if at == s]
        if len(members) > len(rows) // 16 * 15:
            for at in range(0, len(members), LEAF_ROWS):
                yield members[at : at + LEAF_ROWS]
        elif members:
            yield from leaves(keys, members)


def start(lists: NearestLists, order: Sequence[int]) -> None:
    """Rows of a leaf are compared with one another."""
    for leaf in leaves(lists.keys, order):
        lists.compare(combinations(leaf, 2))


def descend(lists: NearestLists, sample: int) -> None:
    """A round: what each row takes of its list, and who takes it, are compared; two that are both old are not."""
    n = len(lists.keys)
    taken: dict[bool, list[list[int]]] = {new: [[] for _ in range(n)] for new in (True, False)}
    takers: dict[bool, list[list[int]]] = {new: [[] for _ in range(n)] for new in (True, False)}
    for row in range(n):
        for new in (True, False):
            sampled = [id for id in lists.ids[row] if (id not in lists.taken[row]) == new][:sample]
            taken[new][row] = sampled
            for id in sampled:
                takers[new][id].append(row)
    for row in range(n):
        lists.taken[row] |= set(taken[True][row])
    for row in range(n):
        groups = {}
        for new in (True, False):
            # By the taker's own key, for the two ways to ask for a key may differ.
            near = sorted(takers[new][row], key=lambda by: (lists.keys[by, row], place(row, by)))[:sample]
            groups[new] = list(dict.fromkeys(taken[new][row] + near))
        old = [id for id in groups[False] if id not in groups[True]]
        lists.compare(combinations(groups[True], 2))
        lists.compare((a, b) for a in groups[True] for b in old)


def prune(ids: NDArray[np.int32], degree: int) -> NDArray[np.int32]:
    """(n, degree): of (n, width) nearest rows, those with the fewest detours, and those that lead to a row behind the first
    half of them. Of entries i < j, i is a detour to j where row i's list holds row j before place j."""
    lists = [[int(id) for id in listed if id >= 0] for listed in ids]
    kept: list[list[int]] = []
    for listed in lists:
        ranks = [{id: rank for rank, id in enumerate(lists[other])} for other in listed]
        detours = [sum(ranks[i].get(id, len(listed)) < j for i in range(j)) for j, id in enumerate(listed)]
        kept.append([listed[j] for j in sorted(range(len(listed)), key=lambda j: (detours[j], j))][:degree])
    leading: list[list[tuple[int, int, int]]] = [[] for _ in lists]
    for row, listed in enumerate(kept):
        for rank, id in enumerate(listed):
            leading[id].append((rank, place(id, row), row))
    half, woven = (degree + 1) // 2, []
    for listed, others in zip(kept, leading, strict=True):
        chain = listed[:half] + [row for _, _, row in sorted(others)[:degree]] + listed[half:]
        woven.append(list(dict.fromkeys(chain))[:degree])
    return _padded(woven, degree)


def add_equals(neighbors: NDArray[np.int32], firsts: NDArray[np.int32]) -> NDArray[np.int32]:
    """Rows that equal one another, of which only the first was in the descent, lead to those that follow in a ring of
    theirs, half of `degree` at most, and else where the first leads, each beginning where the one before it ends."""
    degree = neighbors.shape[1]
    lists = [[int(id) for id in listed if id >= 0] for listed in neighbors]
    for first in set(firsts.tolist()):
        equals = np.flatnonzero(firsts == first).tolist()
        beyond = lists[first]
        half = max(degree // 2, 1)
        for at, row in enumerate(equals):
            ring = (equals[at + 1 :] + equals[:at])[:half]
            turn = at * (degree - half) % max(len(beyond), 1)
            lists[row] = (ring + beyond[turn:] + beyond[:turn])[:degree]
    return _padded(lists, degree)


def _padded(lists: Sequence[Sequence[int]], width: int) -> NDArray[np.int32]:
    out = np.full((len(lists), width), -1, np.int32)
    for row, listed in enumerate(lists):
        out[row, : len(listed)] = listed
    return out
