# SPDX-License-Identifier: Apache-2.0
"""Importing annkern brings in nothing but NumPy; what the import costs is a row of bench/foundation.py."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import json, sys
import numpy
before = set(sys.modules)
import annkern
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def test_import_brings_no_other_library():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) - sys.stdlib_module_names <= {"annkern"}


def test_extensions_are_loaded_when_needed():
    script = "import sys, annkern; sys.exit(any('annkern._c' + x in sys.modules for x in ('pu', 'uda')))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_reference_needs_numpy_alone():
    script = "import sys, annkern.reference as r; sys.exit('annkern._cpu' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
