# SPDX-License-Identifier: Apache-2.0
"""The least work that reaches a wanted recall."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..arrays.views import host_copy, view
from ..runtime.context import described, real_number
from .index import Index

WIDEST = 4096
DEEPEST = 16  # candidates of lists that are reranked at first, for each of k + 10; then half as many, and so on
WORTH = 4  # as long as they ask for no more than so many times the lists
MISSED_BYTES = 400  # what a row that is read out of order costs, in bytes that are read in order


class _Found(NamedTuple):
    window: int
    rerank_k: int | None
    recall: float


class Tuned(_Found):
    """What `tune` found: (window, rerank_k, recall), and beside these three the rows that are expanded, or the lists that
    are read. ``index.window, index.rerank_k = tuned[:2]`` and ``index.expand = tuned.expand`` (of an index of lists
    ``index.probes = tuned.probes``) make it the default of an index.

    Parameters
    ----------
    window : int
        The smallest that is wide enough.
    rerank_k : int or None
        The fewest candidates; None where nothing is reranked.
    recall : float
        What all reach, on the queries that `tune` was given.
    expand : int, optional
        How many rows of the window are expanded; None: all.
    probes : int, optional
        How many lists are read; None without lists.

    Examples
    --------
    >>> import annkern as ak
    >>> window, rerank_k, recall = tuned = ak.Tuned(150, 117, 0.951, expand=48)
    >>> tuned.expand
    48
    """

    expand: int | None
    probes: int | None

    def __new__(
        cls, window: int, rerank_k: int | None, recall: float, expand: int | None = None, probes: int | None = None
    ) -> Tuned:
        found = super().__new__(cls, window, rerank_k, recall)
        found.expand, found.probes = expand, probes
        return found

    def __repr__(self) -> str:
        more = f"expand={self.expand}" if self.probes is None else f"probes={self.probes}"
        return f"Tuned(window={self.window}, rerank_k={self.rerank_k}, recall={self.recall:.4f}, {more})"


def tune(index: Index, queries: Any, truth: Any, recall: float = 0.95, *, threads: int | None = None) -> Tuned:
    """The smallest window, with it the fewest reranked candidates, and where k is large the fewest expanded rows, that find
    `recall` of the true neighbours.

    Parameters
    ----------
    index : Index
    queries : array (m, d)
        Examples of queries to come: a thousand or more. Not the queries whose recall is reported afterwards.
    truth : array (m, k) of integers
        Their true neighbours, as `knn` over the vectors gives them.
    recall : float
        In (0, 1]: the wanted share of `truth` among the k results.
    threads : int, optional
        CPU threads.

    Returns
    -------
    Tuned
        window, rerank_k (None without a second level), the recall that they reached on `queries`, and expand (None: all of
        the window), which is below the window where a window of k finds more than is asked for.

    Raises
    ------
    ValueError
        Where the widest search does not reach it: the store is too coarse for it.

    Notes
    -----
    Recall grows with each number, so they are found by halving: about 25 searches, most of them narrow. Where the window is
    below twice k, searches that expand fewer rows of it, and of one half as wide again, are tried too, and the one that
    scores the fewest rows is taken.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.random.default_rng(0).standard_normal((3000, 16), dtype=np.float32)
    >>> index, queries = ak.Index.build(x, "graph32,lvq4x8"), x[:500] + 0.01
    >>> tuned = ak.tune(index, queries, ak.knn(x, queries, 10)[1], recall=0.98)
    >>> tuned.recall >= 0.98
    True
    """
    if not isinstance(index, Index):
        raise TypeError(f"index: expected an Index, got {type(index).__name__}")
    seen = view("truth", truth)
    if len(seen.shape) != 2 or seen.shape[:1] != view("queries", queries).shape[:1] or 0 in seen.shape:
        raise ValueError(f"truth: expected a row of neighbours for each query, got shape {seen.shape}")
    if seen.dtype not in ("int32", "int64"):
        raise TypeError(f"truth: expected {described(('int32', 'int64'))}, got {seen.dtype}")
    if not 0.0 < real_number("recall", recall) <= 1.0:
        raise ValueError(f"recall: expected a number in (0, 1], got {recall}")
    true = np.sort(host_copy(seen), axis=1)
    k = true.shape[1]

    def reached(window: int, depth: int | None, expand: int | None = None) -> float:
        found = index.search(queries, k, window=window, rerank_k=depth, expand=expand or window, threads=threads)[1]
        return share_found(np.asarray(host_copy(view("indices", found))), true)

    if index.lists is not None:
        return _tuned_lists(index, queries, true, recall, threads)

    # Each of both is sought with as much of the other as there is.
    wide = max(k, min(WIDEST, len(index)))
    window, best = k, 0.0
    if index.graph is not None or not index.reranks:  # without either there is one way to search, which may not reach it
        widest = wide if index.graph is not None else k
        window, best = _least(lambda w: reached(w, w if index.reranks else None), k, widest, recall, index.spec)
    if index.graph is None:
        if not index.reranks:
            return Tuned(window, None, best)
        return Tuned(window, *_least(lambda r: reached(window, r), k, wide, recall, index.spec))

    def fewest(window: int, expand: int) -> Tuned:
        """The fewest expanded rows, from `expand` on, and with them the fewest reranked."""
        deep, depth = window if index.reranks else None, None
        expand, best = _least(lambda e: reached(window, deep, e), expand, window, recall, index.spec)
        if deep is not None:
            depth, best = _least(lambda r: reached(window, r, expand), k, deep, recall, index.spec)
        return Tuned(window, depth, best, expand if expand < window else None)

    found = [fewest(window, window)]
    if window < 2 * k:
        widths = {window, min(wide, window * 3 // 2) if index.reranks else window}
        found += [fewest(width, 1) for width in sorted(widths)]
    degree = index.graph.shape[1]
    return min(found, key=lambda tuned: _rows_scored(tuned, degree))


def _rows_scored(tuned: Tuned, degree: int) -> float:
    """About the time of a search, in rows scored: half of an expanded row's neighbours are new to it, a place of the buffer
    costs as much as 4, a reranked row as much as 2 (GloVe, 398,000 x 50, and WordNet, 115,659 x 384, on a Zen 5)."""
    return (tuned.expand or tuned.window) * degree / 2 + 4 * tuned.window + 2 * (tuned.rerank_k or 0)


def _tuned_lists(index: Index, queries: Any, true: np.ndarray[Any, Any], recall: float, threads: int | None) -> Tuned:
    """The fewest lists for each of a few depths of reranking, of which the one whose searches read the fewest bytes is
    taken, and then the fewest candidates for it."""
    assert index.lists is not None
    k, count = true.shape[1], index.lists.shape[0]
    members = index.lists.members / max(1, count)

    def reached(depth: int | None, probes: int) -> float:
        found = index.search(queries, k, probes=probes, rerank_k=depth, threads=threads)[1]
        return share_found(np.asarray(host_copy(view("indices", found))), true)

    if not index.reranks:
        probes, best = _least(partial(reached, None), 1, count, recall, index.spec)
        return Tuned(index.window, None, best, probes=probes)
    fine = index.store.secondary if index.rerank is None else index.rerank
    coarse = index.store if index.store.primary is None else index.store.primary
    assert fine is not None
    row, reranked = coarse.nbytes / max(1, len(coarse)), MISSED_BYTES + fine.nbytes / max(1, len(fine))
    depth = min(len(index), DEEPEST * (k + 10))
    probes, _ = _least(partial(reached, depth), 1, count, recall, index.spec)
    found = [(probes * members * row + depth * reranked, probes, depth)]
    while depth > k:
        depth = max(k, depth // 2)
        fewest = _first(partial(reached, depth), found[-1][1], min(count, WORTH * probes), recall)
        if fewest is None:
            break
        found.append((fewest[0] * members * row + depth * reranked, fewest[0], depth))
    _, probes, depth = min(found)
    depth, best = _least(lambda r: reached(r, probes), k, depth, recall, index.spec)
    return Tuned(index.window, depth, best, probes=probes)


def _least(reached: Callable[[int], float], low: int, high: int, wanted: float, spec: str) -> tuple[int, float]:
    """The smallest number in [low, high] that reaches `wanted`, and what it reaches."""
    found = _first(reached, low, high, wanted)
    if found is None:
        best = reached(high)
        raise ValueError(f"recall: expected {wanted}, but {spec!r} reaches {best:.4f} at most; take a finer store")
    return found


def _first(reached: Callable[[int], float], low: int, high: int, wanted: float) -> tuple[int, float] | None:
    """The smallest number in [low, high] that reaches `wanted`, if there is one: first doubling, then halving."""
    top = low
    best = reached(top)
    while best < wanted:
        if top >= high:
            return None
        low, top = top + 1, min(high, top * 2)
        best = reached(top)
    while low < top:
        middle = (low + top) // 2
        here = reached(middle)
        if here >= wanted:
            top, best = middle, here
        else:
            low = middle + 1
    return top, best


def share_found(found: np.ndarray[Any, Any], true: np.ndarray[Any, Any]) -> float:
    """The share of the true ids (sorted in each row) among the found."""
    n = int(max(found.max(initial=0), true.max(initial=0))) + 2
    rows = np.arange(len(true))[:, None] * n
    hits = np.isin(found + rows, (true + rows)[true >= 0]) & (found >= 0)
    return float(hits.sum() / max(1, (true >= 0).sum()))
