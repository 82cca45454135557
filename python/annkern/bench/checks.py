# SPDX-License-Identifier: Apache-2.0
"""What the command line refuses before it measures: each error names the option, what was expected and what came."""

from __future__ import annotations

import math
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

MOST_REPEATS = 1000  # each makes a line of every setting
MOST_SECONDS = 7 * 24 * 3600


def number(option: str, value: float, least: float, most: float = math.inf, *, above: bool = False) -> float:
    """`value`, if it is finite and from `least` (or, with `above`, above it) to `most`."""
    low = f"more than {least:g}" if above else f"at least {least:g}"
    high = f" and at most {most:g}" if math.isfinite(most) else ""
    if not least <= value <= most or value == math.inf or (above and value == least):
        raise ValueError(f"{option}: expected a number of {low}{high}, got {value}")
    return value


def output(option: str, path: Path) -> Path:
    """A file that can be written again and again: not a terminal, a pipe, a device or what this command prints to."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return path
    except OSError as error:
        raise ValueError(f"{option}: expected a place to write to, got {error}") from None
    if not stat.S_ISREG(state.st_mode):
        raise ValueError(f"{option}: expected a regular file, or a place for one to write to, got {path}")
    for stream in (sys.stdout, sys.stderr):
        try:
            printed = os.fstat(stream.fileno())
        except (OSError, ValueError):  # captured, or closed
            continue
        if os.path.samestat(state, printed):
            raise ValueError(f"{option}: expected a file other than the one that is printed to, got {path}")
    return path


def locks(option: str, files: Sequence[str]) -> list[str]:
    """Files that can be opened, and are made where they are not there."""
    for file in files:
        try:
            with open(file, "a"):
                pass
        except OSError as error:
            raise ValueError(f"{option}: expected a file that can be locked, got {error}") from None
    return list(files)
