# SPDX-License-Identifier: Apache-2.0
"""One method in a process of its own. ``python -m annkern.bench.worker DESCRIPTOR`` answers requests on that descriptor.

A request is a dict with "do": "build" or "measure"; the answer is a dict, with "error" where it failed. What libraries print
goes to the log that the parent opened.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import signal
import sys
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from .peers.base import Array, Searcher

WARM_QUERIES = 64
SINGLES = 500  # queries of the latency measurement, at most
PR_SET_PDEATHSIG = 1


def resident(field: str = "VmRSS") -> int:
    """Bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return 0


def forget_peak() -> None:
    """VmHWM starts anew from here, where the system allows it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


class Worker:
    def __init__(self) -> None:
        self.searcher: Searcher | None = None
        self.queries: Array = np.empty((0, 0), np.float32)

    def build(self, request: dict[str, Any]) -> dict[str, Any]:
        module, name = request["searcher"].split(":")
        base = np.asarray(np.load(request["base"], mmap_mode="c"))
        self.queries = np.load(request["queries"])
        base.max(initial=0)  # the pages are there, so that the peak counts what the method adds
        self.searcher = getattr(importlib.import_module(module), name)(request["metric"], request["threads"])
        assert self.searcher is not None
        self.searcher.prepare(request["params"])
        forget_peak()
        before = resident()
        start = time.perf_counter()
        self.searcher.build(base, request["params"])
        seconds = time.perf_counter() - start
        peak = resident("VmHWM") - before
        del base
        gc.collect()
        return {"seconds": seconds, "peak": peak, "bytes": self.searcher.nbytes()}

    def measure(self, request: dict[str, Any]) -> dict[str, Any]:
        """Best and median seconds of a batch over as many runs as fit the budget; single queries, where asked for."""
        assert self.searcher is not None
        searcher, k, budget = self.searcher, request["k"], request["seconds"]
        searcher.configure(request["setting"], request["threads"])
        warm = self.queries[:WARM_QUERIES]
        searcher.search(warm, k)
        start = time.perf_counter()
        searcher.search(warm, k)
        each = (time.perf_counter() - start) / max(1, len(warm))
        # A method so slow that a batch takes several budgets is measured on the first queries alone.
        m = len(self.queries) if each * len(self.queries) <= 3 * budget else max(WARM_QUERIES, int(3 * budget / each))
        times, ids = batch_times(searcher, self.queries[:m], k, budget)
        answer: dict[str, Any] = {
            "seconds": min(times),
            "median": float(np.median(times)),
            "runs": len(times),
            "queries": len(ids),
        }
        if request["want_ids"]:
            answer["ids"] = np.ascontiguousarray(ids, np.int64)
        if request["singles"]:
            answer["latency"] = latencies(searcher, self.queries[:SINGLES], k, budget / 2)
        return answer


def batch_times(searcher: Searcher, queries: Array, k: int, budget: float) -> tuple[list[float], Array]:
    """Nothing but the call lies between the two readings of the clock."""
    times: list[float] = []
    while True:
        start = time.perf_counter()
        ids = searcher.search(queries, k)
        times.append(time.perf_counter() - start)
        if sum(times) >= budget:
            return times, ids


def latencies(searcher: Searcher, queries: Array, k: int, budget: float) -> dict[str, float]:
    """Seconds of a query on its own: percentiles over the queries that fit the budget."""
    times: list[float] = []
    for i in range(len(queries)):
        query = queries[i : i + 1]
        start = time.perf_counter()
        searcher.search(query, k)
        times.append(time.perf_counter() - start)
        if sum(times) >= budget and len(times) >= 20:
            break
    return {f"p{q}": float(np.percentile(times, q)) for q in (50, 95, 99)} if times else {}


def serve(connection: Connection) -> None:
    worker = Worker()
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        try:
            answer = {"build": worker.build, "measure": worker.measure}[request["do"]](request)
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        connection.send(answer)


def main() -> None:
    # Ends with its parent, is the first to go where memory runs out, and leaves Ctrl-C to its parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    serve(Connection(int(sys.argv[1])))
    sys.stdout.flush()
    os._exit(0)  # not by way of the destructors of libraries, some of which crash


if __name__ == "__main__":
    main()
