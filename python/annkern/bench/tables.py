# SPDX-License-Identifier: Apache-2.0
"""Rows of cells, which the terminal, Markdown and HTML draw alike."""

from __future__ import annotations

from collections.abc import Sequence

from .curves import RECALLS, Comparison, Curve, Ratio, Reading
from .journal import Line

HEAD = ("method", *(f"QPS at {recall:.2f}" for recall in RECALLS), "best recall", "single p50 / p95 / p99 ms", "build s")
HEAD += ("peak MB", "index MB", "spread")
BEST = "annkern / best peer"
NONE = "-"
NOISY = 0.5  # spreads above it are flagged
FLAG = " (!)"


def number(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def rows(comparison: Comparison, threads: int) -> list[tuple[str, ...]]:
    """One for each method, the fastest at the middle recall first; then annkern's ratio to the best peer."""
    curves = [curve for curve in comparison.curves if curve.front(threads)]
    middle = RECALLS[1]
    curves.sort(key=lambda curve: -(curve.qps_at(middle, threads) or 0))
    found = [cells(curve, threads) for curve in curves]
    ratios = [comparison.ratio(recall, threads) for recall in RECALLS]
    if any(ratio is not None for ratio in ratios):
        texts = [compared(ratio, recall) for ratio, recall in zip(ratios, RECALLS, strict=True)]
        found.append((BEST, *texts, *[""] * (len(HEAD) - 1 - len(texts))))
    return found


def compared(ratio: Ratio | None, recall: float) -> str:
    """With the peer's name, and with the recall where it is another than asked for."""
    if ratio is None:
        return NONE
    where = f" at {ratio.theirs.recall:.3f}" if ratio.theirs.beyond(recall) else ""
    return f"{ratio.bound}{ratio.value:.2f}x{where} ({ratio.theirs.method})"


def speed(reading: Reading | None, recall: float) -> str:
    if reading is None:
        return NONE
    return number(reading.qps) + (f" at {reading.recall:.3f}" if reading.beyond(recall) else "")


def cells(curve: Curve, threads: int) -> tuple[str, ...]:
    front = curve.front(threads)
    speeds = [speed(curve.at(recall, threads), recall) for recall in RECALLS]
    size, peak = (NONE if value is None else number(value / 1e6) for value in (curve.bytes, curve.peak))
    spread = max(point.spread for point in front)
    return (
        f"{curve.method}",
        *speeds,
        f"{front[-1].recall:.4f}",
        latency(curve),
        number(curve.build_seconds),
        peak,
        size,
        f"{spread:.0%}" + (FLAG if spread > NOISY else ""),
    )


def latency(curve: Curve) -> str:
    """Of single queries, at the setting with the least recall of at least the middle one, or the best there is."""
    points = sorted((p for p in curve.points if p.latency), key=lambda p: p.recall)
    if not points:
        return NONE
    point = next((p for p in points if p.recall >= RECALLS[1]), points[-1])
    return " / ".join(f"{1e3 * point.latency[key]:.3g}" for key in ("p50", "p95", "p99"))


def notes(comparison: Comparison) -> list[str]:
    """What a reader of the table must know."""
    facts, machine = comparison.dataset, comparison.machine
    kind = "queries out of the base's distribution" if facts["out_of_distribution"] else "queries in distribution"
    found = [
        f"{facts['about']}; {facts['m']:,} queries, {facts['metric']}; {kind}",
        f"{machine['cpu']}, {machine['isa']}, {machine['threads']} threads, Python {machine['python']}, annkern "
        f"{machine['annkern']}, {machine.get('memory_gib', '?')} GiB of memory",
        *runs(comparison),
        "versions: " + ", ".join(dict.fromkeys(f"{curve.peer} {curve.version}" for curve in comparison.curves)),
    ]
    found += [
        f"{line['method']} {line['version']} failed in {line['stage']}: {line['reason']}" for line in comparison.failures
    ]
    found += [f"left out: {line['reason']}" for line in comparison.skips]
    return found


def runs(comparison: Comparison) -> list[str]:
    """When and how often, on how busy a machine; of runs that say so."""
    repeats = sorted({point.repeats for curve in comparison.curves for point in curve.points})
    often = f"{repeats[0]} to {repeats[-1]}" if len(repeats) > 1 else str(repeats[0])
    found = [f"{often} repeat{'' if repeats == [1] else 's'} of each point"]
    return found + [dated(line) for line in comparison.runs if "date" in line]


def dated(line: Line) -> str:
    machine, free = line["machine"], line["memory_free_gib"]
    return f"run of {line['date']} UTC: load {line['load']} on {machine['processors']} processors before it, {free} GiB free"


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
