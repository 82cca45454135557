# SPDX-License-Identifier: Apache-2.0
"""The GPU validation runs its stages on the emulator: it goes on past a failing one, and from where it was stopped."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

GPU = Path(__file__).resolve().parent.parent / "bench" / "gpu"
pytestmark = pytest.mark.skipif(importlib.util.find_spec("annkern._emu") is None, reason="the emulator is not built")


@pytest.fixture(scope="module")
def validate():
    spec = importlib.util.spec_from_file_location("validate", GPU / "validate.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["validate"] = module
    spec.loader.exec_module(module)
    return module


def state(folder):
    return json.loads((folder / "validate.json").read_text())


def test_dry_run(validate, tmp_path, capsys):
    short = "gpu,build,test merge_topk,streams and graphs,smoke,bench"
    assert validate.main([str(tmp_path), "--dry-run", "--only", short]) == 0, capsys.readouterr().out
    rows = {row["stage"]: row["status"] for row in state(tmp_path)["stages"]}
    assert set(rows) == set(short.split(",")) and set(rows.values()) <= {"passed", "left out"}
    assert rows["smoke"] == rows["bench"] == rows["streams and graphs"] == "passed"
    what = [row["what"] for row in state(tmp_path)["bench"]["rows"]]
    assert any(name.startswith("knn float16") for name in what) and any(name.startswith("select_k") for name in what)
    assert all(isinstance(row["seconds"]["annkern"], float) for row in state(tmp_path)["bench"]["rows"])
    text = (tmp_path / "validate.html").read_text()
    assert "knn hamming" in text and "streams and graphs" in text
    capsys.readouterr()
    assert validate.main([str(tmp_path), "--dry-run", "--only", "build,smoke"]) == 0
    assert capsys.readouterr().out.count("passed before") == 2


def test_failures_hangs_and_missing_programs_are_written_down(validate, tmp_path, monkeypatch):
    kinds = [
        validate.Stage("fails", [sys.executable, "-c", "print('why'); raise SystemExit(3)"]),
        validate.Stage("hangs", [sys.executable, "-c", "import time; time.sleep(60)"]),
        validate.Stage("missing", ["none"], "no-such-program"),
        validate.Stage("good", [sys.executable, "-c", "print('fine')"]),
    ]
    monkeypatch.setattr(validate, "stages", lambda dry, folder: kinds)
    assert validate.main([str(tmp_path), "--dry-run", "--seconds", "1.5"]) == 1
    rows = {row["stage"]: row for row in state(tmp_path)["stages"]}
    assert rows["fails"]["why"] == "status 3" and rows["fails"]["end"] == ["why"]
    assert "longer than" in rows["hangs"]["why"] and rows["missing"]["status"] == "left out"
    assert rows["good"]["status"] == "passed"
    kinds[0].command = [sys.executable, "-c", "pass"]
    kinds[1].command = [sys.executable, "-c", "pass"]
    assert validate.main([str(tmp_path), "--dry-run"]) == 0  # what failed is tried again


def test_every_stage_has_its_like_on_hardware(validate, tmp_path):
    dry, real = ([stage.name for stage in validate.stages(kind, tmp_path)] for kind in (True, False))
    assert dry == real and len(real) == len(set(real))
    commands = {stage.name: stage.command for stage in validate.stages(False, tmp_path)}
    assert commands["racecheck"][:3] == ["compute-sanitizer", "--tool", "racecheck"]


def test_unknown_stage(validate, tmp_path):
    with pytest.raises(SystemExit):
        validate.main([str(tmp_path), "--only", "nothing"])
