# SPDX-License-Identifier: Apache-2.0
"""Forked children search on, whatever the parent's threads were doing."""

from __future__ import annotations

import multiprocessing
import os
import threading
import warnings

import numpy as np

import annkern as ak

X = np.random.default_rng(3).standard_normal((6000, 32)).astype(np.float32)


def search(_: int = 0) -> bytes:
    return ak.knn(X, X[:100], 10, threads=2)[1].tobytes()


def test_a_child_after_a_search():
    want = search()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of any fork with threads
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map_async(search, range(4)).get(timeout=60) == [want] * 4
    assert search() == want


def test_a_child_while_other_threads_search():
    want = search()
    stop = threading.Event()

    def keep_searching():
        while not stop.is_set():
            search()

    others = [threading.Thread(target=keep_searching) for _ in range(3)]
    for other in others:
        other.start()
    try:
        for _ in range(5):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
            if child == 0:
                os._exit(0 if search() == want else 1)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 0
    finally:
        stop.set()
        for other in others:
            other.join()
