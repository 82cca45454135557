# SPDX-License-Identifier: Apache-2.0
"""Microseconds of calls so small that what stands around the kernel counts, on one thread, beside faiss where it is
installed.

usage: small_calls.py [--rounds N] [--only WORD]

Each row is measured once a round, in turns, and the best round counts. `checked` is the same call by the Python layer, which
takes it where an argument is not a plain NumPy array or a store (docs/design.md).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import annkern as ak
from annkern.runtime.backend import load

Call = Callable[[], Any]
CALLS = 100  # in a reading of the clock


def rows() -> dict[str, tuple[Call, Call | None]]:
    """(ours, faiss's) by name."""
    rng = np.random.default_rng(0)
    few, wide = (rng.standard_normal(shape, dtype=np.float32) for shape in ((16, 128), (1, 128)))
    x = rng.standard_normal((1000, 32), dtype=np.float32)
    q, ids, allowed = x[:1] + 0.1, np.arange(16)[None], rng.random(1000) < 0.9
    near = float(np.sort(ak.pairwise(q, x)[0])[10])
    stores = {spec: ak.compress(x, spec) for spec in ("lvq8", "lvq4x8", "leanvec16:lvq4,lvq8")}
    lvq8, two, lean = stores.values()
    out = np.empty((1, 10), np.float32), np.empty((1, 10), np.int64)
    parts = [np.stack([part] * 2) for part in ak.knn(x, q, 10)]
    graph = ak.Index.build(rng.standard_normal((10_000, 32), dtype=np.float32), "graph32,lvq8", threads=1)
    found: dict[str, tuple[Call, Call | None]] = {
        "pairwise, 1 x 128 by 16": (lambda: ak.pairwise(wide, few, threads=1), None),
        "knn, 1 over 1,000 x 32": (lambda: ak.knn(x, q, 10, threads=1), None),
        "knn, metric l2": (lambda: ak.knn(x, q, 10, "l2", threads=1), None),
        "knn, filter": (lambda: ak.knn(x, q, 10, filter=allowed, threads=1), None),
        "knn, out": (lambda: ak.knn(x, q, 10, out=out, threads=1), None),
        "knn, lvq8": (lambda: ak.knn(lvq8, q, 10, threads=1), None),
        "knn, lvq8 and rerank": (lambda: ak.knn(lvq8, q, 10, rerank=x, threads=1), None),
        "knn, lvq4x8": (lambda: ak.knn(two, q, 10, threads=1), None),
        "knn, leanvec": (lambda: ak.knn(lean, q, 10, threads=1), None),
        "assign": (lambda: ak.assign(q, x, threads=1), None),
        "distances, 16 rows": (lambda: ak.distances(x, q, ids, threads=1), None),
        "radius, 10 rows": (lambda: ak.radius(x, q, near, threads=1), None),
        "radius, filter": (lambda: ak.radius(x, q, near, filter=allowed, threads=1), None),
        "select_k, 1 x 16": (lambda: ak.select_k(few[:1, :16], 5, threads=1), None),
        "merge_topk, 2 x 10": (lambda: ak.merge_topk(*parts, 10, offsets=[0, 1000], threads=1), None),
        "Index.search, 10,000 x 32": (lambda: graph.search(q, 10, threads=1), None),
        "Index.search, filter": (lambda: graph.search(q, 10, filter=every, threads=1), None),
    }
    every = np.ones(10_000, bool)
    try:
        import faiss
    except ImportError:
        return found
    faiss.omp_set_num_threads(1)
    flat = faiss.IndexFlatL2(32)
    flat.add(x)
    theirs = {
        "pairwise, 1 x 128 by 16": lambda: faiss.pairwise_distances(wide, few),
        "knn, 1 over 1,000 x 32": lambda: flat.search(q, 10),
        "radius, 10 rows": lambda: flat.range_search(q, near),
    }
    return {name: (call, theirs.get(name)) for name, (call, _) in found.items()}


def best(calls: list[Call], rounds: int) -> list[float]:
    times = [float("inf")] * len(calls)
    for _ in range(rounds):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            for _ in range(CALLS):
                call()
            times[i] = min(times[i], (time.perf_counter() - start) / CALLS)
    return times


def checked(call: Call) -> Call:
    """`call` with the direct calls declined, as they are for arrays that are not plain."""
    backend = load("cpu")
    direct = {name: value for name, value in vars(backend).items() if name.endswith("_direct")}

    def run() -> None:
        for name in direct:
            setattr(backend, name, lambda *_: None)
        try:
            call()
        finally:
            for name, value in direct.items():
                setattr(backend, name, value)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    print(f"{'us a call':<28}{'direct':>9}{'checked':>9}{'faiss':>9}")
    for name, (ours, theirs) in rows().items():
        if given.only not in name:
            continue
        ours(), ours()
        times = best([ours, checked(ours), *([] if theirs is None else [theirs])], given.rounds)
        print(f"{name:<28}" + "".join(f"{1e6 * seconds:>9.1f}" for seconds in times))


if __name__ == "__main__":
    main()
