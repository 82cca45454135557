#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks the CUDA kernels in every way that tools/mutations.py knows, one at a time, and asks whether tests/device sees it
in the emulator's modes fast, asan and race::

    python tools/mutate.py [--only scan.cuh] [--rule __syncthreads] [--quick] [--jobs 2] [--list]

Prints what each mode caught. Ends with status 1 where a mutant survives all of them without an explanation in EXPLAINED, and
where an explanation has no mutant any more: what can be deleted is either missing a test or should be deleted.
"""

import argparse
import os
import re
import shutil
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/emu"), str(ROOT / "tools")]
from modes import MODES, Builder, compiler, needs, run  # noqa: E402
from mutations import Mutation, mutations  # noqa: E402

KERNELS = ROOT / "csrc/cuda"
CHECK = ROOT / "tests/device/device_check.cpp"
SEEDS = {"race": 2, "fast": 3, "asan": 1}  # the one that sees most first, the slowest to compile last

# Survivors that are right, by file, rule and source line: why nothing can show them.
EXPLAINED: dict[tuple[str, str, str], str] = {
    ("screen_tile.cuh", "other lane", "sum += __shfl_xor_sync(kAllLanes, sum, 2);"): "both lanes of a pair hold its sum",
}

# Cases that meet a source, by words of their names; any other source is met by the cases named after it, or by all.
WORDS = {
    "scan_bits": ["bits/bits"],
    "scan_dot": ["inner_product f", "cosine f", "inner_product bf", "cosine bf"],
    "scan_integer": ["i8/i8", "u8/u8"],
    "scan_l1": ["cityblock"],
    "scan_l2": ["euclidean f", "euclidean bf"],
    "scan_linf": ["chebyshev"],
    "prepare": ["pairwise"],
    "knn": ["knn", "screen"],
    "screen_find": ["screen"],
    "screen_rank": ["screen"],
    **{
        walks: ["graph"]
        for walks in ("search_graph", "walk", "walk_block", "shared_walk", "pool", "row_keys", "filter_words")
    },
    **{
        builds: ["descent", "finish"]
        for builds in ("meet", "row_queries", "nearest_lists", "nn_groups", "nn_leaves", "nn_descent", "nn_descent_prune")
    },
    "reach": ["finish"],
    "build_graph": ["finish"],
}
LARGE = "-m=4100"  # not the cases that take seconds
NAMED = ("pairwise", "screen", "radius", "select_k", "first_nonfinite")


# What a report begins with, the telling words first.
REPORTS = (
    r"RACE: (?:UNINITIALISED|OUT-OF-BOUNDS|[\w-]+)",
    r"AddressSanitizer: [\w-]+",
    r"runtime error: [a-z -]{0,40}",
    r"\b[A-Z_-]{4,}(?=:| suspected)",
)


@dataclass
class Verdict:
    file: Path
    mutation: Mutation
    source: str  # the line
    caught: dict[str, str] = field(default_factory=dict)  # mode -> by what
    stillborn: str = ""  # the compiler's error

    @property
    def key(self) -> tuple[str, str, str]:
        return self.file.name, self.mutation.rule, self.source

    def __str__(self) -> str:
        how = self.stillborn or ", ".join(f"{mode} {what}" for mode, what in self.caught.items()) or EXPLAINED.get(self.key)
        return f"{self.file.name}:{self.mutation.line} {self.mutation.rule}: {how or 'SURVIVES'} | {self.source}"


class Bench:
    """The unmutated objects of every mode, and the means to swap some of them for a mutant's."""

    def __init__(self, folder: Path, quick: bool):
        self.folder = folder
        self.quick = quick
        self.builder = Builder(folder / "base", [ROOT / "csrc"])
        self.kernels = sorted(KERNELS.glob("*.cu"))
        self.objects = {mode: self.builder.objects(mode, self.kernels, [CHECK]) for mode in MODES}
        self.sources = {mode: [needs(o)[0] for o in objects] for mode, objects in self.objects.items()}
        for mode, objects in self.objects.items():
            if what := self.see(self.builder.link(folder / f"unbroken-{mode}", mode, objects), mode, [LARGE]):
                sys.exit(f"mutate: the unbroken kernels already fail, {mode} says {what}")

    def dependents(self, file: Path) -> list[Path]:
        """Kernel sources that are made from this file, the quickest to compile first."""
        made = dict(zip(self.sources["asan"], self.objects["asan"], strict=True))
        users = [source for source in self.kernels if file in needs(made[source])]
        return sorted(users, key=lambda source: made[source].stat().st_size)

    def try_mutant(self, verdict: Verdict, number: int) -> Verdict:
        """The first mode meets the mutant in one source after another until it shows; the other modes there, or in all."""
        folder = self.folder / f"mutant{number}"
        sources = self.dependents(verdict.file)
        first, *others = SEEDS
        try:
            for source in sources:
                if what := self.see(self.build(folder, verdict, first, [source]), first, words_for([source])):
                    verdict.caught[first] = what
                    sources = [source]
                    break
            for mode in others:
                if self.quick and verdict.caught:
                    break
                if what := self.see(self.build(folder, verdict, mode, sources), mode, words_for(sources)):
                    verdict.caught[mode] = what
        except RuntimeError as error:
            verdict.stillborn = "does not compile: " + next(iter(re.findall(r"error: (.*)", str(error))), "")
        shutil.rmtree(folder, ignore_errors=True)
        return verdict

    def build(self, folder: Path, verdict: Verdict, mode: str, sources: list[Path]) -> Path:
        mutated = folder / "cuda" / verdict.file.name
        mutated.parent.mkdir(parents=True, exist_ok=True)
        m, text = verdict.mutation, verdict.file.read_text()
        mutated.write_text(text[: m.start] + m.text + text[m.end :])
        builder = Builder(folder, [folder, ROOT / "csrc"])
        flags = f"{MODES[mode].kernels} -w -x c++"
        mine = [builder.object(mutated if s == verdict.file else s, flags) for s in sources]
        theirs = [o for s, o in zip(self.sources[mode], self.objects[mode], strict=True) if s not in sources]
        (folder / mode).unlink(missing_ok=True)  # of another source
        return builder.link(folder / mode, mode, mine + theirs)  # of a function in several objects the first one's is taken

    @staticmethod
    def see(program: Path, mode: str, words: list[str]) -> str:
        settings = {"DEVICE_CHECK_FAILURES": 1, "EMU_BUDGET": 2_000_000}
        status, output = run(program, str(SEEDS[mode]), "1", *words, timeout=240, **settings)
        if status == 124:
            return "TIMEOUT"
        found = [m[0] for report in REPORTS if (m := re.search(report, output))]
        return (found[0] if found else f"status {status}") if status else ""


def words_for(sources: list[Path]) -> list[str]:
    if len(sources) > 1:
        return [LARGE]
    stem = sources[0].stem
    return [LARGE, *WORDS.get(stem, [stem] if stem in NAMED else [])]


def all_mutants(only: str, rule: str) -> list[Verdict]:
    files = sorted([*KERNELS.glob("*.cu"), *KERNELS.glob("*.cuh")])
    wanted = [f for f in files if only in f.name]
    found = [Verdict(f, m, line_of(f, m)) for f in wanted for m in mutations(f.read_text())]
    return [v for v in found if rule in v.mutation.rule]


def line_of(file: Path, m: Mutation) -> str:
    return file.read_text().splitlines()[m.line - 1].strip()


def table(verdicts: list[Verdict]) -> str:
    rows = defaultdict(list)
    for v in verdicts:
        rows[v.mutation.rule].append(v)
    rows["all"] = verdicts
    heads = ["n", *SEEDS, "any", "survive", "explained", "stillborn"]
    lines = [f"{'rule':32}" + "".join(f"{head:>10}" for head in heads)]
    for rule, group in rows.items():
        alive = [v for v in group if not v.caught and not v.stillborn]
        explained = sum(v.key in EXPLAINED for v in alive)
        counts = [len(group), *(sum(mode in v.caught for v in group) for mode in SEEDS), sum(bool(v.caught) for v in group)]
        counts += [len(alive) - explained, explained, sum(bool(v.stillborn) for v in group)]
        lines.append(f"{rule:32}" + "".join(f"{count:10}" for count in counts))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="files whose names hold this")
    parser.add_argument("--rule", default="", help="rules whose names hold this")
    parser.add_argument("--quick", action="store_true", help="ask no further mode once one has seen a mutant")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=ROOT / "build/mutate")
    parser.add_argument("--list", action="store_true", help="print the mutants and stop")
    options = parser.parse_args()
    verdicts = all_mutants(options.only, options.rule)
    if options.list:
        print("\n".join(f"{v.file.name}:{v.mutation.line} {v.mutation.rule} | {v.source}" for v in verdicts))
        return 0
    if compiler() is None:
        sys.exit("mutate: needs g++ (Debian: apt install g++)")
    bench = Bench(options.folder, options.quick)
    with ThreadPoolExecutor(options.jobs) as pool:
        for number, verdict in enumerate(pool.map(bench.try_mutant, verdicts, range(len(verdicts))), 1):
            print(f"[{number}/{len(verdicts)}] {verdict}", flush=True)
    print(table(verdicts))
    survivors = [v for v in verdicts if not v.caught and not v.stillborn and v.key not in EXPLAINED]
    stale = set(EXPLAINED) - {v.key for v in verdicts} if not options.only and not options.rule else set()
    for v in survivors:
        print(f"survives: {v}")
    for key in stale:
        print("explained, but there is no such mutant:", *key)
    return 1 if survivors or stale else 0


if __name__ == "__main__":
    sys.exit(main())
