# SPDX-License-Identifier: Apache-2.0
"""What the benches against bars share: the data, turns, a line for each row, and the options."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

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


def race(
    contenders: dict[str, Callable[[], object]], repeat: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Best seconds of each, by the clock on the wall or time.process_time. One round of all, then the next, so that a slow
    minute of the machine is shared."""
    best = dict.fromkeys(contenders, float("inf"))
    for run in contenders.values():
        run()
    for _ in range(repeat):
        for name, run in contenders.items():
            time.sleep(0.05)  # the last contender's OpenMP threads spin a while before they sleep
            start = clock()
            run()
            best[name] = min(best[name], clock() - start)
    return best


class Contest:
    """A bench: each row is a method row_NAME, or what row() makes of its name."""

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
        self.rows: list[dict[str, object]] = []

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

    def row(self, name: str) -> None:
        getattr(self, f"row_{name}")()

    def run(self) -> bool:
        machine = self.machine()
        print("  ".join(f"{name} {value}" for name, value in machine.items()))
        for peer in ("faiss", "torch"):
            if not getattr(self, peer):
                print(f"{peer} is not installed: its rows are left out (pip install '.[bench]')")
        for name in self.options.only:
            self.row(name)
        if self.options.json:
            with open(self.options.json, "a", encoding="utf-8") as out:
                out.writelines(json.dumps(machine | row) + "\n" for row in self.rows)
        return all(row["pass"] for row in self.rows)


def rows_of(contest: type[Contest]) -> list[str]:
    return [name.removeprefix("row_") for name in vars(contest) if name.startswith("row_")]


def parser(words: str | None, rows: Sequence[str], repeat: int) -> argparse.ArgumentParser:
    """With the options that all have."""
    made = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data", default=os.environ.get("ANNKERN_DATA"), type=Path)
    made.add_argument("--isa", help="a level of ANNKERN_ISA")
    made.add_argument("--only", default=" ".join(rows), help=f"of: {' '.join(rows)}")
    made.add_argument("--repeat", type=int, default=repeat)
    made.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    made.add_argument("--json", help="append one JSON line for each row")
    return made


def parsed(made: argparse.ArgumentParser, rows: Sequence[str]) -> argparse.Namespace:
    options = made.parse_args()
    options.only = options.only.split()
    unknown = set(options.only) - set(rows)
    if unknown:
        made.error(f"--only: expected some of {', '.join(rows)}, got {', '.join(sorted(unknown))}")
    return options


def main(contest: type[Contest], options: argparse.Namespace) -> int:
    at_level(options.isa)
    unhindered(options.threads)
    if options.data is None:
        options.data = HERE / "data"
        print("no --data: the shipped 12,000 glosses, for which the bars are not set")
    return 0 if contest(options).run() else 1
