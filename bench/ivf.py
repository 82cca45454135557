# SPDX-License-Identifier: Apache-2.0
"""What lists must reach: rows read for a share of the true neighbours with and without SOAR, which no machine shows in, and
queries a second of indexes of lists beside one of a graph, which take turns; the best of several runs counts.

usage: ivf.py [--data DIR] [--specs "SPEC ..."] [--k "K ..."] [--threads T] [--repeat N] [--only rows|speed]

DIR holds base.f16.npy and q_id.f16.npy; without it the 12,000 glosses of bench/data are used. Settings are chosen by `tune`
on one half of the queries, and recall and speed are those of the other half.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import annkern as ak

METRIC = "cosine"
SHARES = (0.95, 0.99)
RECALLS = (0.90, 0.95, 0.99)
SPECS = ("ivf,soar,lvq8+f16", "ivf,soar,lvq4+f16", "graph48,lvq4+f16")
SHIPPED = Path(__file__).resolve().parent / "data"
Array = np.ndarray[Any, np.dtype[Any]]


def members_read(lists: Any, queries: Array, truth: Array, share: float) -> tuple[int, float]:
    """How many lists hold that share of the true neighbours, and how many members they have on average."""
    count = lists.shape[0]
    order = ak.knn(lists.coarse, queries, count, lists.order_metric)[1]
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(count)[None], axis=1)
    of = np.repeat(np.arange(count), lists.sizes)
    by_row = np.argsort(lists.ids, kind="stable")
    starts = np.searchsorted(lists.ids[by_row], np.arange(len(lists) + 1))
    first, last = of[by_row[starts[:-1]]], of[by_row[starts[1:] - 1]]
    rows = np.arange(len(queries))[:, None]
    needed = np.minimum(ranks[rows, first[truth]], ranks[rows, last[truth]])
    probes = 1 + int(np.quantile(needed, share, method="higher"))
    return probes, float(lists.sizes[order[:, :probes]].sum(axis=1).mean())


def rows_read(x: Array, queries: Array, truth: Array, counts: list[int], threads: int) -> None:
    print("members read so that the lists hold a share of the true neighbours (lists read)")
    made = {}
    for soar in (False, True):
        begin = time.perf_counter()
        made[soar] = ak.build_lists(x, metric=METRIC, soar=soar, threads=threads)
        print(f"  {made[soar]}: {time.perf_counter() - begin:.1f} s")
    for k in counts:
        for share in SHARES:
            (few, plain), (fewer, twice) = (members_read(made[soar], queries, truth[:, :k], share) for soar in (False, True))
            print(f"  k {k:4} {share:.2f}: {plain:8,.0f} ({few}), SOAR {twice:8,.0f} ({fewer}): {twice / plain:.2f}")


def speed(x: Array, queries: Array, truth: Array, counts: list[int], args: argparse.Namespace) -> None:
    chosen, reported = slice(0, None, 2), slice(1, None, 2)
    indexes = {}
    for spec in args.specs.split():
        begin = time.perf_counter()
        indexes[spec] = ak.Index.build(x, spec, METRIC, threads=args.threads)
        print(f"{indexes[spec]}: {time.perf_counter() - begin:.1f} s")
    for k in counts:
        for recall in RECALLS:
            settings: dict[str, dict[str, Any]] = {}
            for spec, index in indexes.items():
                try:
                    tuned = ak.tune(index, queries[chosen], truth[chosen, :k], recall)
                except ValueError:
                    continue
                settings[spec] = (
                    {"probes": tuned.probes} if index.lists else {"window": tuned.window, "expand": tuned.expand}
                )
                settings[spec] |= {"rerank_k": tuned.rerank_k}
            best = dict.fromkeys(settings, np.inf)
            reached = {}
            for _ in range(args.repeat):
                for spec, own in settings.items():
                    begin = time.perf_counter()
                    found = indexes[spec].search(queries[reported], k, threads=args.threads, **own)[1]
                    best[spec] = min(best[spec], time.perf_counter() - begin)
                    reached[spec] = (found[:, :, None] == truth[reported, None, :k]).any(axis=2).mean()
            for spec, seconds in best.items():
                qps = len(queries[reported]) / seconds
                print(f"  k {k:4} {recall:.2f} {spec:24} {qps:9,.0f} queries/s at {reached[spec]:.4f}  {settings[spec]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHIPPED)
    parser.add_argument("--specs", default=" ".join(SPECS))
    parser.add_argument("--k", default="10 100")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--only", choices=("rows", "speed"))
    args = parser.parse_args()
    x, queries = (np.load(args.data / f"{name}.f16.npy").astype(np.float32) for name in ("base", "q_id"))
    counts = [int(k) for k in args.k.split()]
    truth = ak.knn(x, queries, max(counts), METRIC)[1]
    if args.only != "speed":
        rows_read(x, queries, truth, counts, args.threads)
    if args.only != "rows":
        speed(x, queries, truth, counts, args)


if __name__ == "__main__":
    main()
