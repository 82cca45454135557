# SPDX-License-Identifier: Apache-2.0
"""The least work that reaches a wanted recall."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..arrays.views import host_copy, view
from ..runtime.context import described, real_number
from .index import Index

WIDEST = 4096


class Tuned(NamedTuple):
    """What `tune` found. ``index.window, index.rerank_k = tuned[:2]`` makes it the default of an index.

    Parameters
    ----------
    window : int
        The smallest that is wide enough.
    rerank_k : int or None
        The fewest candidates; None where nothing is reranked.
    recall : float
        What both reach, on the queries that `tune` was given.

    Examples
    --------
    >>> import annkern as ak
    >>> window, rerank_k, recall = ak.Tuned(48, 20, 0.951)
    """

    window: int
    rerank_k: int | None
    recall: float


def tune(index: Index, queries: Any, truth: Any, recall: float = 0.95, *, threads: int | None = None) -> Tuned:
    """The smallest window, and with it the fewest reranked candidates, that find `recall` of the true neighbours.

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
        window, rerank_k (None without a second level) and the recall that they reached on `queries`.

    Raises
    ------
    ValueError
        Where the widest search does not reach it: the store is too coarse for it.

    Notes
    -----
    Recall grows with either number, so both are found by halving: about 25 searches, most of them narrow.

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

    def reached(window: int, depth: int | None) -> float:
        found = index.search(queries, k, window=window, rerank_k=depth, threads=threads)[1]
        return share_found(np.asarray(host_copy(view("indices", found))), true)

    # Each of both is sought with as much of the other as there is.
    wide = max(k, min(WIDEST, len(index)))
    window, best = k, 0.0
    if index.graph is not None or not index.reranks:  # without either there is one way to search, which may not reach it
        widest = wide if index.graph is not None else k
        window, best = _least(lambda w: reached(w, w if index.reranks else None), k, widest, recall, index.spec)
    if not index.reranks:
        return Tuned(window, None, best)
    deep = window if index.graph is not None else wide
    depth, best = _least(lambda r: reached(window, r), k, deep, recall, index.spec)
    return Tuned(window, depth, best)


def _least(reached: Callable[[int], float], low: int, high: int, wanted: float, spec: str) -> tuple[int, float]:
    """The smallest number in [low, high] that reaches `wanted`, and what it reaches: first doubling, then halving."""
    top = low
    best = reached(top)
    while best < wanted:
        if top >= high:
            raise ValueError(f"recall: expected {wanted}, but {spec!r} reaches {best:.4f} at most; take a finer store")
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
