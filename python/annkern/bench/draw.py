# SPDX-License-Identifier: Apache-2.0
"""Recall against queries per second, as SVG or PNG."""

from __future__ import annotations

import importlib
import io
from typing import Any

from .curves import Comparison, Curve
from .peers import PEERS

MARKERS = "os^Dv<>pP*XhH"
LEAST_RECALL = 0.7  # what lies below is of no use to anyone who compares
LARGEST_RECALL = 0.9999  # drawn here what is larger: the axis has no place for 1
TICKS = (0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999)


def figure(comparison: Comparison, threads: int) -> Any:
    """One panel; annkern in reds and bold, each peer in a colour that is its own in every panel. `left_out` names
    the methods that are in the table alone."""
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    matplotlib.rcParams["svg.hashsalt"] = "annkern"  # the same bytes for the same numbers
    drawn, axes = pyplot.subplots(figsize=(9, 7), layout="constrained")
    reds = pyplot.get_cmap("Reds")
    palette = [colour for i, colour in enumerate(pyplot.get_cmap("tab10").colors) if i != 3] + ["black"]  # 3 is red
    colours = dict(zip((name for name in PEERS if name != "annkern"), palette, strict=False))
    counts: dict[str, int] = {}
    for curve in comparison.curves:
        if _reason(curve, comparison, threads):
            continue
        front = [point for point in curve.front(threads) if point.recall >= LEAST_RECALL]
        number = counts[curve.peer] = counts.get(curve.peer, -1) + 1
        colour = reds(0.95 - 0.15 * (number % 5)) if curve.ours else colours.get(curve.peer, "silver")
        axes.plot(
            [min(point.recall, LARGEST_RECALL) for point in front],
            [point.qps for point in front],
            color=colour,
            marker=MARKERS[number % len(MARKERS)],
            linewidth=2.2 if curve.ours else 1.1,
            markersize=6 if curve.ours else 4,
            alpha=1.0 if curve.ours else 0.8,
            zorder=3 if curve.ours else 2,
            label=curve.method,
        )
    axes.set_xscale("logit")  # each step towards 1 as wide as the last
    axes.set_xlim(LEAST_RECALL, 1 - 0.8 * (1 - LARGEST_RECALL))
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes.set_xlabel(f"recall@{comparison.k}")
    axes.set_ylabel("queries per second")
    axes.grid(which="both", alpha=0.25)
    axes.set_title(f"{comparison.title}, {threads} thread{'s' if threads > 1 else ''}", fontsize=11)
    if axes.get_legend_handles_labels()[0]:
        drawn.legend(fontsize=7, loc="outside lower center", ncols=3)
    return drawn


def _reason(curve: Curve, comparison: Comparison, threads: int) -> str | None:
    """Why it is not drawn, or None."""
    front = curve.front(threads)
    if not front:
        return "not measured"
    if front[-1].recall < LEAST_RECALL:
        return f"recall below {LEAST_RECALL:g}"
    return None if _leads_somewhere(curve, comparison, threads) else f"another of {curve.peer} has more of both everywhere"


def left_out(comparison: Comparison, threads: int) -> str:
    """The methods that are not drawn, by reason; "" where all are."""
    reasons: dict[str, list[str]] = {}
    for curve in comparison.curves:
        reason = _reason(curve, comparison, threads)
        if reason:
            reasons.setdefault(reason, []).append(curve.method)
    said = "; ".join(f"{', '.join(methods)} ({reason})" for reason, methods in reasons.items())
    return said and f"Not drawn: {said}."


def _leads_somewhere(curve: Curve, comparison: Comparison, threads: int) -> bool:
    """Whether one of its points is on the front of its own library's methods together."""
    points_of_peer = [point for other in comparison.curves if other.peer == curve.peer for point in other.front(threads)]
    return any(
        not any(other.recall >= point.recall and other.qps > point.qps for other in points_of_peer)
        for point in curve.front(threads)
        if point.recall >= LEAST_RECALL
    )


def rendered(comparison: Comparison, threads: int, form: str = "svg") -> bytes:
    pyplot = importlib.import_module("matplotlib.pyplot")
    drawn = figure(comparison, threads)
    out = io.BytesIO()
    drawn.savefig(out, format=form, dpi=130, metadata={"Date": None} if form == "svg" else None)
    pyplot.close(drawn)
    return out.getvalue()
