# SPDX-License-Identifier: Apache-2.0
"""The house rules that a compiler does not hold: which layer may include which, what each object file may define, how long
a file may be, and what a wheel may contain."""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "python" / "annkern"
BUILD = ROOT / "build" / "release"

# Folder of csrc -> the folders that its files may include from, besides its own.
ARROWS = {
    "core": set(),
    "metric": {"core"},
    "store": {"metric", "core"},
    "ops": {"core"},
    "cpu": {"ops", "store", "metric", "core"},
    "cuda": {"ops", "store", "metric", "core"},
    "bind": {"ops", "core"},
    "emu": set(),
}
# The same within cpu and cuda: room -> the rooms that its files may include from, besides its own and what lies beside the
# rooms (cpu/ops.h).
CSRC_ROOMS = {
    "cpu/simd": set(),
    "cpu/codec": {"cpu/simd"},
    "cpu/distance": {"cpu/codec", "cpu/simd"},
    "cpu/exact": {"cpu/distance", "cpu/simd"},
    "cpu/graph": {"cpu/exact", "cpu/distance", "cpu/codec", "cpu/simd"},
    "cpu/ivf": {"cpu/exact", "cpu/distance", "cpu/simd"},
    "cuda/device": set(),
    "cuda/select": {"cuda/device"},
    "cuda/codec": {"cuda/device"},
    "cuda/distance": {"cuda/select", "cuda/codec", "cuda/device"},
    "cuda/stores": {"cuda/distance", "cuda/codec", "cuda/device"},
    "cuda/prefilter": {"cuda/distance", "cuda/select", "cuda/device"},
    "cuda/exact": {"cuda/prefilter", "cuda/distance", "cuda/select", "cuda/device"},
    "cuda/ivf": {"cuda/device"},
    "cuda/graph": {"cuda/distance", "cuda/codec", "cuda/device"},
    "cuda/graph/search": {"cuda/graph", "cuda/stores", "cuda/distance", "cuda/select", "cuda/device"},
    "cuda/graph/build": {
        "cuda/graph/search",
        "cuda/graph",
        "cuda/stores",
        "cuda/distance",
        "cuda/codec",
        "cuda/device",
    },
}
# The same for the rooms of the Python package; files at its root and `reference` stand outside.
BELOW_OPS = {"runtime", "files", "arrays"}
ROOMS = {
    "arrays": set(),
    "files": {"arrays"},
    "runtime": {"arrays"},
    "ops": BELOW_OPS,
    "stores": {"ops", *BELOW_OPS},
    "graphs": {"stores", "ops", *BELOW_OPS},
    "ivf": {"stores", "ops", *BELOW_OPS},
    "index": {"ivf", "graphs", "stores", "ops", *BELOW_OPS},
    "reference": set(),
}
CODE = {".h", ".cpp", ".cu", ".cuh", ".py", ".pyi", ".cmake", ".sh"}


def sources(*folders: Path, suffixes: set[str] = CODE) -> list[Path]:
    found = [path for folder in folders for path in folder.rglob("*") if path.suffix in suffixes]
    return [path for path in found if "__pycache__" not in path.parts]


def house() -> list[Path]:
    folders = (ROOT / name for name in ("csrc", "python", "tests", "bench", "examples", "tools", "cmake"))
    return sources(*folders)


def included(path: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("layer", ARROWS)
def test_includes_follow_the_arrows(layer):
    wrong = []
    for path in sources(CSRC / layer):
        for name in included(path):
            folder = name.split("/")[0] if "/" in name else layer
            if folder != layer and folder not in ARROWS[layer]:
                wrong.append(f"{path.relative_to(ROOT)} includes {name}")
    assert not wrong, f"{layer} may include from {sorted(ARROWS[layer]) or 'itself'} only"


def test_every_layer_has_its_arrows():
    folders = {path.name for path in CSRC.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert folders <= ARROWS.keys()


@pytest.mark.parametrize("room", CSRC_ROOMS)
def test_includes_follow_the_arrows_of_rooms(room):
    layer = room.split("/")[0]
    files = [path for path in sources(CSRC / room) if path.parent == CSRC / room]
    assert files
    used, wrong = set(), []
    for path in files:
        for name in included(path):
            folder = name.rpartition("/")[0]
            if folder.split("/")[0] == layer and folder not in (layer, room):
                used.add(folder)
                wrong += [f"{path.relative_to(ROOT)} includes {name}"] if folder not in CSRC_ROOMS[room] else []
    assert not wrong, f"{room} may include from {sorted(CSRC_ROOMS[room]) or 'itself'} only"
    assert used == CSRC_ROOMS[room], "an arrow that no file needs"


def test_every_room_of_csrc_has_its_arrows():
    """And what lies beside the rooms is what one backend needs once."""
    found = {path.parent.relative_to(CSRC).as_posix() for layer in ("cpu", "cuda") for path in sources(CSRC / layer)}
    assert found - {"cpu"} == CSRC_ROOMS.keys()
    assert {path.name for path in (CSRC / "cpu").iterdir() if path.is_file()} == {
        "dispatch.cpp",
        "levels.h",
        "ops.h",
        "threads.cpp",
    }


def test_arrows_have_no_circle():
    for arrows in (ARROWS, CSRC_ROOMS):
        order: list[str] = []
        while len(order) < len(arrows):
            free = [room for room in arrows if room not in order and arrows[room] <= set(order)]
            assert free, sorted(arrows.keys() - set(order))
            order += free


def test_emulator_knows_nothing_of_annkern():
    for path in sources(CSRC / "emu"):
        assert not re.search(r"\bannk::", path.read_text()), path
        assert all("/" not in name for name in included(path)), path


def imports(path: Path) -> set[str]:
    """Absolute names of what a module of the package imports."""
    found = set()
    package = ["annkern", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = package[: len(package) - node.level + 1] if node.level else []
            module = [*origin, *(node.module or "").split(".")]
            found |= {".".join(filter(None, [*module, alias.name])) for alias in node.names}
    return found


def module_name(path: Path) -> str:
    """ "ops.knn" of ops/knn.py; a package is named by its folder."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


EXTENSIONS = (["_cpu"], ["_cuda"], ["_emu"])  # whose stubs hold types; they import nothing


@functools.cache
def import_graph() -> dict[str, set[str]]:
    """Which files of the package import which, inside functions and under TYPE_CHECKING too."""
    modules = {module_name(path): path for path in sources(PACKAGE, suffixes={".py"})}
    graph = {}
    for name, path in modules.items():
        found = set()
        for full in imports(path):
            parts = full.split(".")[1:]
            if full.split(".")[0] == "annkern" and parts[:1] not in EXTENSIONS:
                longest = [".".join(parts[:count]) for count in range(len(parts), -1, -1)]
                found.add(next(module for module in longest if module in modules))
        graph[name] = found - {name}
    return graph


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_follow_the_arrows(room):
    wrong = []
    for name, imported in import_graph().items():
        for other in imported:
            roots = name.split(".")[0], other.split(".")[0]
            outside = other in ("", "_version") and room != "reference"
            if roots[0] == room and roots[1] not in {room, *ROOMS[room]} and not outside:
                wrong.append((name, other))
    assert not wrong, f"{room} may import from {sorted(ROOMS[room]) or 'itself'} only"


def test_every_room_has_its_arrows():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert folders == {*ROOMS, "bench"}


def circles(graph: dict[str, set[str]]) -> set[str]:
    """What is left once every file that imports nothing of the rest has been taken away."""
    left = dict(graph)
    while free := [name for name, imported in left.items() if not imported & left.keys()]:
        for name in free:
            del left[name]
    return set(left)


def test_no_circle_of_imports():
    assert not circles(import_graph())
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == {"a", "b", "c"}


def test_bench_sees_the_public_names_alone():
    public = {"", "io", "_cpu"}
    for name, imported in import_graph().items():
        if name.split(".")[0] == "bench":
            assert all(other.split(".")[0] == "bench" or other in public for other in imported), name


def test_reference_imports_numpy_alone():
    for path in sources(PACKAGE / "reference"):
        for name in imports(path):
            top = name.split(".")[0]
            own = name.startswith("annkern.reference")
            assert own or top == "numpy" or top in sys.stdlib_module_names, f"{path.name} imports {name}"


def test_product_never_imports_reference():
    for path in sources(PACKAGE, suffixes={".py"}):
        if "reference" not in path.parts:
            assert not any(name.startswith("annkern.reference") for name in imports(path)), path.name


def test_the_gil_is_given_back_in_one_way():
    """bind/gil.h: what pybind11 and CPython offer unwinds C++ frames where a program ends during a call."""
    ways = re.compile(r"gil_scoped_|PyEval_(Save|Restore)Thread|PyGILState_|Py_BEGIN_ALLOW_THREADS")
    for path in sources(ROOT / "csrc/bind", suffixes={".h", ".cpp"}):
        if path.stem != "gil":
            assert not ways.search(path.read_text()), path.name


def test_importing_annkern_imports_numpy_alone():
    """Array libraries are recognised by their arrays: importing them would cost seconds."""
    heavy = "{'torch', 'cupy', 'jax', 'scipy', 'matplotlib', 'faiss', 'safetensors'}"
    program = f"import sys, annkern; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"


def test_files_are_short_and_licensed():
    wrong = []
    for path in house():
        lines = path.read_text().splitlines()
        name = path.relative_to(ROOT)
        written = any("do not edit" in line for line in lines[:2])  # by a tool
        if len(lines) > 400 and not written:
            wrong.append(f"{name}: {len(lines)} lines, at most 400")
        wrong += [f"{name}:{i}: {len(line)} columns, at most 125" for i, line in enumerate(lines, 1) if len(line) > 125]
        if lines and not any("SPDX-License-Identifier: Apache-2.0" in line for line in lines[:2]):
            wrong.append(f"{name}: its first line names no licence")
        wrong += [f"{name}:{i}: {line}" for i, line in enumerate(lines, 1) if re.search("TO" + "DO|FIX" + "ME", line)]
    assert not wrong, "\n".join(wrong)


# Device code goes through the wrappers that the emulator can see.
FENCED = {
    r"\basm\b": {"ptx.cuh"},
    r"<<<": set(),
    r"__CUDA_ARCH__": {"ptx.cuh"},
    r"__shared__": {"device.cuh"},
}


@pytest.mark.parametrize("pattern", FENCED)
def test_cuda_uses_the_wrappers(pattern):
    for path in sources(CSRC / "cuda"):
        code = re.sub(r"//.*", "", path.read_text())
        if path.name not in FENCED[pattern]:
            assert not re.search(pattern, code), f"{path.name}: {pattern} belongs in {FENCED[pattern] or 'no file'}"


# What the build left: each per-ISA object may define, weakly, only what its own namespace marks as its own. A weak function
# of another name would be merged over the levels by the linker, and the AVX-512 copy might be the one that is kept.


def isa_objects() -> list[tuple[str, Path]]:
    objects = BUILD.glob("CMakeFiles/annk_cpu_*.dir/**/*.o")
    pairs = [(re.search(r"annk_cpu_(\w+)\.dir", str(path))[1], path) for path in objects]
    return [(level, path) for level, path in pairs if level != "once"]


def symbols(path: Path) -> list[tuple[str, str]]:
    listing = subprocess.check_output(["nm", "--demangle", str(path)], text=True)
    return [(kind, name) for kind, name in re.findall(r"^[0-9a-f ]{16} (\w) (.+)$", listing, re.MULTILINE)]


needs_build = pytest.mark.skipif(
    not isa_objects() or shutil.which("nm") is None, reason="no objects in build/release (make test leaves them), or no nm"
)
# Data alone, the same bytes at every level: inline constexpr tables, and the pointer to the exception personality.
HARMLESS = re.compile(r"^(annk::k[A-Z]\w*|DW\.ref\.__gxx_personality_v0)$")


def strays(level: str, path: Path) -> list[str]:
    weak = [name for kind, name in symbols(path) if kind in "WVu" and f"annk::{level}::" not in name]
    return [name for name in weak if not HARMLESS.match(name)]


@needs_build
def test_instruction_sets_share_no_code():
    found = [f"{level}/{path.name}: {name}" for level, path in isa_objects() for name in strays(level, path)]
    assert not found, "merged by the linker over instruction sets:\n" + "\n".join(found)


@needs_build
def test_instruction_sets_run_nothing_at_load():
    """A dynamic initialiser in an AVX-512 object runs on every machine that imports it."""
    for level, path in isa_objects():
        assert not [name for _, name in symbols(path) if "GLOBAL__sub_I" in name], f"{level}/{path.name}"


@pytest.mark.skipif(shutil.which("c++") is None or shutil.which("nm") is None, reason="no compiler")
def test_stray_symbols_are_seen(tmp_path):
    """The check above can fail: a std algorithm over plain types leaves a weak copy."""
    source = tmp_path / "stray.cpp"
    source.write_text(
        "#include <algorithm>\nnamespace annk::avx2 { void f(float* x, long n) { std::sort(x, x + n); } }\n"
        "struct S { S(); };\nS s;\n"
    )
    subprocess.run(["c++", "-std=c++20", "-O1", "-c", source, "-o", tmp_path / "stray.o"], check=True)
    assert strays("avx2", tmp_path / "stray.o")
    assert any("GLOBAL__sub_I" in name for _, name in symbols(tmp_path / "stray.o"))


def modules() -> list[Path]:
    specs = [importlib.util.find_spec(f"annkern.{name}") for name in ("_cpu", "_cuda", "_emu")]
    return [Path(spec.origin) for spec in specs if spec and spec.origin]


@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm")
@pytest.mark.parametrize("path", modules(), ids=lambda path: path.name.split(".")[0])
def test_extension_needs_no_other_runtime(path):
    """No OpenMP, no libstdc++ and no CUDA library of the system: import works with none of them."""
    wanted = subprocess.check_output(["nm", "-D", "--undefined-only", str(path)], text=True)
    assert not re.findall(r"\b(?:GOMP_|omp_|__kmpc_)\w+|\S+@GLIBCXX\S+", wanted)
    exported = subprocess.check_output(["nm", "-D", "--defined-only", str(path)], text=True).split("\n")
    assert [line.split()[-1] for line in exported if line] == [f"PyInit_{path.name.split('.')[0]}"]
