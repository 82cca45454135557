# SPDX-License-Identifier: Apache-2.0
"""``python -m annkern_cuvs_bench OPTIONS``: the command line of cuvs-bench, with annkern registered and chosen."""

import sys
from pathlib import Path

from cuvs_bench.run.__main__ import main

from . import register

# Later options win, so that a user's stay what they are.
CHOSEN = ["--backend-config", str(Path(__file__).with_name("backend.yaml")), "--algorithms", "annkern"]

if __name__ == "__main__":
    register()
    main(args=CHOSEN + sys.argv[1:], prog_name="annkern_cuvs_bench")
