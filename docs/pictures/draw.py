# SPDX-License-Identifier: Apache-2.0
"""Draws the pictures of docs/how-it-works.md as SVG, from real rows and a real graph where they show some.

usage: draw.py [FOLDER]    FOLDER is this one by default. tests/test_docs.py compares what it draws with what is kept.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Callable
from html import escape
from pathlib import Path

import numpy as np

import annkern as ak

WIDTH = 600
INK, PALE, LINE = "#1f2933", "#e8edf3", "#9aa8b8"
BLUE, GREEN, ORANGE = "#2563b0", "#2f855a", "#c2570c"
LIGHT = {BLUE: "#dbe8f8", GREEN: "#dcf2e5", ORANGE: "#fbe6d3", INK: PALE}


class Picture:
    """Shapes in a frame of 600 units, which a phone shows at half its size: text is 15 units or more."""

    def __init__(self, height: float, title: str) -> None:
        self.height, self.title = height, title
        self.parts: list[str] = []

    def box(self, x: float, y: float, w: float, h: float, lines: str = "", color: str = INK, size: float = 15) -> None:
        shape = f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="6" fill="{LIGHT[color]}" stroke="{color}"/>'
        self.parts.append(shape)
        rows = lines.split("\n") if lines else []
        first = y + h / 2 - (len(rows) - 1) * size * 0.65 + size * 0.35
        for i, row in enumerate(rows):
            self.text(x + w / 2, first + i * size * 1.3, row, size=size, anchor="middle", bold=i == 0 and len(rows) > 1)

    def text(
        self, x: float, y: float, text: str, size: float = 15, anchor: str = "start", color: str = INK, bold: bool = False
    ) -> None:
        weight = ' font-weight="600"' if bold else ""
        place = f'x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{anchor}" fill="{color}"'
        self.parts.append(f"<text {place}{weight}>{escape(text)}</text>")

    def arrow(self, x1: float, y1: float, x2: float, y2: float, color: str = INK, wide: float = 1.6) -> None:
        ends = f'x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"'
        self.parts.append(f'<line {ends} stroke="{color}" stroke-width="{wide:g}" marker-end="url(#head)"/>')

    def line(self, x1: float, y1: float, x2: float, y2: float, color: str = LINE, wide: float = 1, dash: str = "") -> None:
        ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<line {ends} stroke="{color}" stroke-width="{wide:g}"{dashes}/>')

    def lines(self, ends: list[tuple[float, float, float, float]], color: str, wide: float) -> None:
        path = "".join(f"M{x1:.0f} {y1:.0f}L{x2:.0f} {y2:.0f}" for x1, y1, x2, y2 in ends)
        self.parts.append(f'<path d="{path}" stroke="{color}" stroke-width="{wide:g}" fill="none"/>')

    def dot(self, x: float, y: float, r: float, fill: str, stroke: str = "white") -> None:
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:g}" fill="{fill}" stroke="{stroke}"/>')

    def svg(self) -> str:
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height:g}" width="{WIDTH}" role="img"'
        font = 'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"'
        marker = f'<path d="M0 0L8 4L0 8z" fill="{INK}"/>'
        frame = 'id="head" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto"'
        defs = f"<defs><marker {frame}>{marker}</marker></defs>"
        ground = f'<rect width="{WIDTH}" height="{self.height:g}" fill="white"/>'
        body = "\n".join(self.parts)
        return f"{head} {font}>\n<title>{escape(self.title)}</title>\n{defs}\n{ground}\n{body}\n</svg>\n"


def call() -> Picture:
    """What happens to the caller's arrays."""
    p = Picture(250, "A call: arrays of any library go in, arrays of the same library come out")
    p.box(20, 20, 250, 60, "Your arrays\nNumPy, torch, CuPy, JAX", BLUE)
    p.box(330, 20, 250, 60, "Checks\ntype, shape, device, NaN")
    p.box(330, 120, 250, 60, "Kernel\nreads the memory in place", ORANGE)
    p.box(20, 120, 250, 60, "Results\nof your library, on its device", GREEN)
    p.arrow(270, 50, 328, 50)
    p.arrow(455, 80, 455, 118)
    p.arrow(330, 150, 272, 150)
    p.text(300, 215, "Rows are not copied: an address, a shape and the distance", anchor="middle")
    p.text(300, 236, "between rows is all that a kernel is given.", anchor="middle")
    return p


def exact() -> Picture:
    """Tiles of queries against chunks of rows, and the lists that take their best."""
    p = Picture(330, "Exact search: tiles of distances go to lists of the k nearest, and are gone")
    left, top, w, h = 110, 64, 60, 40
    p.text(left + 3 * w, 26, "rows, a chunk at a time", anchor="middle", bold=True)
    p.text(left - 14, top + 90, "queries", anchor="end", bold=True)
    for i in range(4):
        for j in range(6):
            done, here = (j < 3) or (j == 3 and i < 2), (i, j) == (2, 3)
            color = ORANGE if here else INK
            p.box(left + j * w, top + i * h, w - 5, h - 5, "tile" if here else "", color)
            if done:
                p.line(left + j * w + 6, top + i * h + 17, left + j * w + w - 12, top + i * h + 17, LINE, 1.5)
        p.box(left + 6 * w + 32, top + i * h, 88, h - 5, "k nearest", GREEN)
    p.arrow(left + 4 * w - 4, top + 2 * h + 17, left + 6 * w + 30, top + 2 * h + 17, ORANGE, 2)
    p.text(300, 262, "A tile is made in registers while its rows are in the cache.", anchor="middle")
    p.text(300, 284, "What is nearer than a query's k-th enters its list; the rest is dropped.", anchor="middle")
    p.text(300, 306, "The matrix of all distances never exists.", anchor="middle")
    return p


def codes() -> Picture:
    """One row of real numbers, and the 16 levels that 4 bits give it."""
    row = np.random.default_rng(3).standard_normal(14).astype(np.float32)
    low, high = float(row.min()), float(row.max())
    step = (high - low) / 15
    code = np.rint((row - low) / step).astype(int)
    p = Picture(390, "LVQ: 14 numbers of a row, rounded to 16 levels between its smallest and its largest")
    left, top, height, gap = 96, 30, 230, 33

    def at(value: float) -> float:
        return top + height * (high - value) / (high - low)

    for level in range(16):
        p.line(left, at(low + level * step), left + gap * 14, at(low + level * step), "#d5dce4")
    p.text(left - 10, at(high) + 5, "15", anchor="end")
    p.text(left - 10, at(low) + 5, "0", anchor="end")
    p.text(20, top + height / 2 - 4, "16", bold=True)
    p.text(20, top + height / 2 + 15, "levels", bold=True)
    for i, (value, c) in enumerate(zip(row.tolist(), code.tolist(), strict=True)):
        x, near = left + gap * (i + 0.5), low + c * step
        p.line(x, at(value), x, at(near), ORANGE, 2)
        p.dot(x, at(value), 5, BLUE)
        p.dot(x, at(near), 3.4, ORANGE)
        p.text(x, top + height + 34, str(c), anchor="middle", color=ORANGE, bold=True)
    p.text(left - 10, top + height + 34, "code", anchor="end", bold=True)
    p.dot(104, 321, 5, BLUE)
    p.text(116, 326, "the row's number")
    p.dot(274, 321, 3.4, ORANGE)
    p.text(286, 326, "the level that is kept")
    p.text(300, 356, "The row keeps 4 bits a number, and its own low end and step.", anchor="middle")
    p.text(300, 378, "No number is off by more than half a step.", anchor="middle")
    return p


def sizes() -> Picture:
    """Bytes of a vector of 384 dimensions."""
    d, n = 384, 256
    x = np.random.default_rng(0).standard_normal((n, d), dtype=np.float32)
    specs = ["f32", "f16", "lvq4x8", "lvq8", "lvq4", "pq192x4", "rabitq1", "bin"]
    p = Picture(40 + 34 * len(specs), "Bytes that a vector of 384 dimensions takes in each store")
    p.text(300, 22, "bytes a vector of 384 dimensions", anchor="middle", bold=True)
    most = 4 * d
    for i, spec in enumerate(specs):
        store = ak.compress(x, spec)
        shared = store.shared_arrays()
        per_row = round(sum(a.nbytes for name, a in store.arrays.items() if name not in shared) / n)
        y = 38 + 34 * i
        p.text(98, y + 18, spec, anchor="end")
        p.box(108, y, max(2.0, 400 * per_row / most), 26, "", BLUE)
        p.text(118 + 400 * per_row / most, y + 18, f"{per_row:,}")
    return p


def levels() -> Picture:
    """A coarse scan proposes, a finer form decides."""
    p = Picture(262, "Two levels: a scan of codes proposes candidates, a finer form puts them in order")
    p.box(20, 40, 170, 90, "All rows\n4 bits a number\n204 bytes each", ORANGE)
    p.box(245, 40, 130, 90, "50\ncandidates", INK)
    p.box(430, 40, 150, 90, "10 nearest\nin their order", GREEN)
    p.arrow(190, 85, 243, 85)
    p.arrow(375, 85, 428, 85)
    p.text(216, 160, "scan: fast,", anchor="middle")
    p.text(216, 180, "reads codes alone", anchor="middle")
    p.text(402, 160, "rerank: exact,", anchor="middle")
    p.text(402, 180, "reads 50 rows in full", anchor="middle")
    p.text(300, 222, "The order of the ten is that of the finer form.", anchor="middle")
    p.text(300, 243, "All that the scan must do is not to miss them.", anchor="middle")
    return p


def best_first(points: np.ndarray, graph: ak.Graph, query: np.ndarray, window: int) -> tuple[list[int], set[int]]:
    """The rows that a search expands, in their order, and all whose distance it computes."""
    away = np.square(points - query).sum(axis=1)
    start = int(graph.entries[0])
    seen, expanded = {start}, []
    waiting, kept = [(float(away[start]), start)], [(float(away[start]), start)]
    while waiting:
        distance, row = heapq.heappop(waiting)
        if len(kept) >= window and distance > sorted(kept)[window - 1][0]:
            break
        expanded.append(row)
        for near in graph.neighbors[row].tolist():
            if near >= 0 and near not in seen:
                seen.add(near)
                heapq.heappush(waiting, (float(away[near]), near))
                kept.append((float(away[near]), near))
    return expanded, seen


def graph() -> Picture:
    """A search of a graph over 220 points of the plane."""
    rng = np.random.default_rng(11)
    left, top, side, wide = 24, 20, 350, 552 / 350
    points = rng.random((220, 2), dtype=np.float32) * np.array([wide, 1], np.float32)
    built = ak.build_graph(points, degree=6, window=24)
    query = np.array([1.36, 0.2], np.float32)
    entry = int(np.square(points - np.array([0.08, 0.85], np.float32)).sum(axis=1).argmin())
    built = ak.Graph(built.neighbors, np.array([entry], np.int32))
    expanded, seen = best_first(points, built, query, 6)
    nearest = ak.knn(points, query[None], 3)[1][0].tolist()
    p = Picture(490, "A search of a graph: from the entry point along edges to the rows nearest to the query")

    def at(row: int) -> tuple[float, float]:
        return left + float(points[row, 0]) * side, top + float(points[row, 1]) * side

    for rows, color, width in ((range(len(points)), "#e3e8ee", 1), (expanded, "#8fb4e3", 1.3)):
        edges = sorted((row, near) for row in rows for near in built.neighbors[row].tolist() if near >= 0)
        p.lines([(*at(row), *at(near)) for row, near in edges], color, width)
    for row in range(len(points)):
        p.dot(*at(row), 3.2, "#b4bfcc")
    for row in seen:
        p.dot(*at(row), 4.2, BLUE)
    for row in expanded:
        p.dot(*at(row), 5.6, ORANGE)
    for row in nearest:
        p.dot(*at(row), 7, GREEN)
    x, y = left + float(query[0]) * side, top + float(query[1]) * side
    p.line(x - 9, y - 9, x + 9, y + 9, INK, 3)
    p.line(x - 9, y + 9, x + 9, y - 9, INK, 3)
    p.text(at(entry)[0] + 4, at(entry)[1] + 28, "entry point", bold=True)
    p.text(x + 14, y - 12, "query", bold=True)
    compared = f"compared, {len(seen)} of {len(points)}"
    legend = [(40, ORANGE, f"expanded, {len(expanded)}"), (200, BLUE, compared), (420, GREEN, "3 nearest, found")]
    for place, color, text in legend:
        p.dot(place, 401, 6, color)
        p.text(place + 12, 406, text)
    assert set(nearest) <= seen
    p.text(300, 444, "Each step expands the nearest row that was not expanded yet:", anchor="middle")
    p.text(300, 465, "its neighbours are compared with the query, and the best are kept.", anchor="middle")
    return p


def lanes() -> Picture:
    """Why results do not depend on the batch."""
    p = Picture(262, "Determinism: the distance of a query and a row is made of chains of multiply-adds")
    p.text(300, 26, "one pair: chains of 64 dimensions, in their order", anchor="middle", bold=True)
    for lane in range(3):
        y = 46 + 50 * lane
        p.text(20, y + 23, f"query {lane + 1}", color=BLUE)
        for j, text in enumerate(("0", "+ d1", "+ d2", "+ d3", "...", "+ d64")):
            x = 100 + 80 * j
            p.box(x, y, 62, 34, text, BLUE if text != "..." else INK)
            if j:
                p.arrow(x - 18, y + 17, x - 1, y + 17, INK, 1.2)
    p.text(300, 222, "d1 to d64: what each dimension adds. SIMD lanes hold different pairs,", anchor="middle")
    p.text(300, 244, "never pieces of one, so neither batch nor threads can change a sum.", anchor="middle")
    return p


PICTURES: dict[str, Callable[[], Picture]] = {
    draw.__name__: draw for draw in (call, exact, codes, sizes, levels, graph, lanes)
}


def drawn() -> dict[str, str]:
    """Each picture by the name of its file."""
    return {f"{name}.svg": draw().svg() for name, draw in PICTURES.items()}


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    for name, text in drawn().items():
        (folder / name).write_text(text)
