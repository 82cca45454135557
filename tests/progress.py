# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin that names each test that has run for half a minute, and again every half minute, while it runs; under
pytest-xdist, whatever process runs it."""

from __future__ import annotations

import os
import threading
import time

import pytest

EVERY = 30.0


class Progress:
    """Of the process that reports."""

    def __init__(self, every: float = EVERY) -> None:
        self.every = every
        self.began: dict[str, float] = {}
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.out = os.dup(1)  # while a test runs, 1 itself is captured
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def pytest_sessionstart(self) -> None:
        self.thread.start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        with self.lock:
            self.began[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        with self.lock:
            self.began.pop(nodeid, None)

    def pytest_sessionfinish(self) -> None:
        self.over.set()

    def watch(self) -> None:
        named: dict[str, int] = {}
        while not self.over.wait(self.every / 10):
            now = time.monotonic()
            with self.lock:
                running = dict(self.began)
            for nodeid, began in running.items():
                times = int((now - began) / self.every)
                if times > named.get(nodeid, 0):
                    named[nodeid] = times
                    os.write(self.out, f"\n  still running after {now - began:.0f} s: {nodeid}\n".encode())


def register(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # a worker of pytest-xdist reports through the process that started it
        config.pluginmanager.register(Progress(), "annkern-progress")
