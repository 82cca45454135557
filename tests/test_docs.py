# SPDX-License-Identifier: Apache-2.0
"""The documents' Python blocks run, each document from top to bottom in one namespace, and their links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS += [ROOT / "bench" / "data" / "README.md", *sorted((ROOT / "csrc").glob("*/README.md"))]
OPTIONAL = ("torch", "cupy", "jax")


def blocks(path: Path) -> list[tuple[int, str]]:
    """(line, code) of each fenced Python block."""
    text = path.read_text(encoding="utf-8")
    found = re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(text[: match.start(1)].count("\n"), match[1]) for match in found]


def missing_library(code: str) -> bool:
    return any(
        re.search(rf"^import {name}\b", code, re.MULTILINE) and not importlib.util.find_spec(name) for name in OPTIONAL
    )


@pytest.mark.long
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_blocks_run(path, monkeypatch, tmp_path):
    (tmp_path / "bench").symlink_to(ROOT / "bench")
    monkeypatch.chdir(tmp_path)  # some save files
    names: dict[str, object] = {}
    for line, code in blocks(path):
        if not missing_library(code):
            exec(compile("\n" * line + code, str(path), "exec"), names)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for path in DOCUMENTS:
        for target in re.findall(r"(?:^|`)make ([a-z]+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{path.name}: make {target}"
