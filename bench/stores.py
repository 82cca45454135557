# SPDX-License-Identifier: Apache-2.0
"""What the compressed stores must reach, beside their peers: contenders take turns, and the best of several runs counts.

usage: stores.py [--data DIR] [--isa LEVEL] [--only ROW,...] [--repeat N] [--threads T] [--json FILE]

DIR (or ANNKERN_DATA) holds base.f16.npy and q_id.f16.npy; without it the 12,000 glosses of bench/data are used, for which
the bars are not set. They are set for 115,659 x 384, inner product, 2 threads. A row for a store is a line in STORES.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from foundation import HERE, Bench, K, race, unhindered

SINGLE = 40  # queries asked one at a time
MEMORY_BYTES = 256 << 20  # of codes that no cache holds
METRIC = "inner_product"


@dataclass(frozen=True)
class Row:
    """What a spec must reach. Speed: a faiss factory string, and how many times its queries a second, by level."""

    recall: float  # of the first 10 among the 10 found
    wide: float  # share of them among the first 50
    peer: str = ""
    ratios: tuple[tuple[str, float], ...] = ()  # (level, times the peer)
    training: bool = False  # fit and encode are compared too


STORES = {
    "pq192x4": Row(0.829, 0.999, "PQ192x4fs", (("avx512vnni", 1.6), ("avx2", 0.9)), training=True),
    "pq96x8": Row(0.845, 0.999, "PQ96x8", training=True),
    "opq96x8": Row(0.854, 0.999),
}
CLUSTERS = 1024


class Stores(Bench):
    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.exact = self.knn(self.base, self.queries)[1]

    def found(self, ids) -> float:
        """Share of the exact first 10 that is among `ids`."""
        return float((ids[:, :, None] == self.exact[: len(ids), None, :]).any(axis=1).mean())

    def timed(self, run: Callable[[], object]) -> tuple[object, float]:
        start = time.perf_counter()
        result = run()
        return result, time.perf_counter() - start

    def store(self, spec: str, row: Row) -> None:
        from annkern.compress import codec as make_codec

        codec = make_codec(spec, METRIC)
        if hasattr(codec, "threads"):
            codec.threads = self.threads
        _, fit = self.timed(lambda: codec.fit(self.base))
        store, encode = self.timed(lambda: codec.encode(self.base, threads=self.threads))
        wide = self.found(self.knn(store, self.queries, 50)[1])
        self.report(
            spec, "recall@10", self.found(self.knn(store, self.queries)[1]), "", row.recall, bytes=store.nbytes / self.n
        )
        self.report(spec, "share of the first 10 within 50", wide, "", row.wide)
        print(f"{spec:<10} fit {fit:.2f} s, encode {encode:.2f} s")
        self.one_by_one(spec, store)
        if row.peer and self.faiss:
            self.beside(spec, row, store, fit + encode)

    def one_by_one(self, spec: str, store) -> None:
        """Queries one after the other on one thread, against NumPy's sum of the codes: where they lie in the last cache (as
        those of 115,659 rows do on large machines), and repeated until they do not."""
        np, few = self.np, self.queries[:SINGLE]
        name = next(name for name in ("codes", "rows", "data") if name in store.arrays)
        times = -(-MEMORY_BYTES // store.arrays[name].nbytes)
        # Blocks hold whole rows, or 32 of them: what fills the last block comes along, as rows that are copies.
        many = np.concatenate([store.arrays[name]] * times)
        rows = self.n * times if many.shape[0] == self.n * times else many.shape[0] * 32
        long = self.ak.Store(store.kind, store.spec, (rows, self.d), {**store.arrays, name: many}, store.numbers)
        for where, base, count in (("the store", store, len(few)), ("from memory", long, 5)):
            codes = base.arrays[name].reshape(-1)
            words = codes[: len(codes) // 8 * 8].view(np.uint64)
            contenders = {
                "annkern": lambda base=base, count=count: [
                    self.ak.knn(base, few[i : i + 1], K, METRIC, threads=1) for i in range(count)
                ],
                "sum": lambda words=words, count=count: [words.sum() for _ in range(count)],
            }
            seconds = race(contenders, self.options.repeat)
            gbs = {f"{who}_gbs": 1e-9 * codes.nbytes * count / each for who, each in seconds.items()}
            share = seconds["sum"] / seconds["annkern"]
            self.report(spec, f"one query at a time, against a sum, {where}", share, "", 0.8, **gbs)

    def beside(self, spec: str, row: Row, store, ours: float) -> None:
        index = self.faiss.index_factory(self.d, row.peer, self.faiss.METRIC_INNER_PRODUCT)
        _, trained = self.timed(lambda: index.train(self.base))
        _, added = self.timed(lambda: index.add(self.base))
        m = self.m if "fs" in row.peer else min(self.m, 500)
        contenders = {
            "annkern": lambda: self.knn(store, self.queries[:m]),
            "faiss": lambda: index.search(self.queries[:m], K),
        }
        times = race(contenders, self.options.repeat)
        qps = {f"{name}_qps": m / seconds for name, seconds in times.items()}
        bar = dict(row.ratios).get(self.isa, 1.0)
        self.report(spec, f"batch, against faiss {row.peer}", times["faiss"] / times["annkern"], "x", bar, **qps)
        if row.training:
            error = self.error(store.decode()) / self.error(index.reconstruct_n(0, self.n))
            seconds = {"annkern_s": ours, "faiss_s": trained + added}
            self.report(
                spec, "fit and encode, against faiss", (trained + added) / ours, "x", 1.5, error_ratio=error, **seconds
            )
            self.report(spec, "error, faiss's over ours", 1 / error, "", 0.99)

    def error(self, decoded) -> float:
        return float(((self.base - decoded) ** 2).sum(axis=1, dtype=self.np.float64).mean())

    def row_kmeans(self) -> None:
        """Both see all rows, for as many iterations."""
        if not self.faiss:
            return print("kmeans: faiss is not installed, nothing to compare with")
        theirs = self.faiss.Kmeans(self.d, CLUSTERS, niter=25)
        theirs.cp.max_points_per_centroid = self.n
        km, ours = self.timed(lambda: self.ak.KMeans(CLUSTERS, sample=None, threads=self.threads).fit(self.base))
        _, seconds = self.timed(lambda: theirs.train(self.base))
        inertia = float(self.ak.assign(self.base, theirs.centroids)[1].astype(self.np.float64).sum())
        self.report("kmeans", f"{CLUSTERS} clusters, against faiss", seconds / ours, "x", 1.5, ours_s=ours, faiss_s=seconds)
        self.report("kmeans", "objective, faiss's over ours", inertia / km.inertia_, "", 0.995)
        return None

    def run(self) -> bool:
        machine = self.machine()
        print("  ".join(f"{name} {value}" for name, value in machine.items()))
        for name in self.options.only:
            if name in STORES:
                self.store(name, STORES[name])
            else:
                getattr(self, f"row_{name}")()
        if self.options.json:
            with open(self.options.json, "a", encoding="utf-8") as out:
                out.writelines(json.dumps(machine | row) + "\n" for row in self.rows)
        return all(row["pass"] for row in self.rows)


ROWS = [*STORES, "kmeans"]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("ANNKERN_DATA", HERE / "data"), type=Path)
    parser.add_argument("--isa", help="a level of ANNKERN_ISA")
    parser.add_argument("--only", default=",".join(ROWS), help=f"of {','.join(ROWS)}")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", help="append one JSON line for each row")
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = set(options.only) - set(ROWS)
    if unknown:
        parser.error(f"--only: expected some of {', '.join(ROWS)}, got {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    chosen = parse()
    if chosen.isa:
        os.environ["ANNKERN_ISA"] = chosen.isa
    unhindered(chosen.threads)
    sys.exit(0 if Stores(chosen).run() else 1)
