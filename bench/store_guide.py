# SPDX-License-Identifier: Apache-2.0
"""Which store to take: bytes, recall and speed of each, as a table and a picture.

usage: store_guide.py [--data DIR] [--threads T] [--seconds S] [--only SPEC;...] [--write]

DIR (or ANNKERN_DATA) holds base.f16.npy and q_id.f16.npy; without it the 12,000 glosses of bench/data are used. --write puts
table and picture into docs/stores.md and docs/plots/stores.png. A store is a line in STORES.
"""

from __future__ import annotations

import argparse
import importlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from contest import HERE, K, unhindered

PAGE = HERE.parent / "docs" / "stores.md"
PICTURE = HERE.parent / "docs" / "plots" / "stores.png"
MARKS = "<!-- by bench/store_guide.py -->\n", "<!-- end -->\n"
METRIC = "inner_product"
WIDE = 50
ROUNDS = 3
ASKED = range(50)  # queries asked one at a time
# Spec -> family, which is a colour. Of two levels each search is measured: the primary's alone, and both in one call.
STORES = {
    "f32": "plain", "f16": "plain", "bf16": "plain",
    "sq8": "scalar", "sq4": "scalar",
    "lvq8": "LVQ", "lvq4": "LVQ", "lvq4x4": "LVQ", "lvq4x8": "LVQ", "lvq8x8": "LVQ", "LVQ(4, 0, 64)": "LVQ",
    "leanvec192:lvq4,lvq8": "LeanVec", "leanvec128:lvq8,lvq8": "LeanVec",
    "pq192x4": "PQ", "pq96x4": "PQ", "pq96x8": "PQ", "pq48x8": "PQ", "opq96x8": "PQ", "opq48x8": "PQ",
    "rabitq1": "RaBitQ", "rabitq2": "RaBitQ", "rabitq4": "RaBitQ", "rabitq8": "RaBitQ", "bin": "RaBitQ",
}  # fmt: skip
COLOURS = {
    "plain": "#555555", "scalar": "#8c564b", "LVQ": "#d62728", "LeanVec": "#ff7f0e", "PQ": "#1f77b4", "RaBitQ": "#2ca02c",
}  # fmt: skip
DIRECTIONS = [(1, 0), (-1, 0), (1, 0.8), (-1, 0.8), (1, -0.8), (-1, -0.8), (0, 1), (0, -1)]


class Point(NamedTuple):
    spec: str
    family: str
    nbytes: float  # a vector: all of the store
    read: float  # of them, what a scan reads
    recall: float
    wide: float  # share of the first 10 among the first 50
    made: float  # seconds
    qps: float = 0.0  # in batch, all threads
    single: float = 0.0  # seconds a query, one thread


@dataclass
class Candidate:
    store: Any
    point: Point
    batch: float = float("inf")  # seconds a query
    single: float = float("inf")


class Guide:
    def __init__(self, options: argparse.Namespace) -> None:
        import numpy as np

        import annkern as ak

        self.np, self.ak, self.options = np, ak, options
        self.base, self.queries = (self.unit(options.data / f"{name}.f16.npy") for name in ("base", "q_id"))
        self.exact = ak.knn(self.base, self.queries, K, METRIC)[1]

    def unit(self, path: Path):
        x = self.np.load(path).astype(self.np.float32)
        return x / self.np.linalg.norm(x, axis=1, keepdims=True)

    def encoded(self, spec: str):
        codec_of = importlib.import_module("annkern.stores.registry").codec
        codec = self.ak.LVQ(4, 0, 64, metric=METRIC) if spec.startswith("LVQ(") else codec_of(spec, METRIC)
        if hasattr(codec, "threads"):
            codec.threads = self.options.threads
        return codec.fit(self.base).encode(self.base, threads=self.options.threads)

    def candidates(self, spec: str) -> list[Candidate]:
        """Each way to search the store."""
        start = time.perf_counter()
        store = self.encoded(spec)
        made = time.perf_counter() - start
        read = (store.primary or store).nbytes / len(store)
        found = []
        for level, name in ((store.primary, f"{spec}, first level"), (store, spec)):
            if level is not None:
                shares = [
                    float((self.found(level, k)[:, :, None] == self.exact[:, None, :]).any(axis=1).mean()) for k in (K, WIDE)
                ]
                found.append(Candidate(level, Point(name, STORES[spec], store.nbytes / len(store), read, *shares, made)))
        return found

    def found(self, store, k: int = K, rows=slice(None), threads: int | None = None):
        return self.ak.knn(store, self.queries[rows], k, METRIC, threads=threads or self.options.threads)[1]

    def points(self, specs: list[str]) -> list[Point]:
        """All are made, then timed in turns: the best of ROUNDS, so that a slow minute of the machine is shared."""
        every = [candidate for spec in specs for candidate in self.candidates(spec)]
        for _ in range(ROUNDS):
            for one in every:
                batch = self.best(lambda: self.found(one.store))  # noqa: B023
                one.batch = min(one.batch, batch / len(self.queries))
                single = self.best(lambda: [self.found(one.store, K, slice(i, i + 1), 1) for i in ASKED])  # noqa: B023
                one.single = min(one.single, single / len(ASKED))
        return [one.point._replace(qps=1 / one.batch, single=one.single) for one in every]

    def best(self, run: Callable[[], object]) -> float:
        run()
        seconds, least = 0.0, float("inf")
        while seconds < self.options.seconds / ROUNDS:
            start = time.perf_counter()
            run()
            each = time.perf_counter() - start
            seconds, least = seconds + each, min(least, each)
        return least


HEAD = (
    f"| store | bytes a vector | read by a scan | recall@{K} | of {WIDE} | queries a second | one query, ms | made in, s |\n"
    "|---|---|---|---|---|---|---|---|"
)


def row(p: Point) -> str:
    numbers = f"{p.nbytes:,.0f} | {p.read:,.0f} | {p.recall:.3f} | {p.wide:.3f} | {p.qps:,.0f} | {1e3 * p.single:.2f}"
    name, _, level = p.spec.partition(", first")
    return f"| `{name}`{', first' + level if level else ''} | {numbers} | {p.made:.1f} |"


def draw(points: list[Point], title: str) -> None:
    """Recall against bytes, and against speed."""
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    log10, maximum = importlib.import_module("numpy").log10, importlib.import_module("numpy").maximum
    figure, panels = pyplot.subplots(1, 2, figsize=(14, 7), layout="constrained", sharey=True)
    figure.suptitle(title, fontsize=11)
    labels = []
    for axes, x_of, label, ticks in (
        (panels[0], lambda p: p.nbytes, "bytes a vector, all levels", [50 << i for i in range(6)]),
        (panels[1], lambda p: p.qps, "queries a second, in batch", [1000 << i for i in range(8)]),
    ):
        shown = [p for p in points if "first level" not in p.spec]
        axes.set_xscale("log")
        # 0.99 is nearly as far from 0.9 as that is from 0.
        axes.set_yscale("function", functions=(lambda r: -log10(maximum(1.004 - r, 1e-4)), lambda y: 1.004 - 10.0**-y))
        axes.set_yticks([0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0])
        axes.set_ylim(min(p.recall for p in shown) - 0.05, 1.0008)
        axes.set_xlabel(label)
        axes.grid(which="both", alpha=0.25)
        for family, colour in COLOURS.items():
            members = [p for p in shown if p.family == family]
            axes.scatter([x_of(p) for p in members], [p.recall for p in members], color=colour, s=36, zorder=3, label=family)
        xs = [x_of(p) for p in shown]
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_xticks(ticks)
        axes.set_xlim(min(xs) / 1.5, max(xs) * 1.6)
        axes.minorticks_off()
        labels.append([(x_of(p), p.recall, p.spec, COLOURS[p.family]) for p in shown])
    panels[0].set_ylabel(f"recall@{K}")
    panels[0].legend(loc="lower right")
    figure.canvas.draw()
    figure.set_layout_engine("none")
    for axes, panel_labels in zip(panels, labels, strict=True):
        place_labels(figure, axes, panel_labels)
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=110)
    pyplot.close(figure)


def place_labels(figure, axes, labels: list[tuple[float, float, str, str]]) -> None:
    """Each beside its point, in the first of some places where it covers neither a label nor a point."""
    extent = importlib.import_module("matplotlib.text").Text.get_window_extent  # an annotation's own includes its arrow
    dots = [axes.transData.transform((x, y)) for x, y, _, _ in labels]
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in dots]
    frame = axes.get_window_extent()
    places = [(dx * reach, dy * reach) for reach in (8, 16, 26, 38, 52, 70, 90) for dx, dy in DIRECTIONS]
    for x, y, text, colour in labels:
        for dx, dy in places:
            far = abs(dx) + abs(dy) > 20
            line = {"arrowstyle": "-", "color": colour, "lw": 0.7, "shrinkA": 0, "shrinkB": 3} if far else None
            note = axes.annotate(
                text, (x, y), (dx, dy), textcoords="offset points", fontsize=8.5, color=colour, va="center",
                ha="left" if dx > 0 else "right" if dx < 0 else "center",
                arrowprops=line,
            )  # fmt: skip
            note.update_positions(figure.canvas.get_renderer())
            x0, y0, x1, y1 = extent(note).extents
            inside = frame.x0 < x0 and x1 < frame.x1 and frame.y0 < y0 and y1 < frame.y1
            if inside and not any(x0 < right and left < x1 and y0 < top and low < y1 for left, low, right, top in taken):
                taken.append((x0, y0, x1, y1))
                break
            note.remove()


def page_with(points: list[Point], title: str) -> str:
    before, rest = PAGE.read_text(encoding="utf-8").split(MARKS[0])
    table = "\n".join([f"{title}:", "", HEAD, *map(row, points)])
    return before + MARKS[0] + table + "\n" + MARKS[1] + rest.split(MARKS[1])[1]


def main(options: argparse.Namespace) -> None:
    guide = Guide(options)
    n, d = guide.base.shape
    machine = importlib.import_module("annkern.bench.machine").processor()
    title = (
        f"{n:,} x {d}, {METRIC}, k = {K}, {len(guide.queries):,} held-out queries, {options.threads} threads of {machine} "
        f"({guide.ak.backends()['cpu']['isa']})"
    )
    points = guide.points(options.only)
    print(title, "", HEAD, *map(row, points), sep="\n")
    if options.write:
        PAGE.write_text(page_with(points, title), encoding="utf-8")
        draw(points, title)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("ANNKERN_DATA", HERE / "data"), type=Path)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=0.4, help="that each search is timed, at least")
    parser.add_argument("--only", default=list(STORES), type=lambda text: text.split(";"), help="SPEC;SPEC")
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    chosen = parse()
    unhindered(chosen.threads)
    main(chosen)
