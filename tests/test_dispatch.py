# SPDX-License-Identifier: Apache-2.0
"""What is added to a list of csrc/core/kinds.h cannot be forgotten in silence: every switch over metrics, their families and
stores names all of them, and what a store's arrays and numbers mean stands in its view alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("csrc", "tests/cpp", "tests/device")
CSRC = ROOT / "csrc"
SOURCES = [
    path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.suffix in (".h", ".cpp", ".cu", ".cuh")
]
CLOSED = ("Metric", "Family", "StoreKind")


def code(text: str) -> str:
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


def blocks(text: str) -> Iterator[str]:
    """The bodies of switches, without what lies in braces within them."""
    for match in re.finditer(r"\bswitch \([^{]*\{", text):
        depth, own = 1, ""
        for sign in text[match.end() :]:
            depth += (sign == "{") - (sign == "}")
            if depth == 0:
                break
            own += sign if depth == 1 else ""
        yield own


def open_switches(text: str) -> list[str]:
    """Those that have a default, and a case of an enumeration that grows."""
    cases = rf"\bcase (?:\w+::)*(?:{'|'.join(CLOSED)})::"
    return [body for body in blocks(code(text)) if re.search(r"\bdefault:", body) and re.search(cases, body)]


def test_no_default_over_metrics_families_and_stores():
    wrong = [path.relative_to(ROOT).as_posix() for path in SOURCES for _ in open_switches(path.read_text())]
    assert wrong == []


def test_a_default_is_seen():
    text = "switch (m) { case Metric::cosine: { switch (i) { default: f(); } } case Metric::jaccard: break; %s }"
    assert not open_switches(text % "")
    assert not open_switches(text % "// default: one")
    assert len(open_switches(text % "default: return g();")) == 1
    assert len(open_switches("switch (f) { case annk::cuda::Family::dot: default: break; }")) == 1


# Where positions get their names, and where they come from Python.
VIEWS = re.compile(r"csrc/(store/|core/view\.h|bind/arguments\.h|_template/absmax\.h)")


def positions(text: str) -> list[str]:
    return re.findall(r"(?:\.|->)(?:arrays|numbers)\[[^\]]*\]|\barray<[^>]*>\([^)]*\)", code(text))


def test_arrays_and_numbers_of_stores_have_names():
    found = {path.relative_to(ROOT).as_posix(): positions(path.read_text()) for path in SOURCES if CSRC in path.parents}
    outside = [path for path, places in found.items() if places and not VIEWS.match(path)]
    assert outside == []
    assert sum(len(places) for path, places in found.items() if VIEWS.match(path)) > 20, "the pattern finds them"
