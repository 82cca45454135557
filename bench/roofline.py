# SPDX-License-Identifier: Apache-2.0
"""The two ceilings of this machine, by bench/peaks.cpp: multiply-adds on registers, and a plain sum over an array."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("peaks.cpp")
LEVELS = {"baseline": "x86-64-v2", "avx2": "x86-64-v3", "avx512": "x86-64-v4", "avx512vnni": "x86-64-v4"}


def program(isa: str) -> Path:
    """Compiled for the level in use, once a machine."""
    march = LEVELS.get(isa, "native")
    made = Path(tempfile.gettempdir()) / f"annkern-peaks-{os.getuid()}-{march}"
    if not made.exists() or made.stat().st_mtime < SOURCE.stat().st_mtime:
        flag = f"-march={march}" if platform.machine() == "x86_64" else f"-mcpu={march}"
        flags = ["-std=c++20", "-O3", "-ffp-contract=fast", "-pthread", flag]
        subprocess.run([os.environ.get("CXX", "c++"), *flags, str(SOURCE), "-o", str(made)], check=True)
    return made


def peaks(isa: str, threads: int, nbytes: int, runs: int = 3) -> dict[str, float]:
    """{"gflops", "read_gbs"}, the best of several runs: the clock of a shared machine moves."""
    command = [program(isa), str(threads), str(nbytes)]
    found = [json.loads(subprocess.check_output(command)) for _ in range(runs)]
    return {name: max(run[name] for run in found) for name in found[0]}
