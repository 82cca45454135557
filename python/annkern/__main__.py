# SPDX-License-Identifier: Apache-2.0
"""python -m annkern: what is here, and where."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import annkern

from .runtime.backend import NAMES


def main() -> None:
    annkern.show_config()
    package = Path(annkern.__file__).parent
    print(f"  package    {package}")
    for name in NAMES:
        module = find_spec(f"annkern._{name}")  # beside the package, or where an editable install keeps it
        if module is not None:
            print(f"  {name:10} {module.origin}")
    print(f"  Python     {sys.version.split()[0]}, {sys.executable}")
    print(f"  NumPy      {np.__version__}, {Path(np.__file__).parent}")
    print("  commands   annkern-bench (pip install '.[bench]' in a clone); help: python -c 'import annkern; help(annkern)'")


if __name__ == "__main__":
    main()
