# SPDX-License-Identifier: Apache-2.0
"""tools/compile_times.py: no object takes too long to compile."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parent.parent / "tools/compile_times.py"


def build(folder: Path, slow: int) -> Path:
    """A log in which one object took so many milliseconds when it was last compiled, and 99 took a second each."""
    lines = ["# ninja log v7", "0\t90000\t1\ta.dir/csrc/slow.cpp.o\tf0", "0\t90000\t1\t_cpu.so\tf1"]
    lines += [f"{i}\t{i + 1000}\t1\ta.dir/csrc/{i}.cpp.o\tf2" for i in range(99)]
    lines += [f"5\t{5 + slow}\t1\ta.dir/csrc/slow.cpp.o\tf3"]
    (folder / ".ninja_log").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("slow, used, status", [(4_000, None, 0), (6_000, 24.0, 0), (6_000, 26.0, 1)])
def test_an_object_over_its_share_is_compiled_again(tmp_path, monkeypatch, capsys, slow, used, status):
    tool = runpy.run_path(str(TOOL))
    asked = []
    tool["main"].__globals__["cpu_seconds"] = lambda folder, output: asked.append(output) or used
    monkeypatch.setattr(sys, "argv", ["compile_times.py", str(build(tmp_path, slow))])
    assert tool["main"]() == status
    assert capsys.readouterr().out.startswith(f"100 objects, {99 + slow // 1000} s")
    assert asked == ([] if used is None else ["a.dir/csrc/slow.cpp.o"])


def test_a_log_without_objects(tmp_path):
    (tmp_path / ".ninja_log").write_text("# ninja log v7\n")
    ran = subprocess.run([sys.executable, TOOL, tmp_path], capture_output=True, text=True)
    assert ran.returncode == 1 and "expected compiled objects" in ran.stderr
