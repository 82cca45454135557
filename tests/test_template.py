# SPDX-License-Identifier: Apache-2.0
"""csrc/_template, which new metrics, stores and operations are copied from, compiles and computes: it cannot rot. The store
is added for real, to a copy of the tree: what CONTRIBUTING.md says it takes is all that it takes."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import annkern as ak
from annkern.runtime import backend

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
CHECK = ROOT / "tests" / "cpp" / "template_check.cpp"
EMULATED = [CSRC / "_template" / "row_sums.cu", *sorted((CSRC / "emu").glob("*.cpp"))]
BUILDS = {
    "cpu": (["-DANNK_ISA=baseline"], [CSRC / "_template" / "row_sums.cpp", CSRC / "cpu" / "threads.cpp"]),
    "emu": (["-DANNK_EMULATED", f"-I{CSRC / 'emu'}", "-Wno-unknown-pragmas"], EMULATED),
}


@pytest.mark.long
@pytest.mark.skipif(shutil.which("c++") is None, reason="no compiler")
@pytest.mark.parametrize("backend", BUILDS)
def test_template_computes(backend, tmp_path):
    flags, sources = BUILDS[backend]
    if platform.machine() == "x86_64":
        flags = [*flags, "-march=x86-64-v2"]
    program = tmp_path / "check"
    units = [argument for source in [CHECK, *sources] for argument in ("-x", "c++", str(source))]
    subprocess.run(["c++", "-std=c++20", "-O1", *flags, f"-I{CSRC}", *units, "-o", program, "-pthread", "-ldl"], check=True)
    subprocess.run([program], check=True, timeout=60)


# To add a store: its own files, and lines (file, the text that they follow or replace, the text with them).
STORE_FILES = {
    "absmax.h": "csrc/store/absmax.h",
    "absmax_codec.h": "csrc/cpu/codec/absmax_codec.h",
    "absmax_codec.cuh": "csrc/cuda/codec/absmax_codec.cuh",
    "absmax.py": "python/annkern/stores/absmax.py",
    "absmax_reference.py": "python/annkern/reference/absmax.py",
}
STORE_LINES = [
    ("csrc/core/kinds.h", r"(#define ANNK_STORES\(X\) .*)", r"\1 X(absmax, absmax)"),
    ("csrc/cpu/codec/codecs.cpp", r'(#include "cpu/codec/codec.h"\n)', r'#include "cpu/codec/absmax_codec.h"\n\1'),
    (
        "csrc/cpu/codec/codecs.cpp",
        r"(    case StoreKind::lvq:\n)",
        r"    case StoreKind::absmax:\n      return std::make_unique<AbsmaxCodec>(store);\n\1",
    ),
    (
        "csrc/cuda/codec/codecs.cuh",
        r'(#include "cuda/codec/lvq_codec.cuh"\n)',
        r'#include "cuda/codec/absmax_codec.cuh"\n\1',
    ),
    (
        "csrc/cuda/codec/codecs.cuh",
        r"(    case StoreKind::lvq:\n)",
        r"    case StoreKind::absmax:\n      return body(AbsmaxCodec(store));\n\1",
    ),
    ("python/annkern/stores/__init__.py", r"(from \.array import Cast\n)", r"from .absmax import Absmax\n\1"),
    ("python/annkern/stores/__init__.py", r"(__all__ = \[)", r'\1"Absmax", '),
    ("python/annkern/__init__.py", r"(from \.stores import )", r"\1Absmax, "),
    ("python/annkern/__init__.py", r"(__all__ = \[\n)", r'\1    "Absmax",\n'),
]
# The list of stores has grown at its end, so that only what names stores must be compiled again: the rest is the build's.
COMPILED = {
    "_cpu": ["csrc/bind/module.cpp", "csrc/cpu/codec/codecs.cpp"],
    "_emu": ["csrc/bind/module.cpp", "csrc/cuda/codec/encode.cu", "csrc/cuda/codec/decode.cu"],
}
CONFORMANCE = ["test_stores.py", "test_store_backends.py", "test_files.py", "test_registry.py::test_stores"]
# Of an editable install, only its finder would be asked.
RUN = """
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
sys.meta_path[:] = [BuiltinImporter, FrozenImporter, PathFinder]
sys.path.insert(0, sys.argv[1])
import numpy as np
import annkern as ak
from annkern.reference import absmax as reference
assert ak.__file__.startswith(sys.argv[1]), ak.__file__
x = np.random.default_rng(0).standard_normal((300, 65), dtype=np.float32)
x[7] = 0
store, (codes, scales) = ak.compress(x, "absmax8"), reference.encode(x)
np.testing.assert_array_equal(store.arrays["codes"], codes)
np.testing.assert_array_equal(store.arrays["scales"], scales)
assert store.decode().tobytes() == reference.decode(codes, scales).tobytes()
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""


def test_contributing_counts_the_places_of_a_store():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    title = re.search(r"^## To add a store: (\d+) files of its own, lines in (\d+)$", text, re.MULTILINE)
    assert title, "CONTRIBUTING.md has no such section"
    section = text[title.end() : text.index("\n## ", title.end())]
    assert [int(count) for count in title.groups()] == [len(STORE_FILES), len({file for file, _, _ in STORE_LINES})]
    for path in {file for file, _, _ in STORE_LINES}:
        assert path.removeprefix("python/annkern/") in section, path


def with_the_store(tree: Path) -> None:
    """A copy of the tree to which the store has been added."""
    for folder in ("csrc", "python", "tests"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    for name, target in STORE_FILES.items():
        shutil.copy(CSRC / "_template" / name, tree / target)
    for name, pattern, replacement in STORE_LINES:
        text, changed = re.subn(pattern, replacement, (tree / name).read_text(), count=1)
        assert changed, f"{name}: {pattern}"
        (tree / name).write_text(text)


def built_with(tree: Path, module: str, level: str, objects: Path) -> None:
    """The extension of the copy: what knows stores compiled as the build did, linked before the build's other objects."""
    build = ROOT / "build" / "release"
    commands = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        arguments = shlex.split(entry["command"])
        output = arguments[arguments.index("-o") + 1]
        commands[output] = (arguments, Path(entry["file"]).relative_to(ROOT).as_posix())
    group = {"_cpu": ("annk_cpu_", "_cpu"), "_emu": ("annk_emu", "_emu")}[module]
    ours = re.compile(rf"CMakeFiles/({group[0]}\w*|{group[1]})\.dir/")
    # Levels that this build left out have commands, but no objects.
    own = {out: made for out, made in commands.items() if ours.match(out) and (build / out).exists()}
    again = [
        out
        for out, (_, source) in own.items()
        if source in COMPILED[module] and not (source == "csrc/cpu/codec/codecs.cpp" and f"annk_cpu_{level}." not in out)
    ]
    assert len(again) == len(COMPILED[module]), again

    def compiled(out: str) -> Path:
        arguments = [argument.replace(f"{ROOT}/csrc", f"{tree}/csrc") for argument in own[out][0]]
        target = objects / f"{module}-{Path(out).name}"
        arguments[arguments.index("-o") + 1] = str(target)
        subprocess.run([*arguments, "-O1"], check=True, cwd=build)
        return target

    with ThreadPoolExecutor(2) as pool:
        fresh = list(pool.map(compiled, again))
    rest = [str(build / out) for out in own if out not in again]
    suffix = Path(backend.load("cpu").__file__).name.split(".", 1)[1]
    target = tree / "python" / "annkern" / f"{module}.{suffix}"
    script = f"-Wl,--version-script={ROOT / 'cmake' / 'exports.map'}"
    subprocess.run(["c++", "-shared", "-o", target, *fresh, *rest, "-pthread", "-ldl", script], check=True)


@pytest.mark.long
@pytest.mark.skipif(not (ROOT / "build/release/compile_commands.json").exists(), reason="the build is elsewhere")
@pytest.mark.skipif(shutil.which("c++") is None, reason="no compiler")
def test_a_store_is_added(tmp_path):
    """The tests that walk all stores meet the new one, on the CPU and through the emulator."""
    tree, level = tmp_path / "tree", ak.backends()["cpu"]["isa"]
    with_the_store(tree)
    for module in ("_cpu", *(["_emu"] if importlib.util.find_spec("annkern._emu") else [])):
        built_with(tree, module, level, tmp_path)
    paths = [str(tree / "tests" / name) for name in CONFORMANCE]
    options = ["-q", "-p", "no:cacheprovider", "-k", "absmax8 or test_registry", f"--rootdir={tree}"]
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tree / "python"), *options, *paths],
        env={**os.environ, "ANNKERN_ISA": level, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 40, done.stdout[-2000:]
