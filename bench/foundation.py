# SPDX-License-Identifier: Apache-2.0
"""What exact search must reach, measured beside its peers: contenders take turns, and the best of several runs counts.

usage: foundation.py [--data DIR] [--isa LEVEL,...] [--only ROW,...] [--repeat N] [--threads T] [--json FILE]

DIR (or ANNKERN_DATA) holds base.f16.npy and q_id.f16.npy; without it the 12,000 glosses of bench/data are used. The bars are
set for 115,659 x 384 on 2 threads. A peer that is not installed is left out, with a word. --isa avx2,best runs both levels.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import roofline

HERE = Path(__file__).resolve().parent
K = 10


def unhindered(threads: int) -> None:
    """OpenBLAS reads these when it is loaded, so they must be right before NumPy is imported."""
    wanted = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    hindering = {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"} & os.environ.keys()
    if hindering or any(os.environ.get(name) != value for name, value in wanted.items()):
        environment = {name: value for name, value in os.environ.items() if name not in hindering} | wanted
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)


def at_level(isa: str | None) -> None:
    """Holds annkern at a level of ANNKERN_ISA, and faiss, which chooses at run time too, at AVX2 where that is it."""
    if isa:
        os.environ["ANNKERN_ISA"] = isa
    if isa == "avx2":
        os.environ["FAISS_SIMD_LEVEL"] = "AVX2"


def optional(name: str):
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def race(contenders: dict[str, Callable[[], object]], repeat: int) -> dict[str, float]:
    """Best seconds of each. One round of all, then the next, so that a slow minute of the machine is shared."""
    best = dict.fromkeys(contenders, float("inf"))
    for run in contenders.values():
        run()
    for _ in range(repeat):
        for name, run in contenders.items():
            time.sleep(0.05)  # the last contender's OpenMP threads spin a while before they sleep
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


class Bench:
    def __init__(self, options: argparse.Namespace) -> None:
        import numpy as np

        import annkern as ak

        self.np, self.ak, self.options, self.threads = np, ak, options, options.threads
        self.faiss, self.torch = optional("faiss"), optional("torch")
        if self.faiss:
            self.faiss.omp_set_num_threads(self.threads)
        if self.torch:
            self.torch.set_num_threads(self.threads)
        self.info = importlib.import_module("annkern._cpu").backend_info()
        self.isa = self.info["isa"]
        folder = Path(options.data)
        self.base = self.unit(folder / "base.f16.npy")
        self.queries = self.unit(folder / "q_id.f16.npy")
        self.n, self.d = self.base.shape
        self.m = len(self.queries)
        self.base_f16 = self.base.astype(np.float16)
        self.rows: list[dict[str, object]] = []
        self.index = None
        if self.faiss:
            self.index = self.faiss.IndexFlatIP(self.d)
            self.index.add(self.base)

    def unit(self, path: Path):
        x = self.np.load(path).astype(self.np.float32)
        return x / self.np.linalg.norm(x, axis=1, keepdims=True)

    def knn(self, base, queries, k=K, metric="inner_product"):
        return self.ak.knn(base, queries, k, metric=metric, threads=self.threads)

    def report(
        self, row: str, what: str, value: float, unit: str, bar: float, hope: float | None = None, **more: float
    ) -> None:
        """A ratio must reach its bar; seconds, megabytes and times as long must stay below."""
        passed = bool(value <= bar if unit in ("s", "MB", "x time") else value >= bar)
        aim = f"bar {bar:g}" + ("" if hope is None else f", hope {hope:g}")
        details = "  ".join(f"{name} {number:,.4g}" for name, number in more.items())
        print(
            f"{row:<10} {what:<46} {value:>8.3g} {unit:<6} {aim:<20} {'pass' if passed else 'FAIL'}  {details}", flush=True
        )
        fields = {"row": row, "what": what, "value": value, "unit": unit, "bar": bar, "hope": hope, "pass": passed}
        self.rows.append(fields | more)

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

    def machine(self) -> dict[str, object]:
        model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        versions = {x.__name__: x.__version__ for x in (self.np, self.faiss, self.torch, self.ak) if x}
        return {
            "cpu": model[0].split(":")[1].strip() if model else platform.machine(),
            "isa": self.isa,
            "threads": self.threads,
            "n": self.n,
            "d": self.d,
            "python": platform.python_version(),
            **versions,
        }

    def run(self) -> bool:
        machine = self.machine()
        print("  ".join(f"{name} {value}" for name, value in machine.items()))
        for peer in ("faiss", "torch"):
            if not getattr(self, peer):
                print(f"{peer} is not installed: its rows are left out (pip install 'annkern[bench]')")
        for name in self.options.only:
            getattr(self, f"row_{name}")()
        if self.options.json:
            with open(self.options.json, "a", encoding="utf-8") as out:
                out.writelines(json.dumps(machine | row) + "\n" for row in self.rows)
        return all(row["pass"] for row in self.rows)


ROWS = [name.removeprefix("row_") for name in vars(Bench) if name.startswith("row_")]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("ANNKERN_DATA"))
    parser.add_argument("--isa", default=os.environ.get("ANNKERN_ISA", "best"), help="best, or levels of ANNKERN_ISA")
    parser.add_argument("--only", default=",".join(ROWS), help=f"of {','.join(ROWS)}")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", help="append one JSON line for each row")
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = set(options.only) - set(ROWS)
    if unknown:
        parser.error(f"--only: expected some of {', '.join(ROWS)}, got {', '.join(sorted(unknown))}")
    if options.data is None:
        options.data = HERE / "data"
        print("no --data: the shipped 12,000 glosses, for which the bars are not set")
    return options


def main() -> int:
    options = parse()
    levels = options.isa.split(",")
    if levels == [os.environ.get("ANNKERN_ISA", "best")]:
        unhindered(options.threads)
        return 0 if Bench(options).run() else 1
    status = 0
    for level in levels:
        environment = {name: value for name, value in os.environ.items() if name != "ANNKERN_ISA"}
        if level != "best":
            environment["ANNKERN_ISA"] = level
        arguments = [*sys.argv, "--isa", level]
        status |= subprocess.run([sys.executable, *arguments], env=environment).returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
