# SPDX-License-Identifier: Apache-2.0
"""What exact search must reach, measured beside its peers: contenders take turns, and the best of several runs counts.

usage: foundation.py [--data DIR] [--isa LEVEL] [--only "ROW ..."] [--repeat N] [--threads T] [--json FILE]

DIR (or ANNKERN_DATA) holds base.f16.npy and q_id.f16.npy; without it the 12,000 glosses of bench/data are used. The bars are
set for 115,659 x 384 on 2 threads. A peer that is not installed is left out, with a word.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from contest import Contest, K, main, parsed, parser, race, rows_of

import roofline


class Foundation(Contest):
    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.base_f16 = self.base.astype(self.np.float16)
        self.index = None
        if self.faiss:
            self.index = self.faiss.IndexFlatIP(self.d)
            self.index.add(self.base)

    def best_peer(self, times: dict[str, float], ours: str = "annkern") -> tuple[str, float]:
        peers = {name: seconds for name, seconds in times.items() if name != ours}
        name = min(peers, key=peers.__getitem__)
        return name, peers[name] / times[ours]

    # The peers' flat search.
    def numpy_knn(self, k=K):
        np, found = self.np, []
        for start in range(0, self.m, 256):
            scores = self.queries[start : start + 256] @ self.base.T
            part = np.argpartition(-scores, k, axis=1)[:, :k]
            order = np.argsort(-np.take_along_axis(scores, part, 1), axis=1)
            found.append(np.take_along_axis(part, order, 1))
        return np.concatenate(found)

    def row_knn(self) -> None:
        """Exact search in batch: speed, share of the machine's multiply-add peak, and the same ids as faiss."""
        contenders = {"annkern": lambda: self.knn(self.base, self.queries), "numpy": self.numpy_knn}
        if self.index:
            contenders["faiss"] = lambda: self.index.search(self.queries, K)
        times = race(contenders, self.options.repeat)
        qps = {f"{name}_qps": self.m / seconds for name, seconds in times.items()}
        if self.isa.startswith("avx512"):
            name, ratio = self.best_peer(times)
            self.report("knn", f"{self.m} queries, against {name}", ratio, "x", 2.4, 3, **qps)
        elif self.index:
            self.report("knn", f"{self.m} queries, against faiss", times["faiss"] / times["annkern"], "x", 2.1, 2.6, **qps)
        gflops = 2e-9 * self.m * self.n * self.d / times["annkern"]
        peak = self.peaks()["gflops"]
        self.report("knn", "share of the multiply-add peak", gflops / peak, "", 0.8, 0.92, gflops=gflops, peak=peak)
        if self.index:
            self.compare_ids(self.knn(self.base, self.queries)[1], self.index.search(self.queries, K)[1])

    def compare_ids(self, our_ids, their_ids) -> None:
        """Where an id differs, both rows must be as near in float64, but for the rounding of a float32 sum.

        Errors of d roundings add up like a random walk: sqrt(d) 2^-24 is over three times the deviation of a
        product of unit vectors, and 2 sqrt(d) times less than what no pair can pass.
        """
        np = self.np
        queries, places = np.nonzero(our_ids != their_ids)
        exact = [
            np.einsum(
                "ij,ij->i", self.queries[queries].astype(np.float64), self.base[ids[queries, places]].astype(np.float64)
            )
            for ids in (our_ids, their_ids)
        ]
        gaps = np.abs(exact[0] - exact[1])
        allowed = self.d**0.5 * 2.0**-24
        same = 1 - len(queries) / our_ids.size
        largest = float(gaps.max(initial=0.0)) * 2.0**24
        passed = 1.0 if not (gaps > allowed).any() else 0.0
        self.report("knn", "ids as faiss's, but for ties", passed, "", 1.0, identical=same, largest_gap_ulp=largest)

    def row_single(self) -> None:
        """One query at a time is bound by memory: GB/s against a plain sum of the same array."""
        few = self.queries[:40]
        one_by_one = {"annkern": lambda: [self.knn(self.base, few[i : i + 1]) for i in range(len(few))]}
        times = race(one_by_one, self.options.repeat)
        read = 1e-9 * self.base.nbytes * len(few) / times["annkern"]
        peak = self.peaks()["read_gbs"]
        self.report("single", "GB/s read, against a plain sum", read / peak, "", 0.85, 0.95, gbs=read, sum_gbs=peak)
        alone = {
            "annkern": lambda: [self.ak.knn(self.base, few[i : i + 1], K, "inner_product", threads=1) for i in range(5)],
            "numpy": lambda: [self.base.sum() for _ in range(5)],
        }
        times = race(alone, self.options.repeat)
        gbs = {f"{name}_gbs": 5e-9 * self.base.nbytes / seconds for name, seconds in times.items()}
        self.report("single", "one thread, against NumPy's sum", times["numpy"] / times["annkern"], "", 0.85, 0.95, **gbs)

    def row_f16(self) -> None:
        times = race(
            {
                "annkern": lambda: self.knn(self.base_f16, self.queries),
                "f32": lambda: self.knn(self.base, self.queries),
            },
            self.options.repeat,
        )
        self.report("f16", "float16 base, against float32", times["f32"] / times["annkern"], "x", 1.0)

    def row_int8(self) -> None:
        np = self.np
        scale = 127 / max(float(np.abs(self.base).max()), float(np.abs(self.queries).max()))
        base, queries = (np.rint(x * scale).astype(np.int8) for x in (self.base, self.queries))
        contenders = {"annkern": lambda: self.knn(base, queries), "f32": lambda: self.knn(self.base, self.queries)}
        times = race(contenders, self.options.repeat)
        bar = 3.0 if self.isa == "avx512vnni" else 1.8
        self.report("int8", "int8 base and query, against float32", times["f32"] / times["annkern"], "x", bar)

    def row_hamming(self) -> None:
        np = self.np
        rng = np.random.default_rng(0)
        base, queries = (rng.integers(0, 256, (rows, 128), dtype=np.uint8) for rows in (self.n, self.m))
        contenders = {"annkern": lambda: self.knn(base, queries, metric="hamming")}
        if not self.faiss:
            return print("hamming: faiss is not installed, nothing to compare with")
        index = self.faiss.IndexBinaryFlat(1024)
        index.add(base)
        contenders["faiss"] = lambda: index.search(queries, K)
        times = race(contenders, self.options.repeat)
        qps = {f"{name}_qps": self.m / seconds for name, seconds in times.items()}
        self.report("hamming", "1,024 bits, against faiss", times["faiss"] / times["annkern"], "x", 1.5, 3, **qps)
        return None

    def row_select_k(self) -> None:
        np = self.np
        values = np.random.default_rng(0).standard_normal((self.m, self.n), dtype=np.float32)

        def by_numpy(k):
            part = np.argpartition(values, k, axis=1)[:, :k]
            order = np.argsort(np.take_along_axis(values, part, 1), axis=1)
            return np.take_along_axis(part, order, 1)

        for k, bar in ((10, 3.0), (1000, 1.5)):
            contenders = {
                "annkern": lambda k=k: self.ak.select_k(values, k, threads=self.threads),
                "numpy": lambda k=k: by_numpy(k),
            }
            if self.torch:
                tensor = self.torch.from_numpy(values)
                contenders["torch"] = lambda k=k, tensor=tensor: self.torch.topk(tensor, k, largest=False)
            times = race(contenders, max(2, self.options.repeat // 2))
            name, ratio = self.best_peer(times)
            self.report("select_k", f"{self.m} x {self.n}, k = {k}, against {name}", ratio, "x", bar, **times)

    def row_knn1000(self) -> None:
        if not self.index:
            return print("knn1000: faiss is not installed, nothing to compare with")
        times = race(
            {
                "annkern": lambda: self.knn(self.base, self.queries, 1000),
                "faiss": lambda: self.index.search(self.queries, 1000),
            },
            self.options.repeat,
        )
        self.report("knn1000", "k = 1,000, against faiss", times["faiss"] / times["annkern"], "x", 1.5, **times)
        return None

    def row_blocks(self) -> None:
        """A base in blocks, with what is known of each query carried from one to the next, against one call."""
        from annkern.ops.knn_blocks import knn_blocks

        rng = self.np.random.default_rng(0)
        for d, n in ((96, 100_000), (768, 40_000), (1536, 30_000)):
            base, queries = (rng.standard_normal((rows, d), dtype=self.np.float32) for rows in (n, 1000))
            contenders = {
                "one": lambda b=base, q=queries: self.ak.knn(b, q, 100, threads=1),
                "blocks": lambda b=base, q=queries: knn_blocks(
                    (b[i : i + 4096] for i in range(0, len(b), 4096)), q, 100, threads=1
                ),
            }
            times = race(contenders, self.options.repeat, time.process_time)
            ratio = times["blocks"] / times["one"]
            self.report("blocks", f"4,096 rows, d = {d}, CPU against one call", ratio, "x time", 1.07, 1.02, **times)

    def row_merge(self) -> None:
        """Sorted parts of 10,000 queries x 100."""
        rng = self.np.random.default_rng(0)
        for parts in (2, 4, 8):
            dists = self.np.sort(rng.standard_normal((parts, 10_000, 100), dtype=self.np.float32), axis=2)
            ids = rng.integers(0, 1 << 40, dists.shape)
            merge = {"merge": lambda d=dists, i=ids: self.ak.merge_topk(d, i, 100, threads=1)}
            times = race(merge, self.options.repeat, time.process_time)
            bar = 0.01 * parts
            self.report("merge", f"{parts} x 10,000 x 100, one thread, CPU", times["merge"], "s", bar, bar / 3)

    def row_memory(self) -> None:
        """Peak resident memory of one call over what it was before; VmHWM can be reset on Linux."""

        def status(field):
            line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(field))
            return int(line.split()[1]) / 1024

        self.knn(self.base[:100], self.queries[:10])
        outputs = self.m * K * 12 / 2**20
        Path("/proc/self/clear_refs").write_text("5")
        before = status("VmRSS")
        self.knn(self.base, self.queries)
        self.report("memory", "extra memory of knn", status("VmHWM") - before - outputs, "MB", 64)

    def row_import(self) -> None:
        def run(module):
            subprocess.run([sys.executable, "-c", f"import {module}"], check=True)

        times = race({name: lambda name=name: run(name) for name in ("numpy", "annkern")}, 7)
        self.report("import", "import annkern, over numpy's", times["annkern"] - times["numpy"], "s", 0.15)

    def peaks(self) -> dict[str, float]:
        """Measured anew for each row that uses them: the clock of a shared machine moves."""
        return roofline.peaks(self.isa, self.threads, self.base.nbytes)


ROWS = rows_of(Foundation)

if __name__ == "__main__":
    sys.exit(main(Foundation, parsed(parser(__doc__, ROWS, 5), ROWS)))
