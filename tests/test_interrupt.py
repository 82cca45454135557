# SPDX-License-Identifier: Apache-2.0
"""Long calls stop at Ctrl-C, and let other threads run meanwhile."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

import annkern as ak

# Ten seconds and more each, were they not stopped.
X = np.zeros((4_000_000, 8), np.float32)
SPREAD = np.random.default_rng(1).standard_normal((400_000, 32), np.float32)
WIDE = np.broadcast_to(np.zeros((1, 60_000), np.float32), (500_000, 60_000))
CALLS = {
    "knn": lambda: ak.knn(X, X[:200_000], 5, check_finite=False),
    "knn of one thread": lambda: ak.knn(X, X[:200_000], 5, threads=1, check_finite=False),
    "radius": lambda: ak.radius(X, X[:200_000], -1.0, check_finite=False),
    "pairwise": lambda: ak.pairwise(WIDE[:100], WIDE),
    "graph": lambda: ak.build_graph(SPREAD),
    "graph by nn_descent": lambda: ak.build_graph(SPREAD, method="nn_descent"),
    "k-means": lambda: ak.KMeans(4096, sample=None).fit(SPREAD),
}


@pytest.mark.parametrize("name", CALLS)
def test_keyboard_interrupt(name):
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    start = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        CALLS[name]()
    assert time.monotonic() - start < 3
    distances, _ = ak.knn(X[:100], X[:2], 1)  # and the pool works on
    assert (distances == 0).all()


def test_a_handler_of_the_program_decides():
    class Stop(Exception):
        pass

    def handler(*_):
        raise Stop

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(Stop):
            CALLS["knn"]()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_other_threads_run_meanwhile():
    base = X[:400_000]
    ticks = 0
    done = threading.Event()

    def search():
        ak.knn(base, X[:2000], 5, threads=1)
        done.set()

    caller = threading.Thread(target=search)
    caller.start()
    while not done.is_set():
        ticks += 1
        time.sleep(0.001)
    caller.join()
    assert ticks > 20
