# SPDX-License-Identifier: Apache-2.0
"""What a number depends on besides the method: the processor, the level in use, versions, settings of the environment."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import annkern as ak

TELLING = ("ANNKERN_", "OMP_", "OPENBLAS_", "MKL_", "NUMBA_", "GOMP_", "MALLOC_")


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def build_of_annkern() -> str:
    """Eight digits of the extension's bytes: a version number does not change with every build."""
    extension = importlib.import_module("annkern._cpu")
    assert extension.__file__ is not None
    return hashlib.sha256(Path(extension.__file__).read_bytes()).hexdigest()[:8]


def annkern_version() -> str:
    return f"{ak.__version__}+{build_of_annkern()}"


def about(threads: int) -> dict[str, Any]:
    backend = ak.backends()["cpu"]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    facts: dict[str, Any] = {
        "cpu": processor(),
        "isa": backend.get("isa"),
        "processors": len(os.sched_getaffinity(0)),
        "threads": threads,
        "memory_gib": round(pages / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "annkern": annkern_version(),
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(TELLING) and name != "ANNKERN_BUILD_DIR"
        },
    }
    facts["id"] = hashlib.sha256(json.dumps([facts[key] for key in ("cpu", "isa", "threads")]).encode()).hexdigest()[:8]
    # Of folders and files, only what they are called: the rest is of no use elsewhere.
    words = [Path(word).name if word.startswith("/") else word for word in sys.argv[1:]]
    facts["command"] = shlex.join(["annkern-bench", *words])
    return facts


def state() -> dict[str, Any]:
    """What changes from run to run: the date (UTC), how busy the machine is before the run, the memory that is free."""
    date = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    return {"date": date, "load": round(os.getloadavg()[0], 2), "memory_free_gib": round(memory_available() / 2**30, 1)}


def memory_available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 8 << 30
