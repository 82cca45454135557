# SPDX-License-Identifier: Apache-2.0
"""Each operation on its own: milliseconds, GB/s, GFLOP/s, and the share of the ceiling that binds it.

usage: run.py [--only PATTERN] [--small] [--threads T] [--rounds N] [--out FILE] [--against FILE] [--list]

Those that share their arrays are measured once a round, in turns, and the best round counts. --against compares with a file
that --out wrote: what is slower by more than the noise of both is flagged, and the status is 1. The ceilings are measured by
the same run. A share can exceed 1: what lies in the caches is read faster than a plain sum over memory, and integers are not
multiplied as floats are.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import platform
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import annkern as ak  # noqa: E402
import roofline  # noqa: E402
import works  # noqa: E402

LEAST_NOISE = 0.05  # two runs of one build differ by as much
LEAST_SECONDS = 0.02  # of a reading of the clock


def timed(work: works.Work, threads: int, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        work.run(threads)
    return (time.perf_counter() - start) / calls


def measure(group: list[works.Work], threads: int, rounds: int) -> list[dict[str, object]]:
    """Best and second best seconds of each: their distance is the noise."""
    calls = []
    for work in group:
        work.run(threads)
        calls.append(max(1, int(LEAST_SECONDS / max(1e-9, timed(work, threads, 1)))))
    times: list[list[float]] = [[] for _ in group]
    for _ in range(rounds):
        for i, work in enumerate(group):
            times[i].append(timed(work, threads, calls[i]))
    rows = []
    for work, all_of in zip(group, times, strict=True):
        best, *rest = sorted(all_of)
        noise = rest[0] / best - 1 if rest else 0.0
        rows.append({"name": work.name, "seconds": best, "noise": noise, "bytes": work.nbytes, "flops": work.flops})
    return rows


def shares(row: dict, peaks: dict[str, float]) -> tuple[float, float, str, float]:
    """(GB/s, GFLOP/s, what binds it, the share of that)."""
    gbs, gflops = (1e-9 * row[key] / row["seconds"] for key in ("bytes", "flops"))
    by = {"memory": gbs / peaks["read_gbs"], "arithmetic": gflops / peaks["gflops"]}
    binding = max(by, key=by.__getitem__)
    return gbs, gflops, binding, by[binding]


def show(rows: list[dict], peaks: dict[str, float]) -> None:
    print(f"ceilings: {peaks['gflops']:,.0f} GFLOP/s, {peaks['read_gbs']:.1f} GB/s")
    print(f"{'':<44}{'ms':>10}{'GB/s':>8}{'GFLOP/s':>9}   of the ceiling   noise")
    for row in rows:
        gbs, gflops, binding, share = shares(row, peaks)
        print(
            f"{row['name']:<44}{1e3 * row['seconds']:>10.3f}{gbs:>8.1f}{gflops:>9.1f}   {share:>4.0%} {binding:<10}"
            f"{row['noise']:>6.1%}"
        )


def compare(rows: list[dict], before: list[dict]) -> list[str]:
    """What is slower than it was by more than the noise of both; prints all that moved."""
    old, slower = {row["name"]: row for row in before}, []
    for row in rows:
        was = old.get(row["name"])
        if was is None:
            continue
        change = row["seconds"] / was["seconds"] - 1
        noise = max(LEAST_NOISE, 2 * (row["noise"] + was["noise"]))
        if abs(change) > noise:
            print(f"{row['name']:<44}{change:>+8.1%} (noise {noise:.1%})  {'SLOWER' if change > 0 else 'faster'}")
        if change > noise:
            slower.append(row["name"])
    return slower


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="*", help="names that match this pattern, as in 'knn sqeuclidean*'")
    parser.add_argument("--small", action="store_true", help="sizes of a test")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    options = parser.parse_args(arguments)
    before = json.loads(options.against.read_text()) if options.against else None
    size = "small" if options.small else "full"
    groups = ([w for w in group if fnmatch.fnmatchcase(w.name, options.only)] for group in works.table(size))
    if options.list:
        print("\n".join(work.name for group in groups for work in group))
        return 0
    rows = [row for group in groups for row in measure(group, options.threads, options.rounds)]
    if not rows:
        print(f"--only: no name matches {options.only!r}; --list prints all")
        return 2
    isa = ak.backends()["cpu"]["isa"]
    peaks = roofline.peaks(isa, options.threads, 1 << 24 if options.small else 1 << 28)
    show(rows, peaks)
    about = {"isa": isa, "threads": options.threads, "small": options.small, "machine": platform.processor()}
    if options.out:
        options.out.write_text(json.dumps({"about": about, "peaks": peaks, "rows": rows}, indent=1) + "\n")
    if before is None:
        return 0
    different = [key for key in ("isa", "threads", "small") if before["about"][key] != about[key]]
    if different:
        print(f"{options.against}: of other {', '.join(different)}; not comparable")
        return 2
    slower = compare(rows, before["rows"])
    print(f"{len(slower)} of {len(rows)} slower than in {options.against}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
