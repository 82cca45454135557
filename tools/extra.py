# SPDX-License-Identifier: Apache-2.0
"""usage: extra.py NAME    Prints the requirements of one extra of pyproject.toml, one a line, for pip's command line."""

import re
import sys
from pathlib import Path

text = (Path(__file__).parent.parent / "pyproject.toml").read_text()
# Python 3.10 has no TOML reader; the table is ours and regular.
found = re.search(rf"^{re.escape(sys.argv[1])} = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
if found is None:
    sys.exit(f"pyproject.toml: no extra {sys.argv[1]!r}")
print("\n".join(re.findall(r'"([^"]+)"', found[1])))
