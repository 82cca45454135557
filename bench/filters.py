# SPDX-License-Identifier: Apache-2.0
"""Filtered graph search, by what a filter does near the query. Prints the table of docs/graphs.md.

Filters by chance, of the rows nearest to each query and of those furthest from it, on one thread. Each line is the best of
REPEATS runs that take turns, so that a noisy minute of the machine hits all alike.
"""

from __future__ import annotations

import time

import numpy as np

import annkern as ak

ROWS, DIMS, QUERIES, K, REPEATS = 40_000, 24, 200, 10, 12


def masks(base: np.ndarray, queries: np.ndarray) -> dict[str, np.ndarray | None]:
    """Of each query, (m, n); those by chance are shared, (n,)."""
    rng = np.random.default_rng(2)
    ranks = ak.pairwise(queries, base).argsort(axis=1).argsort(axis=1)
    found: dict[str, np.ndarray | None] = {"all: no filter": None}
    for share in (0.01, 0.1, 0.3, 0.5, 0.9, 0.99):
        found[f"{share:.0%} by chance"] = rng.random(len(base)) < share
    for share in (0.1, 0.5, 0.9):
        found[f"the nearest {share:.0%}"] = ranks < share * len(base)
    for share in (0.1, 0.55, 0.9, 0.99):
        found[f"the furthest {share:.0%}"] = ranks >= (1 - share) * len(base)
    return found


def main() -> None:
    rng = np.random.default_rng(0)
    base, queries = (rng.standard_normal((count, DIMS), dtype=np.float32) for count in (ROWS, QUERIES))
    graph = ak.build_graph(base, degree=32)
    filters = masks(base, queries)
    best = dict.fromkeys(filters, np.inf)
    answers = {}
    for _ in range(REPEATS):
        for name, mask in filters.items():
            start = time.process_time()
            answers[name] = ak.search_graph(graph, base, queries, K, filter=mask, threads=1)[1]
            best[name] = min(best[name], time.process_time() - start)
    print("| allowed | recall | us a query |\n|---|---|---|")
    for name, mask in filters.items():
        true = ak.knn(base, queries, K, filter=mask)[1]
        hits = sum(len(np.intersect1d(a, b)) for a, b in zip(answers[name], true, strict=True))
        print(f"| {name} | {hits / true.size:.3f} | {1e6 * best[name] / QUERIES:.0f} |")


if __name__ == "__main__":
    main()
