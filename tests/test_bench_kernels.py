# SPDX-License-Identifier: Apache-2.0
"""The micro-benchmarks run, declare what they move, and say what became slower."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

KERNELS = Path(__file__).resolve().parent.parent / "bench" / "kernels"


@pytest.fixture(scope="module")
def kernels():
    sys.path.insert(0, str(KERNELS))
    spec = importlib.util.spec_from_file_location("kernels_run", KERNELS / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ROW = {"name": "x", "seconds": 1.0, "noise": 0.01, "bytes": 2e9, "flops": 1e9}


def test_runs_and_compares(kernels, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(kernels.roofline, "peaks", lambda *_: {"gflops": 100.0, "read_gbs": 20.0})  # takes seconds
    out = tmp_path / "r.json"
    arguments = ["--small", "--only", "knn inner_product f*", "--rounds", "2"]
    assert kernels.main([*arguments, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "knn inner_product float32 m=1" in text and "of the ceiling" in text
    saved = json.loads(out.read_text())
    for row in saved["rows"]:
        row["seconds"] /= 100
    out.write_text(json.dumps(saved))
    assert kernels.main([*arguments, "--against", str(out)]) == 1
    assert "SLOWER" in capsys.readouterr().out
    saved["about"]["threads"] = 77
    out.write_text(json.dumps(saved))
    assert kernels.main([*arguments, "--against", str(out)]) == 2


def test_noise_is_no_loss(kernels):
    assert kernels.compare([ROW | {"seconds": 1.04}], [ROW]) == []
    assert kernels.compare([ROW | {"seconds": 1.06}], [ROW]) == ["x"]
    assert kernels.compare([ROW | {"seconds": 1.3, "noise": 0.2}], [ROW]) == []
    assert kernels.compare([ROW | {"name": "new"}], [ROW]) == []


def test_shares(kernels):
    assert kernels.shares(ROW, {"read_gbs": 4.0, "gflops": 10.0}) == (2.0, 1.0, "memory", 0.5)


def test_every_case_runs(kernels):
    names = set()
    for work in (work for group in kernels.works.table("small") for work in group):
        work.run(1)
        assert work.nbytes > 0 and work.name not in names
        names.add(work.name)
    assert {"knn", "pairwise", "radius", "select_k", "merge_topk"} <= {name.split()[0] for name in names}


def test_unknown_names(kernels, capsys):
    assert kernels.main(["--only", "nothing*", "--small"]) == 2
