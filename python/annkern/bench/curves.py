# SPDX-License-Identifier: Apache-2.0
"""From lines to what they say: the best of each point's repeats, Pareto fronts, queries per second at a recall."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .journal import Line

RECALLS = (0.90, 0.95, 0.99)


@dataclass
class Point:
    setting: dict[str, Any]
    threads: int
    recall: float
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

    @property
    def ours(self) -> bool:
        return self.peer == "annkern"

    def front(self, threads: int) -> list[Point]:
        """No other point has both more recall and more queries per second; by recall."""
        best: list[Point] = []
        for point in sorted((p for p in self.points if p.threads == threads), key=lambda p: (-p.recall, -p.qps)):
            if not best or point.qps > best[-1].qps:
                best.append(point)
        return best[::-1]

    def qps_at(self, recall: float, threads: int) -> float | None:
        """On the front, log-linear between its points. None where no point is that good."""
        front = self.front(threads)
        above = next((i for i, point in enumerate(front) if point.recall >= recall), None)
        if above is None:
            return None
        high = front[above]
        if above == 0 or high.recall == recall:
            return high.qps
        low = front[above - 1]
        share = (recall - low.recall) / (high.recall - low.recall)
        return math.exp((1 - share) * math.log(low.qps) + share * math.log(high.qps))


@dataclass
class Comparison:
    """All methods on one set of vectors, at one k, on one machine."""

    dataset: dict[str, Any]
    k: int
    machine: dict[str, Any]
    curves: list[Curve]
    failures: list[Line]
    skips: list[Line]

    @property
    def title(self) -> str:
        facts = self.dataset
        return f"{facts['name']}, {facts['n']:,} x {facts['d']}, k = {self.k}"

    def threads(self) -> list[int]:
        return sorted({point.threads for curve in self.curves for point in curve.points})

    def best(self, recall: float, threads: int, ours: bool) -> tuple[float, str] | None:
        found = [(curve.qps_at(recall, threads), curve.method) for curve in self.curves if curve.ours == ours]
        return max(((qps, name) for qps, name in found if qps is not None), default=None)

    def ratio(self, recall: float, threads: int) -> float | None:
        """annkern's best over the best peer's."""
        ours, theirs = self.best(recall, threads, True), self.best(recall, threads, False)
        return ours[0] / theirs[0] if ours and theirs else None


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
        own = [
            r for r in runs if r["machine"]["id"] == machine and r["dataset"]["name"] == dataset and r["dataset"]["n"] == n
        ]
        if not own:
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
        found.append(Comparison(own[-1]["dataset"], k, own[-1]["machine"], curves_of(points, builds), failures, skips))
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
        times = [line["seconds"] / line["queries"] for line in same]
        tails = [line["latency"] for line in same if line.get("latency")]
        latency = {key: min(tail[key] for tail in tails) for key in tails[0]} if tails else {}
        curves[name].points.append(
            Point(
                same[0]["setting"],
                threads,
                same[0]["recall"],
                1 / min(times),
                max(times) / min(times) - 1,
                len(same),
                same[0]["queries"],
                latency,
            )
        )
    for line in builds:
        curve = curves.get(line["method"])
        if curve is not None and line["version"] == curve.version:
            curve.build_seconds = min(line["seconds"], curve.build_seconds or math.inf)
            curve.peak, curve.bytes = line["peak"], line["bytes"]
    return list(curves.values())
