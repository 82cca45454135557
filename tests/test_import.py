# SPDX-License-Identifier: Apache-2.0
"""Importing annkern is cheap, and brings in nothing but NumPy."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import json, sys, time
import numpy
before = set(sys.modules)
start = time.perf_counter()
import annkern
seconds = time.perf_counter() - start
print(json.dumps([seconds, sorted({name.partition(".")[0] for name in set(sys.modules) - before})]))
"""


def measured() -> tuple[float, list[str]]:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    seconds, roots = json.loads(done.stdout)
    return seconds, roots


def test_import_time():
    assert min(measured()[0] for _ in range(3)) < 0.15


def test_import_brings_no_other_library():
    _, roots = measured()
    assert set(roots) - sys.stdlib_module_names <= {"annkern"}


def test_extensions_are_loaded_when_needed():
    script = "import sys, annkern; sys.exit(any('annkern._c' + x in sys.modules for x in ('pu', 'uda')))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_reference_needs_numpy_alone():
    script = "import sys, annkern.reference as r; sys.exit('annkern._cpu' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
