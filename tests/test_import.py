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


def test_device_extensions_are_loaded_when_needed():
    script = "import sys, annkern; sys.exit(any('annkern._' + x in sys.modules for x in ('cuda', 'emu')))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_reference_needs_numpy_alone():
    script = (
        "import sys; sys.modules['annkern._cpu'] = None; import numpy as np, annkern.reference as r;"
        "r.knn(np.ones((1, 2), 'f'), np.ones((3, 2), 'f'), 1); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
