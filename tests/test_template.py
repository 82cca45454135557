# SPDX-License-Identifier: Apache-2.0
"""csrc/_template, which new metrics and operations are copied from, compiles and computes: it cannot rot."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
CHECK = ROOT / "tests" / "cpp" / "template_check.cpp"
EMULATED = [CSRC / "_template" / "row_sums.cu", *sorted((CSRC / "emu").glob("*.cpp"))]
BUILDS = {
    "cpu": (["-DANNK_ISA=baseline"], [CSRC / "_template" / "row_sums.cpp", CSRC / "cpu" / "threads.cpp"]),
    "emu": (["-DANNK_EMULATED", f"-I{CSRC / 'emu'}", "-Wno-unknown-pragmas"], EMULATED),
}


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
