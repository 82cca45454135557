# SPDX-License-Identifier: Apache-2.0
"""Recall against queries per second, as SVG or PNG."""

from __future__ import annotations

import importlib
import io
from typing import Any

from .curves import Comparison

MARKERS = "os^Dv<>pP*XhH"
LEAST_RECALL = 0.7  # what lies below is of no use to anyone who compares


def figure(comparison: Comparison, threads: int) -> Any:
    """One panel; annkern in colour and bold, peers each in a colour of their own."""
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    matplotlib.rcParams["svg.hashsalt"] = "annkern"  # the same bytes for the same numbers
    drawn, axes = pyplot.subplots(figsize=(9, 5.2), layout="constrained")
    colours = {"annkern": "#d62728"}
    palette = pyplot.get_cmap("tab20").colors
    counts: dict[str, int] = {}
    for curve in comparison.curves:
        front = [point for point in curve.front(threads) if point.recall >= LEAST_RECALL]
        if not front:
            continue
        colour = colours.setdefault(curve.peer, palette[(2 * len(colours)) % 20 if len(colours) != 3 else 1])
        number = counts[curve.peer] = counts.get(curve.peer, -1) + 1
        axes.plot(
            [point.recall for point in front],
            [point.qps for point in front],
            color=colour,
            marker=MARKERS[number % len(MARKERS)],
            linewidth=2.2 if curve.ours else 1.1,
            markersize=6 if curve.ours else 4,
            alpha=1.0 if curve.ours else 0.8,
            zorder=3 if curve.ours else 2,
            label=curve.method,
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_minor_formatter("{x:,.0f}")
    axes.tick_params(which="minor", labelsize=7)
    axes.set_xlim(right=1.003)
    axes.set_xlabel(f"recall@{comparison.k}")
    axes.set_ylabel("queries per second")
    axes.grid(which="both", alpha=0.25)
    axes.set_title(f"{comparison.title}, {threads} thread{'s' if threads > 1 else ''}", fontsize=11)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return drawn


def rendered(comparison: Comparison, threads: int, form: str = "svg") -> bytes:
    pyplot = importlib.import_module("matplotlib.pyplot")
    drawn = figure(comparison, threads)
    out = io.BytesIO()
    drawn.savefig(out, format=form, dpi=130, metadata={"Date": None} if form == "svg" else None)
    pyplot.close(drawn)
    return out.getvalue()
