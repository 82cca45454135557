# SPDX-License-Identifier: Apache-2.0
"""What search over graphs must reach, beside its peers: contenders take turns, and the best of several runs counts.

usage: graphs.py [--data DIR] [--isa LEVEL] [--only "ROW ..."] [--recipes "SPEC ..."] [--peers "PEER; ..."] [--repeat N]
                 [--threads T] [--json FILE]

DIR (or ANNKERN_DATA) holds base.f16.npy, q_id.f16.npy and, for queries that are not like the rows, q_word.f16.npy; without
it the 12,000 glosses of bench/data are used, for which the bars are not set. They are set for 115,659 x 384, inner product.
Queries a second at a recall lie on the Pareto front of a method's windows, log-linear between its points.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contest import Contest, K, main, parsed, parser, race, rows_of

METRIC = "inner_product"
RECIPES = ("graph48,lvq4+f32", "graph48,lvq4x8", "graph64,f32")
PEERS = ("hnswlib M16", "svs f32")
WINDOWS = (10, 12, 15, 20, 26, 34, 45, 60, 80, 110, 150, 200, 280, 400, 560)
PEER_WIDTHS = (10, 20, 40, 80, 160, 320, 640)
BARS = {0.95: (2.7, 4.5), 0.99: (2.7, 4.5)}
BARS_AVX2 = {0.95: (2.7, 3.8), 0.99: (2.2, 3.5)}
WORD_BARS = {0.95: (2.7, 4.0), 0.98: (2.7, 4.0)}
BUILD_WINDOWS = (100, 200, 300)
PASS_RATES = (0.01, 0.1, 0.5, 0.9)
SINGLES = 1000


@dataclass
class Contender:
    """search(queries, setting, threads) -> ids; points: (recall, queries a second, setting) by threads."""

    name: str
    build_seconds: float
    nbytes: int
    search: Callable[[Any, Any, int], Any]
    settings: tuple[Any, ...]
    ours: bool
    index: Any = None  # of ours
    points: dict[int, list[tuple[float, float, Any]]] = field(default_factory=dict)

    def qps_at(self, recall: float, threads: int) -> float:
        front = []
        for point in sorted(self.points[threads], key=lambda p: (-p[0], -p[1])):
            if not front or point[1] > front[-1][1]:
                front.append(point)
        front = front[::-1]
        above = next((i for i, point in enumerate(front) if point[0] >= recall), None)
        if above is None:
            return 0.0
        if above == 0 or front[above][0] == recall:
            return front[above][1]
        (low, slow, _), (high, fast, _) = front[above - 1], front[above]
        share = (recall - low) / (high - low)
        return math.exp((1 - share) * math.log(slow) + share * math.log(fast))

    def setting_at(self, recall: float, threads: int) -> Any:
        """That of the fastest point which reaches it, or None."""
        enough = [point for point in self.points[threads] if point[0] >= recall]
        return max(enough, key=lambda p: p[1])[2] if enough else None


class Graphs(Contest):
    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.index = None
        self.made: list[Contender] = []

    def contenders(self) -> list[Contender]:
        if not self.made:
            self.made = [self.recipe(spec) for spec in self.options.recipes]
            self.made += [peer for name in self.options.peers if (peer := self.peer(name))]
        return self.made

    def recipe(self, spec: str) -> Contender:
        start = time.perf_counter()
        index = self.ak.Index.build(self.base, spec, METRIC, threads=self.threads)
        seconds = time.perf_counter() - start
        depths = (10, 20, 40, 80, 160, 400) if index.reranks else (None,)
        settings = [(w, r) for w in WINDOWS for r in depths if r is None or (r <= w and 10 * r >= w)]
        print(f"{spec:<26} built in {seconds:.1f} s, {index.nbytes / self.n:.0f} bytes a vector", flush=True)

        def search(queries: Any, setting: Any, threads: int) -> Any:
            return index.search(queries, K, setting[0], rerank_k=setting[1], threads=threads)[1]

        return Contender(spec, seconds, index.nbytes, search, tuple(settings), True, index)

    def peer(self, name: str) -> Contender | None:
        """A method of the harness, as it is run there."""
        from annkern.bench.peers import PEERS as KNOWN
        from annkern.bench.peers.base import Shape

        owner = KNOWN[name.split()[0]]
        if owner.missing():
            print(owner.missing())
            return None
        method = next(m for m in owner.methods(Shape(self.n, self.d, K, METRIC)) if m.name == name)
        searcher = owner.searcher(METRIC, self.threads)
        searcher.prepare(method.build)
        start = time.perf_counter()
        searcher.build(self.base, method.build)
        seconds = time.perf_counter() - start
        size = searcher.nbytes() or 0
        print(f"{name:<26} built in {seconds:.1f} s, {size / self.n:.0f} bytes a vector", flush=True)

        def search(queries: Any, setting: Any, threads: int) -> Any:
            searcher.configure(setting, threads)
            return searcher.search(queries, K)

        return Contender(name, seconds, size, search, tuple(method.settings), False)

    def sweep(self, queries: Any, contenders: list[Contender] | None = None) -> Any:
        """Round by round, so that a slow minute of the machine is shared. Windows that are out of reach are passed over.
        Returns the exact neighbours."""
        contenders = self.contenders() if contenders is None else contenders
        exact = self.knn(self.base, queries)[1]
        for contender in contenders:
            contender.points = {}
        for threads in sorted({1, self.threads}):
            best: dict[tuple[str, Any], float] = {}
            found: dict[tuple[str, Any], float] = {}
            for _ in range(self.options.repeat):
                for contender in contenders:
                    for setting in contender.settings:
                        key = (contender.name, str(setting))
                        if found.get(key, 1.0) < 0.90:
                            continue
                        start = time.perf_counter()
                        ids = contender.search(queries, setting, threads)
                        seconds = time.perf_counter() - start
                        best[key] = min(best.get(key, math.inf), seconds)
                        if key not in found:
                            found[key] = float((ids[:, :, None] == exact[:, None, :]).any(axis=2).mean())
                    time.sleep(0.05)  # OpenMP threads spin for a while after a call
            for contender in contenders:
                keyed = [((contender.name, str(setting)), setting) for setting in contender.settings]
                contender.points[threads] = [(found[key], len(queries) / best[key], setting) for key, setting in keyed]
        return exact

    def compare(self, row: str, bars: dict[float, tuple[float, float]]) -> None:
        for recall, (bar, hope) in bars.items():
            for threads in sorted({1, self.threads}):
                qps = {c.name: c.qps_at(recall, threads) for c in self.contenders()}
                ours = max((c for c in self.contenders() if c.ours), key=lambda c: qps[c.name])
                peers = [c for c in self.contenders() if not c.ours]
                for name, each in qps.items():
                    print(f"    {name:<26} {each:>9,.0f} QPS at {recall}, {threads} threads")
                if not peers:
                    continue
                peer = max(peers, key=lambda c: qps[c.name])
                ratio = qps[ours.name] / max(qps[peer.name], 1e-9)
                what = f"{ours.name} at {recall}, {threads} threads, against {peer.name}"
                self.report(row, what, ratio, "x", bar, hope, ours_qps=qps[ours.name], peer_qps=qps[peer.name])

    def row_batch(self) -> None:
        """Queries like the rows."""
        exact = self.sweep(self.queries)
        wide = self.isa.startswith("avx512")
        bars = BARS if wide else BARS_AVX2
        self.compare("batch", bars)
        by_name = {c.name: c for c in self.contenders()}
        if "graph64,f32" in by_name and "svs f32" in by_name:
            for recall in (0.95, 0.99):
                ours, theirs = (by_name[name].qps_at(recall, 1) for name in ("graph64,f32", "svs f32"))
                # SVS takes AVX-512 wherever it is.
                bar = 1.0 if wide else 0.0
                self.report("float32", f"graph64,f32 at {recall}, 1 thread, against svs f32", ours / theirs, "x", bar, 1.3)
        best = max((c for c in self.contenders() if c.ours), key=lambda c: c.qps_at(0.99, self.threads))
        if self.threads > 1:
            for recall in (0.95, 0.99):
                ratio = best.qps_at(recall, self.threads) / best.qps_at(recall, 1)
                self.report("scaling", f"{best.name} at {recall}, 1 to {self.threads} threads", ratio, "x", 1.85, 1.95)
        hnsw = by_name.get("hnswlib M16")
        if hnsw:
            slow = max(hnsw.qps_at(0.99, self.threads), 1e-9)
            fast = [c for c in self.contenders() if c.ours and c.qps_at(0.99, self.threads) >= bars[0.99][0] * slow]
            lean = min(fast or [best], key=lambda c: c.nbytes)  # the smallest recipe that is fast enough
            what = f"{lean.name} against hnswlib, {lean.qps_at(0.99, self.threads) / slow:.1f}x at 0.99"
            self.report("memory", what, 100 - 100 * lean.nbytes / hnsw.nbytes, "% less", 40, 70)
            times = {c.name: c.build_seconds for c in self.contenders()}
            ratio = hnsw.build_seconds / best.build_seconds
            self.report("build", f"{best.name}, against hnswlib M16", ratio, "x", 1.4, 2.5, **times)
        self.latency(0.95, exact)

    def latency(self, recall: float, exact: Any) -> None:
        """A query at a time on one thread: median and 99th percentile."""
        np, few = self.np, self.queries[:SINGLES]
        times: dict[str, Any] = {}
        for _ in range(self.options.repeat):
            for contender in self.contenders():
                setting = contender.setting_at(recall, 1)
                if setting is None:
                    continue
                seconds = []
                for i in range(len(few)):
                    start = time.perf_counter()
                    contender.search(few[i : i + 1], setting, 1)
                    seconds.append(time.perf_counter() - start)
                last = times.get(contender.name)
                times[contender.name] = seconds if last is None else np.minimum(last, seconds)
        for share in (50, 99):
            at = {name: float(np.percentile(seconds, share)) * 1e6 for name, seconds in times.items()}
            ours = min((name for name in at if name in self.options.recipes), key=at.__getitem__)
            peers = [name for name in at if name not in self.options.recipes]
            if peers:
                peer = min(peers, key=at.__getitem__)
                what = f"{ours}, percentile {share} at {recall}, against {peer}"
                self.report("latency", what, at[peer] / at[ours], "x", 2.5, 4, ours_us=at[ours], peer_us=at[peer])

    def words(self) -> Any:
        """Queries that are not like the rows, or None."""
        path = Path(self.options.data) / "q_word.f16.npy"
        if path.exists():
            return self.unit(path)
        print("words: no q_word.f16.npy in the data")
        return None

    def row_words(self) -> None:
        """Queries that are not like the rows."""
        words = self.words()
        if words is not None:
            self.sweep(words)
            self.compare("words", WORD_BARS)

    def row_windows(self) -> None:
        """What a wider build gives: degree 64 over lvq8, searched over the rows."""
        store = self.ak.compress(self.base, "lvq8", metric=METRIC, threads=self.threads)
        made = []
        for window in BUILD_WINDOWS:
            start = time.perf_counter()
            graph = self.ak.build_graph(store, METRIC, 64, window, threads=self.threads)
            seconds = time.perf_counter() - start

            def search(queries: Any, window: int, threads: int, graph: Any = graph) -> Any:
                return self.ak.search_graph(graph, self.base, queries, K, window=window, threads=threads)[1]

            made.append(Contender(f"build_window_{window}", seconds, graph.nbytes, search, WINDOWS, True))
        times = {c.name: c.build_seconds for c in made}
        ratio = made[-1].build_seconds / made[0].build_seconds
        self.report("windows", "seconds to build, widest over narrowest", ratio, "x", 0, **times)
        for kind, queries in (("queries", self.queries), ("words", self.words())):
            if queries is None:
                continue
            self.sweep(queries, made)
            for recall in (0.95, 0.98, 0.99):
                qps = {c.name: c.qps_at(recall, self.threads) for c in made}
                ratio = qps[made[-1].name] / max(qps[made[0].name], 1e-9)
                self.report("windows", f"QPS of {kind} at {recall}, widest over narrowest", ratio, "x", 0, **qps)

    def row_filtered(self) -> None:
        """A shared filter by chance, against faiss and hnswlib that take the same (usearch's Python takes none)."""
        rng = self.np.random.default_rng(0)
        ours = next(c for c in self.contenders() if c.ours)
        peers = filtered_peers(self)
        for rate in PASS_RATES:
            passing = rng.random(self.n) < rate
            exact = self.ak.knn(self.base, self.queries, K, METRIC, filter=passing, threads=self.threads)[1]

            def search(w: int, count: int, f: Any = passing) -> Any:
                return ours.index.search(self.queries[:count], K, w, f, self.threads, rerank_k=max(K, w))[1]

            at = {ours.name: self.fastest(search, WINDOWS, self.m, exact)}
            for peer in peers:
                at[peer.name] = self.fastest(peer.given(passing), peer.widths, min(peer.queries, self.m), exact)
            best = max((peer.name for peer in peers), key=at.__getitem__, default=None)
            bar = 2.0 if rate == 0.1 else 1.0
            if best is not None:
                ratio = at[ours.name] / max(at[best], 1e-9)
                what = f"{rate:.0%} pass, at 0.95, against {best}"
                self.report("filtered", what, ratio, "x", bar, 5 if rate == 0.1 else None, **clean(at))

    def row_builders(self) -> None:
        """Both builders over the same store, and what the search over each graph reaches."""
        store = self.ak.compress(self.base, "lvq8", metric=METRIC, threads=self.threads)
        exact = self.knn(self.base, self.queries)[1]
        found: dict[str, tuple[float, float]] = {}
        for method in ("vamana", "nn_descent"):
            start = time.perf_counter()
            graph = self.ak.build_graph(store, METRIC, 48, method=method, threads=self.threads)
            seconds = time.perf_counter() - start

            def search(window: int, count: int, graph: Any = graph) -> Any:
                return self.ak.search_graph(graph, store, self.queries[:count], K, window=window, threads=self.threads)[1]

            found[method] = seconds, self.fastest(search, WINDOWS, self.m, exact)
        for place, what in enumerate(("seconds to build", "QPS at 0.95")):
            each = {method: measured[place] for method, measured in found.items()}
            ratio = each["nn_descent"] / max(each["vamana"], 1e-9)
            self.report("builders", f"nn_descent's {what} over vamana's", ratio, "x", 0, **each)  # told, without a bar

    def fastest(self, search: Callable[[int, int], Any], settings: tuple[int, ...], count: int, exact: Any) -> float:
        """Queries a second of the fastest setting with a recall of 0.95 on the first `count` queries, or 0."""
        best = 0.0
        for setting in settings:
            ids = search(setting, count)
            if (ids[:, :, None] == exact[:count, None, :]).any(axis=2).mean() >= 0.95:
                best = max(best, count / race({"": lambda s=setting: search(s, count)}, 2)[""])
        return best


def clean(at: dict[str, float]) -> dict[str, float]:
    return {f"{name.replace(' ', '_')}_qps": value for name, value in at.items()}


@dataclass
class Filtered:
    """A peer that takes filters. given(passing) -> search(width, queries) -> ids"""

    name: str
    given: Callable[[Any], Callable[[int, int], Any]]
    widths: tuple[int, ...]
    queries: int


def filtered_peers(bench: Graphs) -> list[Filtered]:
    found = []
    if bench.faiss:
        faiss, np = bench.faiss, bench.np
        graph = faiss.index_factory(bench.d, "HNSW32", faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = 200
        graph.add(bench.base)
        flat = faiss.IndexFlatIP(bench.d)
        flat.add(bench.base)

        def by_faiss(index: Any, parameters: Callable[..., Any], passing: Any) -> Callable[[int, int], Any]:
            chosen = faiss.IDSelectorBitmap(np.packbits(passing, bitorder="little"))
            return lambda width, count: index.search(bench.queries[:count], K, params=parameters(chosen, width))[1]

        def of_graph(chosen: Any, width: int) -> Any:
            return faiss.SearchParametersHNSW(sel=chosen, efSearch=width)

        def of_flat(chosen: Any, _: int) -> Any:
            return faiss.SearchParameters(sel=chosen)

        found += [
            Filtered("faiss HNSW32", lambda passing: by_faiss(graph, of_graph, passing), PEER_WIDTHS, bench.m),
            Filtered("faiss Flat", lambda passing: by_faiss(flat, of_flat, passing), (0,), bench.m),
        ]
    with contextlib.suppress(ImportError):
        import hnswlib

        index = hnswlib.Index("ip", bench.d)
        index.init_index(bench.n, M=16, ef_construction=200)
        index.add_items(bench.base, num_threads=bench.threads)

        def by_hnswlib(passing: Any) -> Callable[[int, int], Any]:
            allowed = passing.tolist()

            def search(width: int, count: int) -> Any:
                index.set_ef(width)
                try:
                    return index.knn_query(bench.queries[:count], K, num_threads=1, filter=allowed.__getitem__)[0]
                except RuntimeError:  # a query found fewer than k
                    return bench.np.full((count, K), -1)

            return search

        # A function of Python for each id, so one thread and few queries.
        found.append(Filtered("hnswlib M16", by_hnswlib, PEER_WIDTHS[:5], 100))
    return found


ROWS = rows_of(Graphs)


def chosen() -> argparse.Namespace:
    made = parser(__doc__, ROWS, 3)
    made.add_argument("--recipes", default=" ".join(RECIPES), help="specs of Index.build")
    made.add_argument("--peers", default=";".join(PEERS), help="methods of annkern-bench, between semicolons")
    options = parsed(made, ROWS)
    options.recipes = options.recipes.split()
    options.peers = [name.strip() for name in options.peers.split(";") if name.strip()]
    return options


if __name__ == "__main__":
    sys.exit(main(Graphs, chosen()))
