# SPDX-License-Identifier: Apache-2.0
"""From lines to what they say: the best of each point's repeats, Pareto fronts, queries per second at a recall."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .journal import Line

RECALLS = (0.90, 0.95, 0.99)
NEAR = 0.1  # a point stands for a recall that it exceeds by no more than this share of what is left to 1


@dataclass
class Reading:
    """Queries per second at a recall. `recall` is above the one that was asked for where a method has no point as low: it
    could be faster there, and is not known to be."""

    qps: float
    recall: float
    method: str

    def beyond(self, recall: float) -> bool:
        return self.recall > recall + NEAR * (1 - recall)


@dataclass
class Ratio:
    """annkern's best over the best peer's."""

    ours: Reading
    theirs: Reading

    @property
    def value(self) -> float:
        return self.ours.qps / self.theirs.qps

    @property
    def bound(self) -> str:
        """Which way it is off where only one of them was read at a higher recall, and would be as fast or faster lower."""
        if self.ours.beyond(self.theirs.recall):
            return "at least "
        return "at most " if self.theirs.beyond(self.ours.recall) else ""


@dataclass
class Point:
    setting: dict[str, Any]
    threads: int
    recall: float  # of the queries that no setting was chosen by
    chosen_by: float  # recall of the others, which settings are chosen by
    qps: float  # of the best repeat
    spread: float  # the worst repeat's share of time more
    repeats: int
    queries: int
    latency: dict[str, float]  # seconds: p50, p95, p99, each the best repeat's


@dataclass
class Curve:
    """One method on one set of vectors."""

    method: str
    peer: str
    version: str
    points: list[Point] = field(default_factory=list)
    build_seconds: float | None = None
    peak: int | None = None
    bytes: int | None = None
    params: dict[str, Any] = field(default_factory=dict)  # of the build

    @property
    def ours(self) -> bool:
        return self.peer == "annkern"

    def front(self, threads: int) -> list[Point]:
        """Of the settings that are best by one half of the queries, those that no other exceeds by the other half in both
        recall and queries per second; by recall."""
        chosen = pareto([p for p in self.points if p.threads == threads], lambda point: point.chosen_by)
        return pareto(chosen, lambda point: point.recall)

    def at(self, recall: float, threads: int) -> Reading | None:
        """On the front, log-linear between its points. None where no point is that good."""
        front = self.front(threads)
        above = next((i for i, point in enumerate(front) if point.recall >= recall), None)
        if above is None:
            return None
        high = front[above]
        if above == 0 or high.recall == recall:
            return Reading(high.qps, high.recall, self.method)
        low = front[above - 1]
        share = (recall - low.recall) / (high.recall - low.recall)
        return Reading(math.exp((1 - share) * math.log(low.qps) + share * math.log(high.qps)), recall, self.method)

    def qps_at(self, recall: float, threads: int) -> float | None:
        found = self.at(recall, threads)
        return found.qps if found else None


def pareto(points: Iterable[Point], recall: Callable[[Point], float]) -> list[Point]:
    """No other point has both more recall and more queries per second; by recall."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (-recall(p), -p.qps)):
        if not best or point.qps > best[-1].qps:
            best.append(point)
    return best[::-1]


@dataclass
class Comparison:
    """All methods on one set of vectors, at one k, on one machine."""

    dataset: dict[str, Any]
    k: int
    machine: dict[str, Any]
    curves: list[Curve]
    failures: list[Line]
    skips: list[Line]
    runs: list[Line] = field(default_factory=list)

    @property
    def title(self) -> str:
        facts = self.dataset
        return f"{Path(facts['name']).name}, {facts['n']:,} x {facts['d']}, k = {self.k}"

    def threads(self) -> list[int]:
        return sorted({point.threads for curve in self.curves for point in curve.points})

    def best(self, recall: float, threads: int, ours: bool) -> Reading | None:
        found = [curve.at(recall, threads) for curve in self.curves if curve.ours == ours]
        return max((reading for reading in found if reading), key=lambda reading: reading.qps, default=None)

    def ratio(self, recall: float, threads: int) -> Ratio | None:
        """In no case in annkern's favour. Where the best peer has no point as low as the recall, both are read at the recall
        that it has; where annkern has none as low, the ratio is a bound from below."""
        found = None
        while True:
            ours, theirs = self.best(recall, threads, True), self.best(recall, threads, False)
            if ours is None or theirs is None:
                return found
            found = Ratio(ours, theirs)
            if not theirs.beyond(recall):
                return found
            recall = theirs.recall


def stems(comparisons: Sequence[Comparison]) -> list[str]:
    """A name for the files of each comparison: no two alike, and no folders in them."""
    found: list[str] = []
    for comparison in comparisons:
        name = Path(comparison.dataset["name"]).name
        stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in name) + f"-k{comparison.k}"
        again = sum(other == stem or other.startswith(f"{stem}~") for other in found)
        found.append(f"{stem}~{again + 1}" if again else stem)
    return found


def comparisons(lines: Iterable[Line]) -> list[Comparison]:
    """In the order in which they were first run. Where a library was measured in two versions, the last counts."""
    lines = list(lines)
    runs = [line for line in lines if line["kind"] == "run"]
    skips = [line for line in lines if line["kind"] == "skip"]
    groups: dict[tuple[str, str, int, int], list[Line]] = {}
    for line in lines:
        if line["kind"] == "point":
            groups.setdefault((line["machine"], line["dataset"], line["n"], line["k"]), []).append(line)
    found = []
    for (machine, dataset, n, k), points in groups.items():
        of_set = [
            r for r in runs if r["machine"]["id"] == machine and r["dataset"]["name"] == dataset and r["dataset"]["n"] == n
        ]
        if not of_set:
            continue
        same = [
            line for line in lines if line.get("machine") == machine and (line.get("dataset"), line.get("n")) == (dataset, n)
        ]
        builds = [line for line in same if line["kind"] == "build"]
        last: dict[str, Line] = {}  # a method that failed and was measured later did not fail
        for line in same:
            if line["kind"] in ("point", "failure"):
                last[line["method"]] = line
        failures = [line for line in last.values() if line["kind"] == "failure"]
        used = {line.get("run") for line in points}
        made = [run for run in of_set if run["run"] in used] or of_set
        facts = of_set[-1]["dataset"], k, of_set[-1]["machine"]
        found.append(Comparison(*facts, curves_of(points, builds), failures, skips, made))
    return found


def curves_of(points: Sequence[Line], builds: Sequence[Line]) -> list[Curve]:
    versions = {line["method"]: line["version"] for line in points}
    curves: dict[str, Curve] = {}
    repeats: dict[tuple[str, str, int], list[Line]] = {}
    for line in points:
        name = line["method"]
        if line["version"] == versions[name]:
            curves.setdefault(name, Curve(name, line["peer"], line["version"]))
            repeats.setdefault((name, json.dumps(line["setting"]), line["threads"]), []).append(line)
    for (name, _, threads), same in repeats.items():
        first = same[0]
        halves = "recall_chosen" in first  # files of before have one recall
        times = [line["seconds"] / line["queries"] for line in same]
        tails = [line["latency"] for line in same if line.get("latency")]
        latency = {key: min(tail[key] for tail in tails) for key in tails[0]} if tails else {}
        curves[name].points.append(
            Point(
                first["setting"],
                threads,
                float(first["recall_held_out"] if halves else first["recall"]),
                float(first["recall_chosen"] if halves else first["recall"]),
                1 / min(times),
                max(times) / min(times) - 1,
                len(same),
                first["queries"],
                latency,
            )
        )
    for line in builds:
        curve = curves.get(line["method"])
        if curve is not None and line["version"] == curve.version:
            curve.build_seconds = min(line["seconds"], curve.build_seconds or math.inf)
            curve.peak, curve.bytes, curve.params = line["peak"], line["bytes"], line.get("params", {})
    return list(curves.values())
