# SPDX-License-Identifier: Apache-2.0
"""What tools/mutate.py found, as a table and as a page."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from mutants_explained import EXPLAINED

if TYPE_CHECKING:
    from mutate import Mutant


def rows_of(mutants: list[Mutant], modes: list[str]) -> list[list[str]]:
    """The counts by rule, and of all."""
    groups = defaultdict(list)
    for m in sorted(mutants, key=lambda m: m.mutation.rule):
        groups[m.mutation.rule].append(m)
    groups["all"] = mutants
    rows = [["mutation", "mutants", *modes, "any", "explained", "survive"]]
    for rule, group in groups.items():
        alive = [m for m in group if m.survives]
        explained = sum(m.key in EXPLAINED for m in alive)
        counts = [len(group), *(sum(mode in m.caught for m in group) for mode in modes), sum(bool(m.caught) for m in group)]
        rows.append([rule, *map(str, [*counts, explained, len(alive) - explained])])
    return rows


def page(mutants: list[Mutant], modes: list[str], seconds: float) -> str:
    """The report as Markdown."""
    asked = ", ".join(f"{sum(mode in m.asked for m in mutants)} in {mode}" for mode in modes)
    rows = ["| " + " | ".join(row) + " |" for row in rows_of(mutants, modes)]
    rows.insert(1, "| --- |" + " ---: |" * (len(modes) + 4))
    words = ["| mode | what it said |", "| --- | --- |"]
    for mode in modes:
        counts = Counter(m.caught[mode] for m in mutants if mode in m.caught)
        words.append(f"| {mode} | " + ", ".join(f"{what} {count}" for what, count in counts.most_common(12)) + " |")
    reasons = defaultdict(list)
    for m in mutants:
        if m.survives and m.key in EXPLAINED:
            reasons[EXPLAINED[m.key]].append(f"{m.place}: `{m.source}`")
    explained = [f"- {why}: {'; '.join(places)}" for why, places in reasons.items()]
    alive = [f"- {m.place}: `{m.source}`" for m in mutants if m.survives and m.key not in EXPLAINED]
    head = [
        "# Mutations of the CUDA kernels",
        "What the emulator's modes say of each way in which `tools/mutations.py` breaks a kernel; written by",
        "`make mutate ARGS='--report FILE'`.",
        "",
        f"{len(mutants)} mutants, judged: {asked}. The runs took {seconds / 60:.0f} minutes, summed.",
    ]
    tail = ["", "## Explained", *explained, *(["", "## Alive", *alive] if alive else [])]
    return "\n".join([*head, "", *rows, "", *words, *tail]) + "\n"
