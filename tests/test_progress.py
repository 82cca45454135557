# SPDX-License-Identifier: Apache-2.0
"""A test that runs for long is named while it runs."""

from __future__ import annotations

import os

from progress import Progress


def test_long_tests_are_named():
    reader, writer = os.pipe()
    progress = Progress(every=0.01)
    progress.out = writer
    progress.pytest_sessionstart()
    progress.pytest_runtest_logstart("tests/test_short.py::test_a")
    progress.pytest_runtest_logfinish("tests/test_short.py::test_a")
    progress.pytest_runtest_logstart("tests/test_long.py::test_b")
    first, second = (os.read(reader, 1000).decode() for _ in range(2))  # waits for each
    progress.pytest_sessionfinish()
    progress.thread.join()
    for text in (first, second):
        assert "still running after" in text and text.rstrip().endswith("tests/test_long.py::test_b")
