# SPDX-License-Identifier: Apache-2.0
"""What the compressed stores must reach, beside their peers: contenders take turns, and the best of several runs counts.

usage: stores.py [--data DIR] [--isa LEVEL] [--only "ROW ..."] [--repeat N] [--threads T] [--json FILE]

DIR (or ANNKERN_DATA) holds base.f16.npy and q_id.f16.npy; without it the 12,000 glosses of bench/data are used, for which
the bars are not set. They are set for 115,659 x 384, inner product, 2 threads. A row for a store is a line in STORES.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from contest import Contest, K, main, parsed, parser, race

SINGLE = 40  # queries asked one at a time
MEMORY_BYTES = 256 << 20  # of codes that no cache holds
METRIC = "inner_product"


@dataclass(frozen=True)
class Row:
    """What a spec must reach. Recall, for queries that are and are not like the rows; speed, by level: against float32 rows,
    and against faiss by its factory strings."""

    recall: float  # of the first 10 among the 10 found
    wide: float  # share of them among the first 50
    primary: bool = False  # the first level alone
    word: tuple[float, float] | None = None  # the same of words as queries
    learned: tuple[float, float] | None = None  # and with other words given as learn_queries
    float32: Levels = ()
    peers: tuple[tuple[str, Levels], ...] = ()
    training: str = ""  # the peer whose training and encoding is compared too


Levels = tuple[tuple[str, float], ...]  # (level, how many times faster)
TOLERANCE = 0.003
SLOW_PEERS = ("SQ8", "PQ96x8", "RaBitQ")  # these are asked a part of the queries

STORES = {
    "lvq8": Row(
        0.996,
        1.0,
        word=(0.990, 1.0),
        float32=(("avx512vnni", 2.5), ("avx2", 1.7)),
        peers=(("SQ8", (("avx512vnni", 15), ("avx2", 5))),),
    ),
    "lvq4": Row(0.942, 1.0, word=(0.935, 1.0), float32=(("avx512vnni", 2.8), ("avx2", 1.7))),
    "lvq4x4": Row(0.995, 1.0),
    "lvq4x8": Row(0.998, 1.0),
    "lvq8x8": Row(0.9988, 1.0),
    "leanvec192:lvq8,lvq8": Row(0.875, 0.998, primary=True, word=(0.816, 0.987), learned=(0.855, 0.997)),
    "leanvec192:lvq4,lvq8": Row(0.847, 0.998, primary=True),
    "pq192x4": Row(0.832, 0.999, peers=(("PQ192x4fs", (("avx512vnni", 1.6), ("avx2", 0.9))),), training="PQ192x4fs"),
    "pq96x8": Row(0.848, 0.999, peers=(("PQ96x8", ()),), training="PQ96x8"),
    "opq96x8": Row(0.857, 1.0, training="OPQ96,PQ96x8"),
    "rabitq1": Row(
        0.745,
        0.990,
        peers=(("RaBitQ", (("avx512vnni", 1.5), ("avx2", 1.5))), ("RaBitQfs", (("avx512vnni", 1.5), ("avx2", 1.5)))),
    ),
    "rabitq4": Row(0.953, 1.0),
}
CLUSTERS = 1024


class Stores(Contest):
    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.exact = self.knn(self.base, self.queries)[1]
        folder = Path(options.data)
        has_words = (folder / "learn_word.f16.npy").exists()
        self.words = self.unit(folder / "q_word.f16.npy") if has_words else None
        self.learn = self.unit(folder / "learn_word.f16.npy") if has_words else None

    def found(self, ids, exact=None) -> float:
        """Share of the exact first 10 that is among `ids`."""
        exact = self.exact if exact is None else exact
        return float((ids[:, :, None] == exact[: len(ids), None, :]).any(axis=1).mean())

    def timed(self, run: Callable[[], object]) -> tuple[object, float]:
        start = time.perf_counter()
        result = run()
        return result, time.perf_counter() - start

    def store(self, spec: str, row: Row) -> None:
        from annkern.stores.registry import codec as make_codec

        codec = make_codec(spec, METRIC)
        if hasattr(codec, "threads"):
            codec.threads = self.threads
        _, fit = self.timed(lambda: codec.fit(self.base))
        store, encode = self.timed(lambda: codec.encode(self.base, threads=self.threads))
        store = store.primary if row.primary else store
        print(f"{spec:<10} fit {fit:.2f} s, encode {encode:.2f} s")
        self.quality(spec, "", store, self.queries, self.exact, (row.recall, row.wide))
        if row.word and self.words is not None:
            exact = self.knn(self.base, self.words)[1]
            self.quality(spec, ", words", store, self.words, exact, row.word)
            if row.learned:
                learned = self.ak.compress(self.base, spec, METRIC, learn_queries=self.learn, threads=self.threads)
                store_of_words = learned.primary if row.primary else learned
                self.quality(spec, ", words, learned", store_of_words, self.words, exact, row.learned)
        if store.primary is None and store.projection is None:
            self.one_by_one(spec, store)
        self.batches(spec, row, store)
        if row.training and self.faiss:
            self.training(spec, row, store, fit + encode)

    def quality(self, spec: str, which: str, store, queries, exact, bars: tuple[float, float]) -> None:
        recall, wide = (self.found(self.knn(store, queries, k)[1], exact) for k in (K, 50))
        size = store.nbytes / self.n
        self.report(spec, f"recall@10{which}", recall, "", bars[0] - TOLERANCE, bytes=size)
        self.report(spec, f"share of the first 10 within 50{which}", wide, "", bars[1] - TOLERANCE)

    def one_by_one(self, spec: str, store) -> None:
        """Queries one after the other on one thread, against NumPy's sum of the codes: where they lie in the last cache (as
        those of 115,659 rows do on large machines), and repeated until they do not."""
        np, few = self.np, self.queries[:SINGLE]
        name = next(name for name in ("codes", "rows", "data") if name in store.arrays)
        times = -(-MEMORY_BYTES // store.arrays[name].nbytes)
        many = self.repeated(store.arrays[name], times)
        # Blocks hold whole rows, or 32 of them: what fills the last block comes along, as rows that are copies.
        rows = self.n * times if many.shape[0] == self.n * times else many.shape[0] * 32
        others = {each: self.repeated(x, times) for each, x in store.arrays.items() if each != name and len(x) == self.n}
        long = self.ak.Store(store.kind, store.spec, (rows, self.d), {**store.arrays, **others, name: many}, store.numbers)
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

    def repeated(self, x, times: int):
        """From a cache line on, as the arrays of a store are."""
        np = self.np
        memory = np.empty(x.nbytes * times + 64, np.uint8)
        out = memory[-memory.ctypes.data % 64 :][: x.nbytes * times].view(x.dtype).reshape(-1, *x.shape[1:])
        for i in range(times):
            out[i * len(x) : (i + 1) * len(x)] = x
        return out

    def batches(self, spec: str, row: Row, store) -> None:
        """All queries at once, against float32 rows and against faiss."""
        if row.float32:
            contenders = {
                "annkern": lambda: self.knn(store, self.queries),
                "float32": lambda: self.knn(self.base, self.queries),
            }
            times = race(contenders, self.options.repeat)
            bar = dict(row.float32).get(self.isa, 1.0)
            self.report(
                spec, "batch, against float32", times["float32"] / times["annkern"], "x", bar, **self.qps(times, self.m)
            )
        for name, levels in row.peers if self.faiss else ():
            index = self.faiss.index_factory(self.d, name, self.faiss.METRIC_INNER_PRODUCT)
            index.train(self.base)
            index.add(self.base)
            m = min(self.m, 200) if name in SLOW_PEERS else self.m
            times = race(
                {"faiss": lambda index=index, m=m: index.search(self.queries[:m], K)},
                2 if m < self.m else self.options.repeat,
            )
            ours = race({"annkern": lambda: self.knn(store, self.queries)}, self.options.repeat)["annkern"]
            ratio = times["faiss"] / m / (ours / self.m)
            qps = {"annkern_qps": self.m / ours, "faiss_qps": m / times["faiss"]}
            self.report(spec, f"batch, against faiss {name}", ratio, "x", dict(levels).get(self.isa, 1.0), **qps)

    def qps(self, times: dict[str, float], m: int) -> dict[str, float]:
        return {f"{name}_qps": m / seconds for name, seconds in times.items()}

    def training(self, spec: str, row: Row, store, ours: float) -> None:
        index = self.faiss.index_factory(self.d, row.training, self.faiss.METRIC_INNER_PRODUCT)
        _, trained = self.timed(lambda: index.train(self.base))
        _, added = self.timed(lambda: index.add(self.base))
        error = self.error(store.decode()) / self.error(index.reconstruct_n(0, self.n))
        seconds = {"annkern_s": ours, "faiss_s": trained + added}
        self.report(spec, "fit and encode, against faiss", (trained + added) / ours, "x", 1.5, error_ratio=error, **seconds)
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

    def row_encode(self) -> None:
        """lvq4x8, against reading the rows and writing new arrays of as many bytes as the store has, once."""
        np = self.np
        codec = self.ak.LVQ(bits=4, residual_bits=8).fit(self.base)
        size = codec.encode(self.base, threads=self.threads).nbytes
        parts = np.array_split(self.base, self.threads)
        with ThreadPoolExecutor(self.threads) as pool:

            def once() -> None:
                written = np.array_split(np.empty(size, np.uint8), self.threads)
                list(pool.map(lambda x: x.max(), parts))
                list(pool.map(lambda x: x.fill(1), written))

            encode = functools.partial(codec.encode, self.base, threads=self.threads)
            times = race({"annkern": encode, "once": once}, 2 * self.options.repeat)
        self.report(
            "encode", "lvq4x8, over reading and writing once", times["annkern"] / times["once"], "x time", 2.5, **times
        )

    def row(self, name: str) -> None:
        if name in STORES:
            self.store(name, STORES[name])
        else:
            super().row(name)


ROWS = [*STORES, "kmeans", "encode"]

if __name__ == "__main__":
    sys.exit(main(Stores, parsed(parser(__doc__, ROWS, 5), ROWS)))
