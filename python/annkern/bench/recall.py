# SPDX-License-Identifier: Apache-2.0
"""Recall as big-ann counts it: whatever lies no further than the k-th of the exact answer is a hit, so ties are."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
ROWS = 128
# Two float32 sums of the same products differ by about this share of the vectors' squared lengths.
ROUNDING = 1e-6
RECALL_FIELDS = ("recall", "recall_chosen", "recall_held_out")


def keys_of(base: Array, queries: Array, ids: Array, metric: str) -> Array:
    """(m, k) in float64, smaller is nearer; +inf where an id is none."""
    keys = np.full(ids.shape, np.inf)
    for start in range(0, len(ids), ROWS):
        part = slice(start, start + ROWS)
        found = np.where((ids[part] >= 0) & (ids[part] < len(base)), ids[part], 0)
        rows, asked = base[found].astype(np.float64), queries[part].astype(np.float64)
        if metric == "sqeuclidean":
            rows -= asked[:, None, :]
            near = np.einsum("mkd,mkd->mk", rows, rows)
        else:
            near = -np.einsum("mkd,md->mk", rows, asked)
        keys[part] = np.where((ids[part] >= 0) & (ids[part] < len(base)), near, np.inf)
    return keys


class Judge:
    """Counts hits against the exact neighbours of one k."""

    def __init__(self, base: Array, queries: Array, truth: Array, k: int, metric: str) -> None:
        if k > truth.shape[1]:
            raise ValueError(f"k: the ground truth has {truth.shape[1]} neighbours a query, got {k}")
        self.base, self.queries, self.k, self.metric = base, queries, min(k, len(base)), metric
        self.furthest = keys_of(base, queries, truth[:, : self.k], metric).max(axis=1, initial=-np.inf)
        last = base[truth[:, self.k - 1]] if self.k else base[:0]
        lengths = [np.einsum("ij,ij->i", x, x, dtype=np.float64) for x in (queries, last)]
        self.slack = ROUNDING * (lengths[0] + lengths[1]) / 2

    def hits(self, ids: Array) -> Array:
        """Of each query in `ids` (m, any): how many of its distinct ids are hits, at most k."""
        m = len(ids)
        if not ids.size:
            return np.zeros(m, np.int64)
        ids = np.sort(ids[:, : self.k], axis=1)
        again = np.zeros(ids.shape, bool)
        again[:, 1:] = ids[:, 1:] == ids[:, :-1]
        near = keys_of(self.base, self.queries[:m], ids, self.metric) <= (self.furthest[:m] + self.slack[:m])[:, None]
        hits: Array = (near & ~again).sum(axis=1)
        return hits

    def recall(self, ids: Array) -> float:
        return self.share(self.hits(ids))

    def share(self, hits: Array) -> float:
        return float(hits.mean() / self.k) if len(hits) and self.k else 1.0

    def recalls(self, ids: Array) -> dict[str, float]:
        """Of all queries, of every other query from the first on, by which settings are chosen, and of the rest, for which
        what was chosen is reported."""
        hits = self.hits(ids)
        rest = hits[1::2] if len(hits) > 1 else hits
        return dict(zip(RECALL_FIELDS, map(self.share, (hits, hits[::2], rest)), strict=True))
