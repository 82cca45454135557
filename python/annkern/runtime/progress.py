# SPDX-License-Identifier: Apache-2.0
"""How far a long call is."""

from __future__ import annotations

import sys
import time

WIDTH = 20
PERIOD = 0.1  # seconds between two bars


class Bar:
    """On standard error, on request: a bar with rate and time left on a terminal, and elsewhere a line for each tenth."""

    def __init__(self, total: int, shown: bool, what: str = "encode", unit: str = "rows") -> None:
        self.total, self.what, self.unit = total, what, unit
        self.out = sys.stderr if shown else None
        self.terminal = self.out is not None and self.out.isatty()
        self.began = time.monotonic()
        self.drawn = self.began - PERIOD
        self.done, self.tenths = 0, 0

    def at(self, done: int) -> None:
        """So many are done; all of them end the bar. Where the total is not known (0), `close` does."""
        self.done = done
        if self.out is None:
            return
        ended = done >= self.total > 0
        if not self.terminal:
            tenths = 10 * done // self.total if self.total else 0
            if tenths > self.tenths:
                self._line()
            self.tenths = tenths
            return
        now = time.monotonic()
        if ended or now - self.drawn >= PERIOD:
            print(f"\r{self._text(now - self.began)}\x1b[K", end="\n" if ended else "", file=self.out, flush=True)
            self.drawn = now

    def close(self) -> None:
        """Ends before the total, or without one."""
        if self.out is None or self.done >= self.total > 0:
            return
        if self.terminal:
            print(f"\r{self._text(time.monotonic() - self.began)}\x1b[K", file=self.out, flush=True)
        else:
            self._line()

    def _line(self) -> None:
        share = f" ({self.done / self.total:.0%})" if self.total else ""
        print(f"{self.what}: {self._count()}{share}", file=self.out, flush=True)

    def _count(self) -> str:
        return f"{self.done:,} of {self.total:,} {self.unit}" if self.total else f"{self.done:,} {self.unit}"

    def _text(self, seconds: float) -> str:
        rate = self.done / seconds if seconds > 0 else 0.0
        parts = [self._count(), f"{rate:,.{0 if rate >= 10 else 1}f} {self.unit}/s"]
        bar = ""
        if self.total:
            full = WIDTH * self.done // self.total
            bar = f" {self.done / self.total:4.0%} [{'#' * full}{'.' * (WIDTH - full)}]"
            if rate > 0:
                left = round((self.total - self.done) / rate)
                parts.append(f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02} left")
        return f"{self.what}{bar} {', '.join(parts)}"
