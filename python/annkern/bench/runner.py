# SPDX-License-Identifier: Apache-2.0
"""Builds methods, each in a process of its own, and lets them take turns: a noisy minute of the machine hits all alike.

Methods whose indexes fit into memory together make a wave. In a wave one method is built after another while the rest sleep;
then repeat by repeat, setting by setting, each method is measured once, on one thread and on all. What the journal already
holds is not measured again.
"""

from __future__ import annotations

import contextlib
import fcntl
import fnmatch
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .datasets import Dataset, unknown
from .journal import Journal, Line, same_work
from .machine import about, annkern_version, memory_available, state
from .peers import PEERS
from .peers.base import Method, Setting, Shape
from .process import Failed, WorkerProcess
from .recall import RECALL_FIELDS, Judge

SETTLE_SECONDS = 0.05  # OpenMP threads spin for a while after a call


@dataclass
class Options:
    ks: Sequence[int] = (10,)  # each is measured on the same builds
    quick: bool = False
    peers: Sequence[str] = ()
    only: str = "*"
    repeats: int = 3
    seconds: float = 0.7  # a measurement, about
    threads: int = 2
    time_limit: float = 900.0  # a build, or one measurement
    memory_limit: int = 0  # bytes a method; 0: half of what is available
    retry_failed: bool = False
    locks: Sequence[str] = ()  # files locked one after another around each build and each measurement


@dataclass
class Job:
    """A method, what is left to measure of it, and its process while it lives."""

    method: Method
    version: str
    sweeps: dict[int, Sequence[Setting]]  # of each k
    points: list[Line] = field(default_factory=list)
    worker: WorkerProcess | None = None


class Listener:
    """What a run reports. The command line draws progress bars."""

    def say(self, text: str) -> None:
        print(text, flush=True)

    def total(self, steps: int) -> None:
        """So many builds and measurements are to come."""

    def step(self, what: str, done: int = 0) -> None:
        """What is under way, and how many steps are over since the last call."""


def chosen_peers(names: Sequence[str]) -> list[str]:
    """annkern and those named; all of them for "all"."""
    names = [name.strip() for name in names if name.strip()]
    if names == ["all"]:
        return list(PEERS)
    for name in names:
        if name not in PEERS and name != "none":
            raise ValueError(unknown("peer", name, [*PEERS, "all", "none"]))
    return list(dict.fromkeys(["annkern", *(name for name in names if name != "none")]))


class Run:
    def __init__(self, dataset: Dataset, options: Options, journal: Journal, listener: Listener) -> None:
        self.dataset, self.options, self.journal, self.listener = dataset, options, journal, listener
        for k in options.ks:
            if not 1 <= k <= dataset.n:
                raise ValueError(f"k: expected 1 to the {dataset.n} rows of {dataset.name}, got {k}")
        base, queries = dataset.vectors()
        self.judges = {k: Judge(base, queries, dataset.truth(k), k, dataset.metric) for k in options.ks}
        self.machine = about(options.threads)
        self.memory = int(memory_available() * 0.7)
        self.memory_limit = options.memory_limit or int(memory_available() * 0.5)
        done = [line for line in journal.lines if line["kind"] == "point"]
        self.done = {same_work(line) for line in done}
        self.recalls = {self.recall_key(line): {name: line[name] for name in RECALL_FIELDS if name in line} for line in done}
        failures = [line for line in journal.lines if line["kind"] == "failure" and not self.has_more_room(line)]
        self.asked: list[Job] = []
        self.failed = {(line["method"], line["version"], line["dataset"], line["n"]): line["reason"] for line in failures}

    def has_more_room(self, failure: Line) -> bool:
        """Whether a limit ended a method that is now larger. That of memory counts where it is given: half of what is free
        is another number each time."""
        limits = {"time_limit": self.options.time_limit, "memory_limit": self.options.memory_limit}
        return any(name in failure and limit > failure[name] for name, limit in limits.items())

    def go(self) -> None:
        jobs = self.asked = self.jobs()
        left = [job for job in jobs if job.points]
        points = sum(len(job.points) for job in left)
        self.listener.total(points + len(left))
        if not left:
            self.listener.say("nothing is left to measure")
            return
        settings = vars(self.options) | {"locks": len(self.options.locks)}
        facts = {"machine": self.machine, "dataset": self.dataset.facts(), "options": settings}
        self.journal.add("run", run=self.run_id(), **facts, **state())
        for wave in self.waves(left):
            try:
                self.measure(wave)
            finally:
                for job in wave:
                    if job.worker:
                        job.worker.end()

    def run_id(self) -> str:
        return f"{self.machine['id']}-{sum(line['kind'] == 'run' for line in self.journal.lines) + 1}"

    def jobs(self) -> list[Job]:
        """Every method that is wanted and here. A line says what is not."""
        jobs: list[Job] = []
        for name in chosen_peers(self.options.peers):
            peer = PEERS[name]
            reason = peer.missing()
            if reason:
                self.listener.say(f"skipped: {reason}")
                if not any(line["kind"] == "skip" and line["peer"] == name for line in self.journal.lines):
                    self.journal.add("skip", peer=name, reason=reason)
                continue
            jobs += self.wanted(name)
        if not jobs:
            raise ValueError(f"--only: no method of these peers is named like {self.options.only!r}")
        for job in jobs:
            failed = self.failed.get((job.method.name, job.version, self.dataset.name, self.dataset.n))
            if failed and not self.options.retry_failed:
                self.listener.say(f"{job.method.name} failed before ({failed}); --retry-failed tries it again")
                continue
            job.points = [point for point in self.points(job) if same_work(point) not in self.done]
        return jobs

    def wanted(self, name: str) -> list[Job]:
        """The methods of a peer. A quick run takes the quick ones of those that are named; where a peer has none of those,
        all that are named, unless nothing names it."""
        peer, options = PEERS[name], self.options
        version = annkern_version() if name == "annkern" else peer.version()
        methods: dict[str, Job] = {}
        for k in options.ks:
            for method in peer.methods(Shape(self.dataset.n, self.dataset.d, k, self.dataset.metric)):
                job = methods.setdefault(method.name, Job(method, version, {}))
                job.sweeps[k] = method.swept(options.quick)
        only = [pattern.strip() for pattern in options.only.split(";")]
        named = [job for job in methods.values() if any(fnmatch.fnmatchcase(job.method.name, pattern) for pattern in only)]
        quick = [job for job in named if job.method.quick]
        if not options.quick or (named and not quick and (only != ["*"] or name in options.peers)):
            return named
        if named and not quick:
            self.listener.say(f"--quick leaves {name} out; --peers {name} measures it")
        return quick

    def measured(self) -> bool:
        """Whether the journal holds a point of the methods that were asked for, of this run or of an earlier one."""
        asked = {(job.method.name, job.version) for job in self.asked}
        here = self.machine["id"], self.dataset.name, self.dataset.n
        points = (line for line in self.journal.lines if line["kind"] == "point")
        return any(
            (line["method"], line["version"]) in asked and (line["machine"], line["dataset"], line["n"]) == here
            for line in points
        )

    def facts(self, job: Job) -> Line:
        """What says which method on which vectors and machine a line is about."""
        return {
            "machine": self.machine["id"],
            "dataset": self.dataset.name,
            "n": self.dataset.n,
            "d": self.dataset.d,
            "peer": job.method.peer,
            "method": job.method.name,
            "version": job.version,
        }

    def points(self, job: Job) -> Iterator[Line]:
        swept = [(k, setting) for k, settings in job.sweeps.items() for setting in settings]
        for repeat in range(self.options.repeats):
            for k, setting in swept:
                for threads in sorted({1, self.options.threads}):
                    yield self.facts(job) | {"k": k, "setting": setting, "threads": threads, "repeat": repeat}

    def waves(self, jobs: list[Job]) -> Iterator[list[Job]]:
        """Builds until the memory is used, hands the built ones over, and goes on."""
        wave: list[Job] = []
        held = 0
        guess = 3 * 4 * self.dataset.n * self.dataset.d + (300 << 20)
        for job in jobs:
            if wave and held + guess > self.memory:
                yield wave
                wave, held = [], 0
            if self.build(job):
                assert job.worker is not None
                wave.append(job)
                held += job.worker.resident()
        if wave:
            yield wave

    def build(self, job: Job) -> bool:
        self.listener.step(f"build {job.method.name}")
        job.worker = WorkerProcess(self.options.threads, self.memory_limit)
        searcher = PEERS[job.method.peer].searcher
        request = {
            "do": "build",
            "searcher": f"{searcher.__module__}:{searcher.__qualname__}",
            "params": job.method.build,
            "metric": self.dataset.metric,
            "threads": self.options.threads,
            "base": str(self.dataset.base_path),
            "queries": str(self.dataset.queries_path),
        }
        answer = self.ask(job, request, "build")
        self.listener.step(f"build {job.method.name}", 1 if answer else 1 + len(job.points))
        if answer is None:
            return False
        fields = {"seconds": answer["seconds"], "peak": answer["peak"], "bytes": answer["bytes"]}
        self.journal.add("build", run=self.run_of(), **self.facts(job), params=job.method.build, **fields)
        return True

    def run_of(self) -> str:
        return str(next(line["run"] for line in reversed(self.journal.lines) if line["kind"] == "run"))

    def ask(self, job: Job, request: Line, stage: str) -> Line | None:
        """None where the method failed, which is written down."""
        assert job.worker is not None
        try:
            with alone(self.options.locks):
                return job.worker.ask(request, self.options.time_limit)
        except Failed as error:
            job.worker = None
            self.listener.say(f"{job.method.name} failed in {stage}: {error}")
            line = self.facts(job) | {"stage": stage, "reason": str(error)} | error.limits
            self.journal.add("failure", run=self.run_of(), **line)
            return None

    def measure(self, wave: list[Job]) -> None:
        """Turn by turn: the first point that is left of each method, then the next of each."""
        turns = {id(job): 0 for job in wave}
        longest = max((len(job.points) for job in wave), default=0)
        for _ in range(longest):
            for job in wave:
                if job.worker is None or turns[id(job)] >= len(job.points):
                    continue
                point = job.points[turns[id(job)]]
                turns[id(job)] += 1
                time.sleep(SETTLE_SECONDS)
                self.listener.step(f"{job.method.name} k {point['k']} {describe(point['setting'])}")
                done = self.measure_one(job, point)
                self.listener.step(job.method.name, 1 if done else 1 + len(job.points) - turns[id(job)])

    def measure_one(self, job: Job, point: Line) -> bool:
        key = self.recall_key(point)
        request = {
            "do": "measure",
            "setting": point["setting"],
            "threads": point["threads"],
            "k": point["k"],
            "seconds": self.options.seconds,
            "want_ids": key not in self.recalls,
            "singles": point["threads"] == 1,
        }
        answer = self.ask(job, request, f"search k {point['k']} {describe(point['setting'])}")
        if answer is None:
            return False
        ids = answer.pop("ids", None)
        if ids is not None:
            self.recalls[key] = self.judges[point["k"]].recalls(ids)
        self.journal.add("point", run=self.run_of(), **point, **self.recalls[key], **answer)
        return True

    @staticmethod
    def recall_key(point: Line) -> tuple[Any, ...]:
        """The repeats of a setting share one recall."""
        return same_work({**point, "repeat": None})


@contextlib.contextmanager
def alone(files: Sequence[str]) -> Iterator[None]:
    """Holds a lock (flock) on each file: other jobs of a shared machine that take them too keep still meanwhile."""
    with contextlib.ExitStack() as stack:
        for file in files:
            fcntl.flock(stack.enter_context(open(file, "a")), fcntl.LOCK_EX)
        yield


def describe(setting: dict[str, Any]) -> str:
    return " ".join(f"{name} {value}" for name, value in setting.items())
