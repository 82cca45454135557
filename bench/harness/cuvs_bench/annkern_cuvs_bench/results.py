# SPDX-License-Identifier: Apache-2.0
"""result/build/ALGO,GROUP.json and result/search/ALGO,GROUP,kK,bsB.json: what cuvs-bench exports to CSV and plots."""

import json
import os
import platform
import time
from pathlib import Path

import annkern as ak


def benchmarks(path):
    """The rows of a file; none where it is not there, or was left half written."""
    try:
        return json.loads(path.read_text())["benchmarks"]
    except (FileNotFoundError, ValueError, KeyError):
        return []


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    context = {"date": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "host_name": platform.node(), "annkern": ak.__version__}
    context["isa"] = ak.backends()["cpu"].get("isa")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")  # its name must not end in .json: exports read all of those
    temporary.write_text(json.dumps({"context": context, "benchmarks": rows}, indent=1))
    os.replace(temporary, path)


def add_build(folder, name, row):
    """In the place of an earlier build of the same index."""
    path = Path(folder) / "build" / f"{name}.json"
    write(path, [old for old in benchmarks(path) if old["name"] != row["name"]] + [row])


def add_searches(folder, name, rows, fresh):
    """After those that are there, or, where `fresh`, in their place."""
    path = Path(folder) / "search" / f"{name}.json"
    write(path, ([] if fresh else benchmarks(path)) + rows)
