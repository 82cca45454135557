# SPDX-License-Identifier: Apache-2.0
"""Which store works in which operation under which metric on which backend: found by trying each, on a few rows.

usage: support.py [--write]    Prints the table of docs/support.md, or puts it there. tests/test_support.py compares the two.
CUDA is tried through the emulator (ANNKERN_EMU=ON), which runs the same sources.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import annkern as ak
from annkern.graphs import nn_descent as descent
from annkern.runtime.backend import load
from annkern.stores.registry import RULES

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "support.md"
MARKS = "<!-- by tools/support.py -->\n", "<!-- end -->\n"
BITS = "packed bits"
ROWS, DIMS = 9, 16

Found = dict[str, dict[str, set[str]]]  # operation -> backend -> metrics


def operations(graph: ak.Graph, on_device: ak.Graph) -> dict[str, Callable[[Any, Any, Any, str], object]]:
    def search(base: Any, q: Any, ids: Any, metric: str) -> object:
        return ak.search_graph(graph if isinstance(q, np.ndarray) else on_device, base, q, 2, window=4, metric=metric)

    return {
        "knn": lambda base, q, ids, metric: ak.knn(base, q, 2, metric),
        "pairwise": lambda base, q, ids, metric: ak.pairwise(q, base, metric),
        "radius": lambda base, q, ids, metric: ak.radius(base, q, 1.0, metric),
        "distances": lambda base, q, ids, metric: ak.distances(base, q, ids, metric),
        "search_graph": search,
        "build_graph": lambda base, q, ids, metric: ak.build_graph(base, metric=metric, degree=4),
        "build_graph(method='nn_descent')": lambda base, q, ids, metric: ak.build_graph(
            base, metric=metric, degree=4, window=4, method="nn_descent"
        ),
    }


def backends() -> dict[str, Callable[[np.ndarray], Any]]:
    """Name in the table -> how arrays get there."""
    sys.path.insert(0, str(ROOT / "tests"))
    from emu_array import to_device

    return {"cpu": lambda x: x, "cuda": to_device}


@contextlib.contextmanager
def short_descent() -> Iterator[None]:
    """One turn of each kind shows whether they work."""
    usual = descent.STARTS, descent.MOST_ROUNDS
    descent.STARTS = descent.MOST_ROUNDS = 1
    yield
    descent.STARTS, descent.MOST_ROUNDS = usual


def works(call: Callable[[], object]) -> bool:
    try:
        call()
    except (ValueError, TypeError):
        return False
    return True


def tried(bases: dict[str, Any], metrics: list[str], queries: dict[str, Any], ids: dict[str, Any], ops: Any) -> Found:
    found: Found = {}
    for op, run in ops.items():
        for backend, base in bases.items():
            with short_descent():
                works_for = {m for m in metrics if works(lambda: run(base, queries[backend], ids[backend], m))}  # noqa: B023
            found.setdefault(op, {})[backend] = works_for
    return found


def registry() -> dict[str, Found]:
    """By what the page calls the stores: a rule of the grammar, of whose stores each is tried."""
    traits = load("cpu").metrics
    numbers = [name for name, row in traits.items() if not row["bits"]]
    x = np.random.default_rng(0).integers(0, 50, (ROWS, DIMS))
    there = backends()
    ids = {name: to(np.zeros((2, 1), np.int64)) for name, to in there.items()}
    graph = ak.build_graph(x.astype(np.float32), degree=4)
    ops = operations(graph, graph.convert(there["cuda"]))
    table: dict[str, Found] = {}
    queries = {name: to(x[:2].astype(np.float32)) for name, to in there.items()}
    for _, written, examples, _ in RULES:
        for spec in examples:
            store = ak.compress(x.astype(np.float32), spec)
            cells = tried({name: store.convert(to) for name, to in there.items()}, numbers, queries, ids, ops)
            if table.setdefault(written, cells) != cells:
                raise SystemExit(f"support.py: {spec} works where others of {written!r} do not: give it a rule of its own")
    packed = x.astype(np.uint8)
    bases, queries = ({name: to(part) for name, to in there.items()} for part in (packed, packed[:2]))
    table[BITS] = tried(bases, [name for name in traits if name not in numbers], queries, ids, ops)
    return table


def rendered(table: dict[str, Found]) -> str:
    """Operations that work alike share a column."""
    columns: dict[str, list[str]] = {}
    for op in next(iter(table.values())):
        columns.setdefault(str([found[op] for found in table.values()]), []).append(op)
    heads = [" ".join(f"`{op}`" for op in ops) for ops in columns.values()]
    lines = [f"| store | {' | '.join(heads)} | under |", "|---" * (len(heads) + 2) + "|"]
    for written, found in table.items():
        usual = found["knn"]["cpu"]
        name = written if written == BITS else " ".join(f"`{part}`" for part in re.findall(r"[^ ·]+", written))
        cells = [cell(found[ops[0]], usual) for ops in columns.values()]
        lines.append(f"| {name} | {' | '.join(cells)} | {named(usual)} |")
    return "\n".join(lines) + "\n"


def cell(cells: dict[str, set[str]], usual: set[str]) -> str:
    """The backends; in brackets metrics, where they are not the row's."""
    there = {name: metrics for name, metrics in cells.items() if metrics}
    if len({str(sorted(metrics)) for metrics in there.values()}) == 1:
        metrics = next(iter(there.values()))
        return ", ".join(there) + ("" if metrics == usual else f" ({named(metrics)})")
    named_parts = [name if metrics == usual else f"{name} ({named(metrics)})" for name, metrics in there.items()]
    return ", ".join(named_parts) or "-"


def named(metrics: set[str]) -> str:
    traits = load("cpu").metrics
    if metrics == {name for name, row in traits.items() if not row["bits"]}:
        return "those of numbers"
    return " ".join(f"`{name}`" for name in traits if name in metrics)


def on_page() -> tuple[str, str, str]:
    """What stands before the table, the table, and what stands behind it."""
    before, rest = PAGE.read_text(encoding="utf-8").split(MARKS[0])
    table, behind = rest.split(MARKS[1])
    return before + MARKS[0], table, MARKS[1] + behind


if __name__ == "__main__":
    os.environ["ANNKERN_DEVICE"] = "emu"
    made = rendered(registry())
    if sys.argv[1:] == ["--write"]:
        head, _, tail = on_page()
        PAGE.write_text(head + made + tail, encoding="utf-8")
    else:
        print(made, end="")
