# SPDX-License-Identifier: Apache-2.0
"""csrc/_template, which new metrics, stores and operations are copied from, compiles and computes: it cannot rot. The metric
and the store are added for real, to a copy of the tree: what CONTRIBUTING.md says it takes is all that it takes."""

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
from dataclasses import dataclass
from pathlib import Path

import pytest

import annkern as ak
from annkern.runtime import backend

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
CHECK = ROOT / "tests" / "cpp" / "template_check.cpp"
EMULATED = [CSRC / "_template" / "row_sums.cu", *sorted((CSRC / "emu").glob("*.cpp"))]
LEVELS = {"baseline", "avx2", "avx512", "avx512vnni", "neon"}
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


@dataclass(frozen=True)
class Addition:
    files: dict[str, str]  # of csrc/_template -> where they are copied to
    lines: list[tuple[str, str, str]]  # file, the text that they follow or replace, the text with them
    # The lists have grown at their ends, so that only what visits them must be compiled again: the rest is the build's.
    compiled: dict[str, list[str]]
    program: str  # that compares the kernels with the definition; sys.argv: where the package lies, then arguments of pytest

    def places(self) -> set[str]:
        return {*self.files.values(), *(file for file, _, _ in self.lines)}


STORE = Addition(
    files={
        "absmax.h": "csrc/store/absmax.h",
        "absmax_codec.cpp": "csrc/cpu/codec/absmax_codec.cpp",
        "absmax_codec.cuh": "csrc/cuda/codec/absmax_codec.cuh",
        "absmax.py": "python/annkern/stores/absmax.py",
        "absmax_reference.py": "python/annkern/reference/absmax.py",
    },
    lines=[
        ("csrc/core/kinds.h", r"(#define ANNK_CODED_STORES\(X\) .*)", r"\1 X(absmax, Absmax, decoded, decoded)"),
        (
            "csrc/cuda/codec/codecs.cuh",
            r'(#include "cuda/codec/lvq_codec.cuh"\n)',
            r'#include "cuda/codec/absmax_codec.cuh"\n\1',
        ),
        ("python/annkern/stores/__init__.py", r"(from \.array import Cast\n)", r"from .absmax import Absmax\n\1"),
        ("python/annkern/stores/__init__.py", r"(__all__ = \[)", r'\1"Absmax", '),
        ("python/annkern/__init__.py", r"(from \.stores import )", r"\1Absmax, "),
        ("python/annkern/__init__.py", r"(__all__ = \[\n)", r'\1    "Absmax",\n'),
    ],
    compiled={
        "_cpu": [
            "csrc/bind/module.cpp",
            "csrc/cpu/codec/absmax_codec.cpp",
            "csrc/cpu/codec/codecs.cpp",
            "csrc/cpu/distance/tiles.cpp",
        ],
        "_emu": [
            "csrc/bind/module.cpp",
            "csrc/cuda/codec/encode.cu",
            "csrc/cuda/codec/decode.cu",
            "csrc/cuda/distance/scan.cu",
        ],
    },
    program="""
from annkern.reference import absmax as reference
x = np.random.default_rng(0).standard_normal((300, 65), dtype=np.float32)
x[7] = 0
store, (codes, scales) = ak.compress(x, "absmax8"), reference.encode(x)
np.testing.assert_array_equal(store.arrays["codes"], codes)
np.testing.assert_array_equal(store.arrays["scales"], scales)
assert store.decode().tobytes() == reference.decode(codes, scales).tobytes()
""",
)
METRIC = Addition(
    files={"metric.h": "csrc/metric/canberra.h"},
    lines=[
        ("csrc/metric/all.h", r'(#include "metric/bits.h"\n)', r'\1#include "metric/canberra.h"\n'),
        ("csrc/core/kinds.h", r"(X\(chebyshev, Chebyshev, distance\))", r"\1 X(canberra, Canberra, distance)"),
        (
            "python/annkern/reference/metrics.py",
            r"(?=METRICS = \{)",
            (CSRC / "_template" / "metric.py").read_text().split("chain_bound\n", 1)[1].split("METRICS[", 1)[0].lstrip(),
        ),
        (
            "python/annkern/reference/metrics.py",
            r"(Metric\(\"chebyshev\", .*\n)",
            r'\1        Metric("canberra", canberra, canberra_bound),\n',
        ),
        (
            "tests/cpp/plain_metric.h",
            r"(    case Metric::hamming:\n)",
            r"    case Metric::canberra:\n      for (int64_t j = 0; j < d; ++j)\n"
            r"        canberra += std::abs(q[j]) + std::abs(x[j]) > 0 ? "
            r"std::abs(q[j] - x[j]) / (std::abs(q[j]) + std::abs(x[j])) : 0;\n"
            r"      return {canberra, 2 * chain * canberra};\n\1",
        ),
        ("tests/cpp/plain_metric.h", r"(  double sum = 0, )", r"\1canberra = 0, "),
    ],
    compiled={
        "_cpu": [
            "csrc/bind/module.cpp",
            "csrc/cpu/distance/tiles.cpp",
            "csrc/cpu/distance/tiles_float_others.cpp",
            "csrc/cpu/distance/tiles_lvq.cpp",
        ],
        "_emu": ["csrc/bind/module.cpp", "csrc/cuda/distance/prepare.cu", "csrc/cuda/distance/scan_steps.cu"],
    },
    program="""
x = np.random.default_rng(0).standard_normal((300, 65), dtype=np.float32)
x[7] = x[:, 5] = 0
size = np.abs(x[:9, None]) + np.abs(x)
terms = np.abs(x[:9, None].astype(float) - x) / np.where(size > 0, size, 1)
np.testing.assert_allclose(ak.pairwise(x[:9], x, "canberra"), terms.sum(-1), rtol=65 * 2.0**-23)
store = ak.compress(x, "sq8", "canberra")  # whose kernels are for other metrics: rows are decoded
for got, want in zip(ak.knn(store, x[:9], 20), ak.knn(store.decode(), x[:9], 20, metric="canberra")):
    np.testing.assert_array_equal(got, want)
""",
)
# Of an editable install, only its finder would be asked.
RUN = """
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
sys.meta_path[:] = [BuiltinImporter, FrozenImporter, PathFinder]
sys.path.insert(0, sys.argv[1])
import numpy as np
import annkern as ak
assert ak.__file__.startswith(sys.argv[1]), ak.__file__
{program}
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""


def guide(title: str) -> tuple[str, str]:
    """The heading of a section of CONTRIBUTING.md that begins so, and its text."""
    heading, text = re.search(
        rf"^## (To add {title}[^\n]*)\n(.*?)(?=^## )", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL
    ).groups()
    return heading, text


def test_contributing_counts_the_places():
    heading, text = guide("a store")
    lines = {file for file, _, _ in STORE.lines}
    assert heading == f"To add a store: {len(STORE.files)} files of its own, lines in {len(lines)}"
    assert all(path.removeprefix("python/annkern/") in text for path in lines)
    heading, text = guide("a metric")
    assert heading == f"To add a metric: {len(METRIC.places())} places"
    assert all(path.replace("canberra", "<name>") in text for path in METRIC.places())
    assert len(re.findall(r"^\d\. ", text, re.MULTILINE)) == len(METRIC.places())


def test_contributing_counts_the_places_of_an_operation():
    """Each of them holds the operations that there are."""
    heading, text = guide("an operation")
    places = re.findall(r"^\d\. (.*)$", text, re.MULTILINE)
    assert heading == f"To add an operation: {len(places)} places"
    rooms = {"csrc/cpu/<room>": "csrc/cpu/exact", "csrc/cuda/<room>": "csrc/cuda/exact", "<family>": "exact"}
    for operation in ("knn", "pairwise", "radius", "distances"):
        for place in places:
            path = re.findall(r"`([\w/<>.]+/[\w/<>.]+)`", place)[0].replace("<op>", operation)
            for name, own in rooms.items():
                path = path.replace(name, own)
            if not path.startswith("tests/") or operation != "distances":
                assert operation in path or operation in (ROOT / path).read_text(), place
                assert (ROOT / path).exists(), place


def with_the(addition: Addition, tree: Path) -> None:
    """A copy of the tree to which it has been added."""
    for folder in ("csrc", "python", "tests", "tools"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    for name, target in addition.files.items():
        shutil.copy(CSRC / "_template" / name, tree / target)
    for name, pattern, replacement in addition.lines:
        text, changed = re.subn(pattern, replacement, (tree / name).read_text(), count=1)
        assert changed, f"{name}: {pattern}"
        (tree / name).write_text(text)


def built_with(addition: Addition, tree: Path, module: str, level: str, objects: Path) -> None:
    """The extension of the copy: what visits the list compiled as the build did, linked before the build's other objects."""
    build = ROOT / "build" / "release"
    commands = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        arguments = shlex.split(entry["command"])
        output = arguments[arguments.index("-o") + 1]
        commands[output] = (arguments, Path(entry["file"]).relative_to(ROOT).as_posix())
    group = {"_cpu": ("annk_cpu_", "_cpu"), "_emu": ("annk_emu", "_emu")}[module]
    ours = re.compile(rf"CMakeFiles/({group[0]}\w*|{group[1]})\.dir/")
    # Levels that this build left out have commands, but no objects, or old ones.
    left_out = tuple(f"CMakeFiles/annk_cpu_{name}.dir/" for name in LEVELS - {*ak.backends()["cpu"]["built"]})
    own = {out: made for out, made in commands.items() if ours.match(out) and not out.startswith(left_out)}
    here = {source: out for out, (_, source) in own.items() if "annk_cpu_" not in out or f"annk_cpu_{level}." in out}
    again = {here[source] for source in addition.compiled[module] if source in here}

    def compiled(source: str) -> Path:
        """As the build compiled it, or for a new file, one beside it."""
        like = source if source in here else next(other for other in here if Path(other).parent == Path(source).parent)
        arguments = [argument.replace(f"{ROOT}/csrc", f"{tree}/csrc") for argument in own[here[like]][0]]
        arguments = [str(tree / source) if argument == str(tree / like) else argument for argument in arguments]
        target = objects / f"{module}-{Path(source).name}.o"
        arguments[arguments.index("-o") + 1] = str(target)
        subprocess.run([*arguments, "-O1"], check=True, cwd=build)
        return target

    with ThreadPoolExecutor(2) as pool:
        fresh = list(pool.map(compiled, addition.compiled[module]))
    rest = [str(build / out) for out in own if out not in again]
    suffix = Path(backend.load("cpu").__file__).name.split(".", 1)[1]
    target = tree / "python" / "annkern" / f"{module}.{suffix}"
    script = f"-Wl,--version-script={ROOT / 'cmake' / 'exports.map'}"
    subprocess.run(["c++", "-shared", "-o", target, *fresh, *rest, "-pthread", "-ldl", script], check=True)


def passed_with(addition: Addition, tmp_path: Path, which: str, tests: list[str]) -> int:
    """How many tests of the copy pass, all that were chosen."""
    tree, level = tmp_path / "tree", ak.backends()["cpu"]["isa"]
    with_the(addition, tree)
    for module in addition.compiled:
        if importlib.util.find_spec(f"annkern.{module}"):
            built_with(addition, tree, module, level, tmp_path)
    paths = [str(tree / "tests" / name) for name in tests]
    options = ["-q", "-p", "no:cacheprovider", "-k", which, f"--rootdir={tree}"]
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(program=addition.program), str(tree / "python"), *options, *paths],
        env={**os.environ, "ANNKERN_ISA": level, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return int(re.search(r"(\d+) passed", done.stdout)[1])


needs_build = pytest.mark.skipif(
    not (ROOT / "build/release/compile_commands.json").exists() or shutil.which("c++") is None,
    reason="the build is elsewhere",
)


@pytest.mark.long
@needs_build
def test_a_store_is_added(tmp_path):
    """The tests of all stores include the new one, on the CPU and through the emulator."""
    tests = ["test_stores.py", "test_store_backends.py", "test_files.py", "test_registry.py::test_stores"]
    assert passed_with(STORE, tmp_path, "absmax8 or test_registry", tests) > 40


@pytest.mark.long
@needs_build
def test_a_metric_is_added(tmp_path):
    """The tests of all metrics include the new one."""
    tests = ["test_pairwise.py", "test_knn.py", "test_radius.py", "test_registry.py::test_metrics"]
    assert passed_with(METRIC, tmp_path, "canberra or test_registry", tests) > 20
    check_metrics(tmp_path / "tree", tmp_path)


def check_metrics(tree: Path, folder: Path) -> None:
    flags = ["-march=x86-64-v3"] if platform.machine() == "x86_64" else []
    source, program = tree / "tests/cpp/metric_check.cpp", folder / "metric_check"
    flags = [*flags, "-DANNK_ISA=baseline", "-Werror=switch", f"-I{tree / 'csrc'}"]
    subprocess.run(["c++", "-std=c++20", "-O1", *flags, source, "-o", program], check=True)
    done = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(shutil.which("c++") is None, reason="no compiler")
def test_metrics_on_floats_and_registers(tmp_path):
    check_metrics(ROOT, tmp_path)
