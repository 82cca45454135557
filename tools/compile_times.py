# SPDX-License-Identifier: Apache-2.0
"""usage: compile_times.py [BUILD]    The ten objects that took longest to compile, from the log of ninja in BUILD
(build/release); exit status 1 where one is over its budget.

An object that took more than SHARE of all compile time, whatever the machine did meanwhile, is compiled again on its own and
may take SECONDS of CPU: a busy minute fails nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

BUILD = Path(__file__).resolve().parent.parent / "build/release"
SHARE = 0.05  # the largest has 3.5% (AMD Zen 5, two jobs)
SECONDS = 25.0
SHOWN = 10


def seconds(log: str) -> dict[str, float]:
    """Of each object, by the clock, when it was last compiled."""
    found: dict[str, float] = {}
    for line in log.splitlines():
        if line.startswith("#"):
            continue
        start, end, _, output, _ = line.split("\t")
        if output.endswith(".o"):
            found[output] = (int(end) - int(start)) / 1000
    return found


def cpu_seconds(build: Path, output: str) -> float:
    """Of compiling an object again."""
    ninja = shutil.which("ninja") or Path(sys.executable).parent / "ninja"
    asked = subprocess.run([ninja, "-C", build, "-t", "commands", "-s", output], capture_output=True, text=True, check=True)
    command = asked.stdout.splitlines()[-1]
    child = os.posix_spawn("/bin/sh", ["sh", "-c", f"cd '{build}' && {command}"], os.environ)
    _, status, used = os.wait4(child, 0)
    if status != 0:
        sys.exit(f"{output}: its compiler ended with {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime


def main() -> int:
    build = Path(sys.argv[1]) if len(sys.argv) > 1 else BUILD
    found = seconds((build / ".ninja_log").read_text())
    if not found:
        sys.exit(f"{build}: expected compiled objects in the log of ninja, got none")
    total = sum(found.values())
    print(f"{len(found)} objects, {total:.0f} s")
    slowest = sorted(found.items(), key=lambda item: -item[1])
    for output, took in slowest[:SHOWN]:
        print(f"{took:7.1f} s  {took / total:5.1%}  {re.sub(r'CMakeFiles/|[.]dir/csrc|[.]o$', '', output)}")
    status = 0
    for output, took in slowest:
        if took <= SHARE * total:
            break
        used = cpu_seconds(build, output)
        print(f"{output}: {used:.1f} s of CPU on its own, {SECONDS:.0f} are allowed")
        status |= used > SECONDS
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
