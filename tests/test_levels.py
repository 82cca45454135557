# SPDX-License-Identifier: Apache-2.0
"""Which instruction sets a build has, and what becomes of a build that this machine's processor cannot run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import annkern as ak
from annkern.runtime import backend

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
TOOLS = [shutil.which(name, path=PATH) for name in ("cmake", "ninja", "c++")]


def configure(folder: Path, levels: str) -> tuple[int, str]:
    """The status of cmake and what it says, in one line."""
    cmake, ninja, _ = TOOLS
    settings = {"CMAKE_MAKE_PROGRAM": ninja, "Python_EXECUTABLE": sys.executable, "ANNKERN_CUDA": "OFF"}
    settings["ANNKERN_ISA_LEVELS"] = levels
    given = [f"-D{name}={value}" for name, value in settings.items()]
    done = subprocess.run(
        [cmake, "-G", "Ninja", "-S", ROOT, "-B", folder, *given], capture_output=True, text=True, check=False
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.mark.skipif(None in TOOLS, reason="needs cmake, ninja and a compiler")
def test_native_is_the_best_level_that_this_machine_runs(tmp_path):
    status, said = configure(tmp_path, "NATIVE")
    assert status == 0, said
    assert f"CPU levels: {ak.backends()['cpu']['runnable'][-1]} " in said


@pytest.mark.skipif(None in TOOLS, reason="needs cmake, ninja and a compiler")
def test_an_unknown_level_is_refused_by_the_build(tmp_path):
    known = ak.backends()["cpu"]["built"][-1]
    status, said = configure(tmp_path, f"{known};avx1024")
    assert status != 0
    assert re.search(rf"ANNKERN_ISA_LEVELS: expected NATIVE, or some of .*{known}.*; got avx1024", said), said


# Of an editable install, only its finder would be asked.
IMPORT = """
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
sys.meta_path[:] = [BuiltinImporter, FrozenImporter, PathFinder]
sys.path.insert(0, sys.argv[1])
import annkern
"""


@pytest.mark.skipif(not (BUILD / "compile_commands.json").exists(), reason="the build is elsewhere")
@pytest.mark.skipif(None in (shutil.which("c++"), shutil.which("nm")), reason="no compiler")
def test_a_build_for_another_processor_is_refused_at_import(tmp_path):
    """This build's dispatcher and bindings over one level, which no processor runs."""
    commands = {}
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        arguments = shlex.split(entry["command"])
        commands[arguments[arguments.index("-o") + 1]] = arguments
    once = [out for out in commands if re.match(r"CMakeFiles/(_cpu|annk_cpu_once)\.dir/", out)]
    (dispatch,) = (out for out in once if out.endswith("/dispatch.cpp.o"))
    arguments = [re.sub(r"^-DANNK_ISA_LEVELS.*", "-DANNK_ISA_LEVELS(X)=X(imaginary)", word) for word in commands[dispatch]]
    fresh = tmp_path / "dispatch.o"
    arguments[arguments.index("-o") + 1] = str(fresh)
    subprocess.run([*arguments, "-O0"], check=True, cwd=BUILD)
    wanted = subprocess.check_output(["nm", "--undefined-only", fresh], text=True).split()
    nowhere = [f"-Wl,--defsym={name}=0" for name in wanted if "9imaginary" in name]
    assert len(nowhere) > 10
    package = tmp_path / "annkern"
    shutil.copytree(ROOT / "python" / "annkern", package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    module = package / Path(backend.load("cpu").__file__).name
    rest = [str(BUILD / out) for out in once if out != dispatch]
    subprocess.run(["c++", "-shared", "-o", module, fresh, *rest, *nowhere, "-pthread", "-ldl"], check=True)
    done = subprocess.run([sys.executable, "-c", IMPORT, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done
    assert "ImportError: annkern: this processor runs none of the instruction sets in this build (imaginary)" in done.stderr
