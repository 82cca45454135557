# SPDX-License-Identifier: Apache-2.0
"""A bar that shows how far a long call is."""

from __future__ import annotations

import sys


class Bar:
    """A progress bar on standard error, shown on request."""

    def __init__(self, total: int, shown: bool, what: str = "encode", unit: str = "rows") -> None:
        self.total, self.shown, self.what, self.unit = total, shown, what, unit

    def at(self, done: int) -> None:
        if not self.shown:
            return
        share = f"{done / self.total:5.1%}" if self.total else ""
        end = "\n" if done == self.total else ""
        print(f"\r{self.what} {done:,} {self.unit} {share}", end=end, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Where the total was not known before."""
        if self.shown:
            print(file=sys.stderr, flush=True)
