# SPDX-License-Identifier: Apache-2.0
"""progress=True: a bar with rate and time left on a terminal, lines elsewhere; what is counted is what there is."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest

import annkern as ak
from annkern.runtime import progress

X = np.random.default_rng(3).standard_normal((3000, 8), dtype=np.float32)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only where a test says so."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def terminal(monkeypatch):
    out = Terminal()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=out))
    return out


@pytest.fixture
def lines(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=out))
    return lambda: out.getvalue().splitlines()


def test_a_bar_on_a_terminal(terminal, clock):
    bar = progress.Bar(3000, True)
    clock[0] += 2
    bar.at(600)
    assert terminal.getvalue() == "\rencode  20% [####................] 600 of 3,000 rows, 300 rows/s, 0:00:08 left\x1b[K"
    bar.at(700)  # no time has passed
    assert terminal.getvalue().count("\r") == 1
    bar.at(3000)
    assert terminal.getvalue().endswith(
        "100% [####################] 3,000 of 3,000 rows, 1,500 rows/s, 0:00:00 left\x1b[K\n"
    )
    bar.close()
    assert terminal.getvalue().count("\n") == 1


def test_a_bar_without_a_total(terminal, clock):
    bar = progress.Bar(0, True)
    clock[0] += 4
    bar.at(10)
    bar.at(30)
    bar.close()
    assert terminal.getvalue() == "\rencode 10 rows, 2.5 rows/s\x1b[K\rencode 30 rows, 7.5 rows/s\x1b[K\n"


def test_lines_elsewhere(lines):
    bar = progress.Bar(1000, True, "build")
    for done in range(0, 1001, 25):
        bar.at(done)
    bar.close()
    assert lines() == [f"build: {n:,} of 1,000 rows ({n // 10}%)" for n in range(100, 1001, 100)]
    bar = progress.Bar(0, True)
    bar.at(7)
    bar.close()
    assert lines()[10:] == ["encode: 7 rows"]


def test_nothing_where_nobody_asked(terminal, clock, monkeypatch):
    bar = progress.Bar(10, False)
    bar.at(10)
    bar.close()
    assert terminal.getvalue() == ""
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=None))  # as without a console
    progress.Bar(10, True).at(10)


def test_two_passes_are_said_to_be_two(lines):
    ak.build_graph(X, degree=8, progress=True)
    said = lines()
    assert said[0].startswith("build, pass 1 of 2: ") and said[-1] == "build, pass 2 of 2: 3,000 of 3,000 rows (100%)"
    assert all("of 3,000 rows" in line for line in said)


def test_what_ends_early(lines):
    ak.build_graph(X, degree=8, method="nn_descent", progress=True)
    assert lines()[-1].startswith("build: ") and " rounds (" in lines()[-1]


def test_k_means(lines):
    centroids = ak.KMeans(9, iterations=10, progress=True).fit(X).centroids_
    assert lines()[-1].startswith("k-means: ") and " of 10 iterations (" in lines()[-1]
    assert "k-means++: 9 of 9 seeds (100%)" in lines()
    assert centroids.tobytes() == ak.KMeans(9, iterations=10).fit(X).centroids_.tobytes()


def test_stores_and_indexes(lines):
    ak.Index.build(X, "graph8,lvq4", progress=True)
    assert lines()[0] == "encode: 3,000 of 3,000 rows (100%)"
    ak.Index.build(iter([X[:1000], X[1000:]]), "flat,lvq4", progress=True)
    assert lines()[-1] == "encode: 3,000 rows"
