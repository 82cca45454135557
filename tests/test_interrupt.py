# SPDX-License-Identifier: Apache-2.0
"""Long calls stop at Ctrl-C, and let other threads run meanwhile."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest

import annkern as ak

# Ten seconds and more each, were they not stopped.
X = np.zeros((4_000_000, 8), np.float32)
LET_THROUGH = np.ones(len(X), bool)
SPREAD = np.random.default_rng(1).standard_normal((400_000, 32), np.float32)
WIDE = np.broadcast_to(np.zeros((1, 60_000), np.float32), (500_000, 60_000))
LONG, LONG_IDS = np.zeros((1, 1 << 29), np.float32), np.zeros((1, 1 << 29), np.int64)  # never written to: one page of zeros
# What is called, and the native function that must not come to its end.
CALLS = {
    "knn": (lambda: ak.knn(X, X[:200_000], 5, check_finite=False), "knn_direct"),
    "knn of one thread": (lambda: ak.knn(X, X[:200_000], 5, threads=1, check_finite=False), "knn_direct"),
    "knn by the Python layer": (lambda: ak.knn(X, X[:200_000], 5, check_finite=False, filter=LET_THROUGH), "knn"),
    "radius": (lambda: ak.radius(X, X[:200_000], -1.0, check_finite=False), "radius_direct"),
    "pairwise": (lambda: ak.pairwise(WIDE[:100], WIDE), "pairwise_direct"),
    "graph": (lambda: ak.build_graph(SPREAD), "finish_graph"),
    "graph by nn_descent": (lambda: ak.build_graph(SPREAD, method="nn_descent"), "nn_descent_prune"),
    "select_k of one row": (lambda: ak.select_k(LONG, 3, ids=LONG_IDS), "select_k_direct"),
    "k-means": (lambda: ak.KMeans(4096, sample=None, threads=1).fit(SPREAD), "cluster_sums"),
}


@pytest.fixture
def native_calls():
    """(c_call, c_return or c_exception; name) of each call into the extension; Ctrl-C comes a moment after the first."""
    events = []
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))

    def record(_frame, event, function):
        if event.startswith("c_") and getattr(function, "__module__", None) == "annkern._cpu":
            if not events:
                timer.start()
            events.append((event, function.__name__))

    sys.setprofile(record)
    yield events
    sys.setprofile(None)
    timer.cancel()


@pytest.mark.parametrize("name", CALLS)
def test_keyboard_interrupt(name, native_calls):
    call, last = CALLS[name]
    with pytest.raises(KeyboardInterrupt):
        call()
    assert native_calls and ("c_return", last) not in native_calls
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
            CALLS["knn"][0]()
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
    assert ticks > 5  # were it kept, one before the search and one behind it
