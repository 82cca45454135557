#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks the CUDA kernels in every way that tools/mutations.py knows, one at a time, and asks whether tests/device sees it
in the emulator's modes race, fast and asan::

    python tools/mutate.py [--only scan.cuh] [--rule __syncthreads] [--quick] [--jobs 2] [--list] [--known] [--report FILE]

One program a mode holds all mutants, and EMU_MUTANT turns one on; those that are constants to the compiler get programs of
their own. Each mutant meets the cases that come by it. Verdicts are kept in the folder's journal.jsonl, so that a run that
was stopped goes on: a mutant that was caught stays so until its file changes, one that was not until any kernel, check or
part of the emulator does. --again forgets them.

Prints what each mode caught. Ends with status 1 where a mutant survives all of them without an explanation in
tools/mutants_explained.py, and where an explanation has no mutant any more: what can be deleted is either missing a test or
should be deleted.
"""

import argparse
import hashlib
import json
import os
import re
import resource
import shlex
import shutil
import sys
import threading
import time
import zlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/emu"), str(ROOT / "tests/device"), str(ROOT / "tools")]
from mutants_explained import EXPLAINED  # noqa: E402
from mutation_report import page, rows_of  # noqa: E402

from build import HOST, KERNELS  # noqa: E402
from modes import EMULATOR, MODES, Builder, compiler, needs, run  # noqa: E402
from mutations import Mutation, apply, mutations  # noqa: E402

CHECKS = ROOT / "tests/device"
SEEDS = {"race": 2, "fast": 3, "asan": 1}  # the one that sees most first
LARGE = "m=4100"  # cases for the fast mode alone
SLOW = 1.0  # seconds of a case: for the mutants that no quick one sees
NUMBERS = 256  # of a file
# Seconds of the processor, not of the clock: the machine may be busy. 152 is SIGXCPU.
LIMITED = 'ulimit -t "$0"; "$@"; status=$?; [ $status = 152 ] && exit 124; exit $status'
STILLBORN = "does not compile"
TRACE = "trace"  # the fast mode again, in a program that tells which mutants a case comes by
MODE_OF = {TRACE: "fast"}

# What a report begins with, the telling words first.
REPORTS = (
    r"RACE: (?:UNINITIALISED|OUT-OF-BOUNDS|[\w-]+)",
    r"AddressSanitizer: [\w-]+",
    r"runtime error: [a-z -]{0,40}",
    r"\b[A-Z_-]{4,}(?=:| suspected)",
)


def digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:20]


@dataclass
class Mutant:
    file: Path
    text: str  # of the file
    mutation: Mutation
    number: int
    asked: dict[str, str] = field(default_factory=dict)  # mode -> what it said; nothing where it saw nothing

    @cached_property
    def source(self) -> str:
        return self.text.splitlines()[self.mutation.line - 1].strip()

    @cached_property
    def identity(self) -> str:
        m = self.mutation
        return digest(self.file.name, self.text, m.rule, str(m.start), str(m.end), m.before, m.after)

    @property
    def key(self) -> tuple[str, str, str]:
        return self.file.name, self.mutation.rule, self.source

    @property
    def place(self) -> str:
        return f"{self.file.name}:{self.mutation.line} {self.mutation.rule}"

    @property
    def stillborn(self) -> bool:
        return any(what.startswith(STILLBORN) for what in self.asked.values())

    @property
    def caught(self) -> dict[str, str]:
        return {} if self.stillborn else {mode: what for mode, what in self.asked.items() if what}

    @property
    def survives(self) -> bool:
        return len(self.asked) == len(SEEDS) and not any(self.asked.values())

    def __str__(self) -> str:
        how = ", ".join(f"{mode} {what}" for mode, what in self.asked.items() if what) or EXPLAINED.get(self.key, "SURVIVES")
        return f"{self.place}: {how} | {self.source}"


def copy_in(folder: Path, file: Path) -> Path:
    """Where a folder of mutants holds its copy of a kernel's file, so that includes find it before the tree's."""
    return folder / "cuda" / file.relative_to(KERNELS)


def all_mutants() -> list[Mutant]:
    mutants, taken = [], set()
    for file in sorted([*KERNELS.rglob("*.cu"), *KERNELS.rglob("*.cuh")], key=lambda file: file.name):
        first = zlib.crc32(file.name.encode()) % 65536  # other files' mutants keep their numbers, and so their objects
        while first in taken:
            first += 1
        taken.add(first)
        text = file.read_text()
        mutants += [Mutant(file, text, m, NUMBERS * first + i) for i, m in enumerate(mutations(text))]
    return mutants


class Journal:
    """The verdicts so far, a line each."""

    def __init__(self, path: Path, again: bool):
        folders = (KERNELS, CHECKS, EMULATOR)
        self.world = digest(
            *(f.read_text() for folder in folders for f in sorted(folder.rglob("*.*")) if f.suffix != ".pyc")
        )
        self.path = path
        self.lock = threading.Lock()
        self.entries = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if again:
            path.unlink(missing_ok=True)
        for line in path.read_text().splitlines() if path.exists() else []:
            entry = json.loads(line)
            self.entries[entry["mutant"], entry["mode"]] = entry

    def recall(self, mutant: str, mode: str) -> str | None:
        entry = self.entries.get((mutant, mode))
        return entry["what"] if entry and (entry["what"] or entry["world"] == self.world) else None

    def record(self, mutant: str, mode: str, what: str, seconds: float, place: str) -> None:
        entry = {"mutant": mutant, "mode": mode, "what": what, "seconds": seconds, "world": self.world, "place": place}
        with self.lock, self.path.open("a") as out:
            self.entries[mutant, mode] = entry
            print(json.dumps(entry), file=out)

    def seconds(self, mutants: list[Mutant]) -> float:
        return sum(self.entries[m.identity, mode]["seconds"] for m in mutants for mode in m.asked)


class Bench:
    """A program a mode that holds all mutants, and the means to build others for those that need one of their own."""

    def __init__(self, mutants: list[Mutant], journal: Journal, options: argparse.Namespace):
        self.mutants = mutants
        self.journal = journal
        self.folder = options.folder
        self.launcher = shlex.split(options.launcher)
        self.jobs = options.jobs
        self.quick = options.quick
        self.modes = options.modes
        self.refused = self.folder / "refused.json"  # so that another start need not compile to find out
        refused = set(json.loads(self.refused.read_text())) if self.refused.exists() else set()
        self.apart = {m.number for m in mutants if options.apart or not m.mutation.switched or m.identity in refused}
        self.texts = {f: f.read_text() for f in KERNELS.rglob("*.*")} | {m.file: m.text for m in mutants}
        self.kernels = [copy_in(self.folder, f) for f in sorted(KERNELS.rglob("*.cu"))]
        self.objects = {mode: self.compile_all(mode) for mode in (TRACE, *self.modes)}
        self.programs = {
            mode: self.builder(self.folder, mode).link(self.folder / mode, MODE_OF.get(mode, mode), objects)
            for mode, objects in self.objects.items()
        }
        self.cases = self.trace()
        self.seconds = {mode: self.measure(mode) for mode in self.modes}

    def builder(self, folder: Path, mode: str) -> Builder:
        trace = " -DMUTANT_TRACE" if mode == TRACE else ""
        command = f"{shlex.join(self.launcher)} g++ -w -include {shlex.quote(str(CHECKS / 'mutant.h'))}{trace}"
        builder = Builder(folder, [folder, ROOT / "csrc"], command.strip())
        builder.jobs = self.jobs
        return builder

    def compile_all(self, mode: str) -> list[Path]:
        """The objects of a mode; mutations that do not compile as a switch are put apart."""
        while True:
            self.write_sources()
            try:
                host = [CHECKS / "mutant.cpp", *HOST]
                return self.builder(self.folder, mode).objects(MODE_OF.get(mode, mode), self.kernels, host)
            except RuntimeError as error:
                blamed = set(re.findall(r"cuda/(?:\w+/)*([\w.]+):(\d+):\d+: error", str(error)))
                refused = [m for m in self.mutants if (m.file.name, str(m.mutation.line)) in blamed]
                before = len(self.apart)
                self.apart |= {m.number for m in refused}
                if len(self.apart) == before:
                    raise
                switched = [m.identity for m in self.mutants if m.number in self.apart and m.mutation.switched]
                self.refused.write_text(json.dumps(switched))

    def write_sources(self) -> None:
        for file, text in self.texts.items():
            mine = {m.mutation: m.number for m in self.mutants if m.file == file and m.number not in self.apart}
            write_if_new(copy_in(self.folder, file), apply(text, mine))

    def measure(self, mode: str) -> dict[str, float]:
        """Seconds that a case takes in the programs with nothing broken, none of which may fail."""
        program, kept = self.programs[mode], self.folder / f"seconds-{mode}.json"
        if not is_newer(kept, program):
            seconds = {}
            for name in run(program, "0")[1].splitlines():
                if LARGE in name and mode != "fast":
                    continue
                start = cpu_seconds()
                if what := self.see(program, [name], SEEDS[mode], limit=600):
                    sys.exit(f"mutate: the unbroken kernels already fail, {mode} says {what} in {name}")
                seconds[name] = (cpu_seconds() - start) / SEEDS[mode]
            kept.write_text(json.dumps(seconds, indent=0))
        return json.loads(kept.read_text())

    def trace(self) -> dict[int, list[str]]:
        """For each mutant in the programs the cases that come by it."""
        program, kept = self.programs[TRACE], self.folder / "cases.json"
        if not is_newer(kept, program):
            cases = {}
            for name in run(program, "0")[1].splitlines():
                _, output = run(*self.launcher, program, "1", "1", name, timeout=None)
                cases[name] = [int(number) for number in re.findall(r"^reached (\d+)$", output, flags=re.M)]
            kept.write_text(json.dumps(cases))
        tests_of_line = defaultdict(list)
        for name, numbers in json.loads(kept.read_text()).items():
            for number in numbers:
                tests_of_line[number].append(name)
        return tests_of_line

    def cases_of(self, mutant: Mutant) -> list[str]:
        """Those of its whole file, for one that is not in the programs."""
        numbers = {mutant.number}
        if mutant.number in self.apart:
            numbers = {m.number for m in self.mutants if m.file == mutant.file}
        return list(dict.fromkeys(name for number in sorted(numbers) for name in self.cases[number]))

    def judge(self, mutant: Mutant) -> Mutant:
        for mode in self.modes:
            if self.quick and any(mutant.asked.values()):
                break
            what = self.journal.recall(mutant.identity, mode)
            if what is None:
                start = time.monotonic()
                what = self.ask(mutant, mode)
                self.journal.record(mutant.identity, mode, what, time.monotonic() - start, mutant.place)
            mutant.asked[mode] = what
        return mutant

    def ask(self, mutant: Mutant, mode: str) -> str:
        """What a mode says of a mutant; one apart is met in one source after another until it shows."""
        cases = [name for name in self.cases_of(mutant) if name in self.seconds[mode]]
        if mutant.number not in self.apart:
            return self.see_any(self.programs[mode], mode, cases, mutant.number)
        try:
            for source in self.dependents(mutant.file):
                if what := self.see_any(self.build_apart(mutant, mode, source), mode, cases):
                    return what
        except RuntimeError as error:
            return f"{STILLBORN}: {next(iter(re.findall(r'error: (.*)', str(error))), '')}"
        finally:
            shutil.rmtree(self.folder / f"apart{mutant.number}", ignore_errors=True)
        return ""

    def dependents(self, file: Path) -> list[Path]:
        """Kernel sources that are made from this file, the quickest to compile first."""
        made = {needs(o)[0].name: o for o in self.objects[TRACE]}
        users = [s for s in self.kernels if copy_in(self.folder, file) in needs(made[s.name])]
        return sorted(users, key=lambda source: made[source.name].stat().st_size)

    def build_apart(self, mutant: Mutant, mode: str, source: Path) -> Path:
        folder = self.folder / f"apart{mutant.number}"
        mutated = copy_in(folder, mutant.file)
        write_if_new(mutated, apply(mutant.text, {mutant.mutation: None}))
        builder = self.builder(folder, mode)
        path = mutated if source.name == mutant.file.name else KERNELS / source.relative_to(self.folder / "cuda")
        mine = builder.object(path, f"{MODES[mode].kernels} -x c++")
        theirs = [o for o in self.objects[mode] if needs(o)[0] != source]
        (folder / mode).unlink(missing_ok=True)  # of another source
        return builder.link(folder / mode, mode, [mine, *theirs])  # of equal functions the first one's is taken

    def see_any(self, program: Path, mode: str, cases: list[str], number: int = -1) -> str:
        """The quick cases first, the slow ones with one seed."""
        for slow, seeds in ((False, SEEDS[mode]), (True, 1)):
            some = [name for name in cases if (self.seconds[mode][name] > SLOW) == slow]
            limit = 10 + 4 * seeds * sum(self.seconds[mode][name] for name in some)  # beyond it is a mutant that never ends
            if some and (what := self.see(program, some, seeds, number, int(limit))):
                return what
        return ""

    def see(self, program: Path, cases: list[str], seeds: int, number: int = -1, limit: int = 600) -> str:
        settings = {"DEVICE_CHECK_FAILURES": 1, "EMU_BUDGET": 2_000_000, "EMU_MUTANT": number}
        command = [*self.launcher, "sh", "-c", LIMITED, str(limit), program, str(seeds), "1", *cases]
        status, output = run(*command, timeout=None, **settings)
        if status == 124:
            return "ENDLESS"
        found = [m[0] for report in REPORTS if (m := re.search(report, output))]
        return (found[0] if found else f"status {status}") if status else ""


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def is_newer(path: Path, than: Path) -> bool:
    return path.exists() and path.stat().st_mtime >= than.stat().st_mtime


def write_if_new(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def main() -> int:
    options = parsed()
    mutants = all_mutants()
    wanted = [m for m in mutants if options.only in m.file.name and options.rule in m.mutation.rule]
    if options.list:
        print("\n".join(f"{m.place} | {m.source}" for m in wanted))
        return 0
    journal = Journal(options.folder / "journal.jsonl", options.again)
    if options.known:
        for m in wanted:
            m.asked = {mode: what for mode in SEEDS if (what := journal.recall(m.identity, mode)) is not None}
    elif compiler() is None:
        sys.exit("mutate: needs g++ (Debian: apt install g++)")
    else:
        bench = Bench(mutants, journal, options)
        with ThreadPoolExecutor(options.jobs) as pool:
            for number, m in enumerate(pool.map(bench.judge, wanted), 1):
                print(f"[{number}/{len(wanted)}] {m}", flush=True)
    rows, seconds = rows_of(wanted, list(SEEDS)), journal.seconds(wanted)
    print("\n".join(f"{row[0]:32}" + "".join(f"{cell:>10}" for cell in row[1:]) for row in rows))
    print(f"{seconds / 60:.0f} minutes of runs")
    if options.report:
        options.report.write_text(page(wanted, list(SEEDS), seconds))
    survivors = [m for m in wanted if m.survives and m.key not in EXPLAINED]
    stale = set(EXPLAINED) - {m.key for m in mutants}
    for m in survivors:
        print(f"survives: {m}")
    for key in stale:
        print("explained, but there is no such mutant:", *key)
    return 1 if survivors or stale else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="files whose names hold this")
    parser.add_argument("--rule", default="", help="rules whose names hold this")
    parser.add_argument("--modes", nargs="+", choices=list(SEEDS), default=list(SEEDS))
    parser.add_argument("--quick", action="store_true", help="ask no further mode once one has seen a mutant")
    parser.add_argument("--apart", action="store_true", help="a program of its own for every mutant: to check the switches")
    parser.add_argument("--again", action="store_true", help="forget the verdicts so far")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--launcher", default="", help="a command that runs each compilation and each program")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/mutate")
    parser.add_argument("--known", action="store_true", help="run nothing: the verdicts so far")
    parser.add_argument("--report", type=Path, help="write the table and the explanations there, as Markdown")
    parser.add_argument("--list", action="store_true", help="print the mutants and stop")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
