# SPDX-License-Identifier: Apache-2.0
"""Results as JSON lines, each of a "kind": run, skip, build, point, failure. Lines are only ever added.

run      machine, versions, dataset, options; those that follow name it by "run"
build    of a method: seconds, peak, bytes
point    one measurement: method, setting, threads, repeat -> seconds of a batch of `queries`, recall, latency
skip     a library that is not here; failure: a method that raised, crashed, hung or took too much memory
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

Line = dict[str, Any]
# What a line of each kind is read for.
METHOD = ("machine", "dataset", "n", "method", "version")
FIELDS = {
    "run": ("run", "machine", "dataset", "options"),
    "skip": ("peer", "reason"),
    "build": (*METHOD, "seconds", "peak", "bytes"),
    "point": (*METHOD, "k", "peer", "setting", "threads", "seconds", "queries", "recall"),
    "failure": (*METHOD, "stage", "reason"),
}


class JournalError(ValueError):
    """A file that is not the harness's."""


def read(path: Path, say: Callable[[str], None] = print) -> list[Line]:
    """The lines of a file. A last line that was only half written is left out, and said; any other is an error."""
    lines: list[Line] = []
    data = path.read_bytes()
    texts = data.split(b"\n")
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
        except ValueError:
            if number == len(texts):
                say(f"{path}:{number}: half a line, left by a run that was stopped; it is left out")
                continue
            raise JournalError(f"{path}:{number}: expected a line of JSON, got {text[:60]!r}") from None
        if not isinstance(line, dict) or line.get("kind") not in FIELDS:
            raise JournalError(f"{path}:{number}: expected a line of kind {', '.join(FIELDS)}, got {text[:60]!r}")
        lacking = [field for field in FIELDS[line["kind"]] if field not in line]
        if lacking:
            raise JournalError(f"{path}:{number}: expected {', '.join(lacking)} in a line of kind {line['kind']}")
        lines.append(line)
    return lines


class Journal:
    """A file that measurements are added to, and what it already holds."""

    def __init__(self, path: Path, say: Callable[[str], None] = print) -> None:
        self.path = path
        self.lines = read(path, say) if path.exists() else []
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(path, "ab")  # noqa: SIM115
        # Half a line is cut off, so that the next begins on a line of its own.
        data = path.read_bytes()
        if data and not data.endswith(b"\n"):
            last = data.rfind(b"\n") + 1
            if parses(data[last:]):
                self.file.write(b"\n")
            else:
                os.truncate(path, last)

    def add(self, kind: str, **fields: Any) -> Line:
        line = {"kind": kind, **fields}
        self.file.write(json.dumps(line).encode() + b"\n")
        self.file.flush()
        os.fsync(self.file.fileno())
        self.lines.append(line)
        return line

    def close(self) -> None:
        self.file.close()


def parses(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def same_work(line: Line) -> tuple[Any, ...]:
    """What makes two points the same measurement: done once, a later run leaves it out."""
    keys = ("machine", "dataset", "n", "d", "k", "method", "version", "setting", "threads", "repeat")
    return tuple(json.dumps(line.get(key), sort_keys=True) for key in keys)
