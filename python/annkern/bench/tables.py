# SPDX-License-Identifier: Apache-2.0
"""Rows of cells, which the terminal, Markdown and HTML draw alike."""

from __future__ import annotations

from collections.abc import Sequence

from .curves import RECALLS, Comparison, Curve

HEAD = ("method", *(f"QPS at {recall:.2f}" for recall in RECALLS), "best recall", "single p50 / p95 / p99 ms", "build s")
HEAD += ("peak MB", "index MB", "spread")
NONE = "-"


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
        texts = [f"{ratio:.2f}x" if ratio is not None else NONE for ratio in ratios]
        found.append(("annkern / best peer", *texts, *[""] * (len(HEAD) - 1 - len(texts))))
    return found


def cells(curve: Curve, threads: int) -> tuple[str, ...]:
    front = curve.front(threads)
    speeds = [number(curve.qps_at(recall, threads)) for recall in RECALLS]
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
        f"{spread:.0%}",
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
        f"{machine['annkern']}",
        "versions: " + ", ".join(dict.fromkeys(f"{curve.peer} {curve.version}" for curve in comparison.curves)),
    ]
    found += [
        f"{line['method']} {line['version']} failed in {line['stage']}: {line['reason']}" for line in comparison.failures
    ]
    found += [f"left out: {line['reason']}" for line in comparison.skips]
    return found


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
