# SPDX-License-Identifier: Apache-2.0
"""The documents' Python blocks run, each document from top to bottom in one namespace, and their links lead somewhere."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [path for path in sorted((ROOT / "docs").rglob("*.md")) if path.parent.name not in ("api", "_build")]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
DOCUMENTS += [ROOT / "bench" / "data" / "README.md", *sorted((ROOT / "csrc").glob("*/README.md"))]
OPTIONAL = ("torch", "cupy", "jax", "faiss", "hnswlib", "usearch", "sklearn", "pyarrow", "pandas", "h5py")
GPU_STATUS = re.compile(r"<!-- gpu status -->\n(.*?)<!-- end -->", re.DOTALL)


def blocks(path: Path) -> list[tuple[int, str]]:
    """(line, code) of each fenced Python block."""
    text = path.read_text(encoding="utf-8")
    found = re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(text[: match.start(1)].count("\n"), match[1]) for match in found]


@functools.cache
def usable(library: str) -> bool:
    if not importlib.util.find_spec(library):
        return False
    return library != "cupy" or importlib.import_module("cupy").cuda.is_available()


def missing_library(code: str) -> str | None:
    names = re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE)
    return next((name for name in names if name in OPTIONAL and not usable(name)), None)


@pytest.mark.long
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_blocks_run(path, monkeypatch, tmp_path):
    """What needs a library that is not here is left out, and a page whose first block does is skipped."""
    (tmp_path / "bench").symlink_to(ROOT / "bench")
    monkeypatch.chdir(tmp_path)  # some save files
    names: dict[str, object] = {"__name__": "page"}
    found = blocks(path)
    missing = [missing_library(code) for _, code in found]
    if missing and missing[0]:
        pytest.skip(f"{path.name} needs {missing[0]}")
    for (line, code), library in zip(found, missing, strict=True):
        if library is None:
            exec(compile("\n" * line + code, str(path), "exec"), names)
    left_out = [f"the block at {line} ({library})" for (line, _), library in zip(found, missing, strict=True) if library]
    if left_out:
        pytest.skip(f"all but {', '.join(left_out)}")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    """Those to the reference, which is made with the site, to a public name."""
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8")):
        if target.startswith(("https://", "http://")):
            continue
        if made := re.search(r"(?:^|/)api/(.+)\.(?:rst|md)$", target):
            assert made[1] == "index" or pages_of_names().public(made[1]) is not None
        else:
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def pages_of_names():
    pytest.importorskip("sphinx")
    sys.path.insert(0, str(ROOT / "docs"))
    return importlib.import_module("reference_pages")


def test_every_public_name_has_a_page():
    import annkern as ak
    import annkern.io

    listed = [name for names in pages_of_names().rooms().values() for name in names]
    assert sorted(listed) == sorted([*ak.__all__, *(f"io.{name}" for name in annkern.io.__all__)])


def test_examples_of_constants():
    from annkern import io

    known = pages_of_names().CONSTANTS
    assert set(known) == {name for name in io.__all__ if not callable(getattr(io, name))}
    for _, example, shown in known.values():
        assert repr(eval(example, {"io": io})) == shown


def test_all_pages_are_reached():
    """By a list of contents: Sphinx warns of others, but it is not run here."""
    text = (ROOT / "docs" / "index.md").read_text()
    lists = "\n".join(re.findall(r"^```{toctree}\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    lines = [line for line in lists.splitlines() if line and not line.startswith(":")]
    patterns = [re.sub(r"^.*<(.*)>$", r"\1", line) for line in lines]
    for path in PAGES:
        name = path.relative_to(ROOT / "docs").with_suffix("").as_posix()
        assert name == "index" or any(Path(name).match(pattern) for pattern in patterns), name


def test_pictures_are_those_that_the_script_draws(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "pictures"))
    for name, text in importlib.import_module("draw").drawn().items():
        assert (ROOT / "docs" / "pictures" / name).read_text() == text, f"{name}: python docs/pictures/draw.py"


def test_what_is_said_of_gpus_is_the_same_everywhere():
    said = {" ".join(text.split()): path.name for path in DOCUMENTS for text in GPU_STATUS.findall(path.read_text())}
    assert len(said) == 1, said


def test_the_landing_page_has_the_numbers_of_the_readme():
    readme, landing = ((ROOT / name).read_text() for name in ("README.md", "docs/index.md"))
    rows = [line for line in landing.splitlines() if "x / " in line]
    assert rows and rows == [line for line in readme.splitlines() if line.startswith("|") and "x / " in line]


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for path in DOCUMENTS:
        for target in re.findall(r"(?:^|`)make ([a-z]+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{path.name}: make {target}"
