# SPDX-License-Identifier: Apache-2.0
"""A program may end while a daemon thread is inside a call: it ends with 0, as without one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

# The main thread wakes while the other is in a kernel, for then alone the GIL is free; from then on it ends the program.
# What runs as modules are cleared gives the other thread the time to come back, or to ask for Ctrl-C from within.
SCRIPT = """
import sys, threading
import numpy as np, annkern as ak
{array}
rng = np.random.default_rng(1)
x = array(rng.standard_normal(({rows}, 24), np.float32))
ids = array(rng.integers(0, len(x.shape), x.shape))
parts, parts_ids = array(np.sort(rng.random((2, {rows}, 8), np.float32))), array(rng.integers(0, 99, (2, {rows}, 8)))
{made}

class AsModulesAreCleared:
    def __del__(self, count=sum, upto=range):
        count(upto(3_000_000))

last = AsModulesAreCleared()
begun = threading.Event()

def again_and_again():
    {call}
    begun.set()
    while True:
        {call}

threading.Thread(target=again_and_again, daemon=True).start()
begun.wait()
"""
ON_HOST = {"array": "array = lambda host: host", "rows": 2000}
ON_DEVICE = {"array": "from emu_array import to_device as array", "rows": 60}
CALLS = {
    "knn": "ak.knn(x, x, 5, threads=2)",
    "knn of one thread": "ak.knn(x, x, 5, threads=1)",
    "knn of a store": "ak.knn(store, x, 5)",
    "knn by the Python layer": "ak.knn(x, x, 5, filter=array(np.ones(x.shape[0], bool)))",
    "radius": "ak.radius(x, x, 20.0)",
    "build_lists": "ak.build_lists(x)",
    "search_lists": "ak.search_lists(lists, x, x, 5)",
    "pairwise": "ak.pairwise(x, x)",
    "distances": "ak.distances(x, x, ids)",
    "select_k": "ak.select_k(x, 5)",
    "merge_topk": "ak.merge_topk(parts, parts_ids, 5)",
    "assign": "ak.assign(x, x[:50])",
    "KMeans": "ak.KMeans(20).fit(x)",
    "compress": "ak.compress(x, 'lvq8')",
    "PQ": "ak.compress(x, 'pq8x4')",
    "build_graph": "ak.build_graph(x)",
    "nn_descent": "ak.build_graph(x, method='nn_descent')",
    "search_graph": "ak.search_graph(graph, x, x, 5)",
    "search_graph over a store": "ak.search_graph(graph, store, x, 5)",
}
MANY = "np.broadcast_to(x[:1], (20_000_000, 24))"
LONG_CALL = f"ak.knn({MANY}, x, 1, check_finite=False) if begun.is_set() else ak.knn(x, x, 1)"


MADE = {
    "store": "store = ak.compress(x, 'lvq8')",
    "graph": "graph = ak.build_graph(x)",
    "lists": "lists = ak.build_lists(x)",
}


def run(call: str, where: dict[str, object], **environment: str) -> None:
    made = "\n".join(line for name, line in MADE.items() if f"{name}, " in call)
    folder = str(Path(__file__).parent)
    paths = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths, **environment}
    script = SCRIPT.format(call=call, made=made, **where)
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", CALLS)
def test_a_daemon_thread_in_a_call(name):
    run(CALLS[name], ON_HOST)


def test_a_daemon_thread_that_asks_for_ctrl_c():
    run(LONG_CALL, ON_HOST)


@pytest.mark.skipif(importlib.util.find_spec("annkern._emu") is None, reason="this build has no emulator")
@pytest.mark.parametrize("name", ["knn", "radius", "compress", "search_graph", "select_k"])
def test_a_daemon_thread_in_a_kernel_of_the_emulator(name):
    run(CALLS[name], ON_DEVICE, ANNKERN_DEVICE="emu")
