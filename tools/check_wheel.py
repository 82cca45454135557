# SPDX-License-Identifier: Apache-2.0
"""usage: check_wheel.py WHEEL [MODULE ...]    Its size, that it holds what runs and nothing else, and the named modules."""

import re
import sys
import zipfile
from pathlib import Path

LARGEST = 50e6
WANTED = [
    r"annkern/\w+\.pyi?",
    r"annkern/py\.typed",
    r"annkern/(\w+/){1,2}\w+\.py",
    r"annkern/_(cpu|cuda)\.[\w.-]+\.so",
    r"annkern-[\w.]+\.dist-info/(METADATA|WHEEL|RECORD|entry_points\.txt|licenses/LICENSE)",
]


def main() -> None:
    wheel, modules = Path(sys.argv[1]), sys.argv[2:]
    names = zipfile.ZipFile(wheel).namelist()
    problems = [f"not expected: {name}" for name in names if not any(re.fullmatch(form, name) for form in WANTED)]
    problems += [
        f"missing: {name}" for name in modules if not any(re.fullmatch(rf"annkern/{name}\..*\.so", file) for file in names)
    ]
    size = wheel.stat().st_size
    if size >= LARGEST:
        problems.append(f"{size / 1e6:.1f} MB, at most {LARGEST / 1e6:.0f}")
    print(f"{wheel.name}: {size / 1e6:.1f} MB, {len(names)} files")
    sys.exit("\n".join(problems) or None)


if __name__ == "__main__":
    main()
