# SPDX-License-Identifier: Apache-2.0
"""What the micro-benchmarks measure: each operation with the metrics, dtypes and contents of tests/cases.py, at sizes that
take milliseconds, with the bytes that it must read and write and the operations that it must do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
import cases

import annkern as ak

# Additions, multiplications and comparisons of one dimension of one pair. Of bits: of one byte.
STEP = {"sqeuclidean": 3, "euclidean": 3, "inner_product": 2, "cosine": 2, "cityblock": 2, "chebyshev": 2}
D, K = 128, 10
# (rows, queries in a batch)
SIZES = {"full": (100_000, 256), "small": (2_000, 16)}
STORES = [
    "f16",
    "sq8",
    "sq4",
    "lvq8",
    "lvq4",
    "lvq4x4",
    "lvq4x8",
    "leanvec64:lvq4,lvq8",
    "pq64x4",
    "pq32x8",
    "rabitq1",
    "bin",
]


@dataclass
class Work:
    """One measurement. `run` gives what is compared in tests; bytes and flops are the least that the operation needs."""

    name: str
    run: Callable[[int], Any]  # of the number of threads
    nbytes: float
    flops: float = 0.0


def of_case(case: cases.Case) -> Iterator[Work]:
    base, queries = case.arrays()
    n, m, pairs = case.n, case.m, case.n * case.m
    step = STEP.get(case.metric, 3)  # of bytes of bits: exclusive or, count, sum
    flops, read = step * pairs * case.d, base.nbytes + queries.nbytes
    kind = f"{case.metric} {case.base}" + (f"/{case.queries}" if case.queries != case.base else "")
    metric = case.metric

    def knn(rows: np.ndarray) -> Callable[[int], Any]:
        return lambda threads: ak.knn(base, rows, K, metric, threads=threads, check_finite=False)

    yield Work(f"knn {kind} m={m}", knn(queries), read + 12 * m * K, flops)
    yield Work(f"knn {kind} m=1", knn(queries[:1]), base.nbytes, step * n * case.d)
    if case.base != case.queries and case.base != "float16":
        return  # the rest differs by dtypes as knn does
    few = queries[: max(1, m // 8)]
    yield Work(
        f"pairwise {kind} m={len(few)}",
        lambda threads: ak.pairwise(few, base, metric, threads=threads, check_finite=False),
        base.nbytes + few.nbytes + 4 * n * len(few),
        step * n * len(few) * case.d,
    )
    near = radius_of(base, few, metric)
    yield Work(
        f"radius {kind} m={len(few)}",
        lambda threads: ak.radius(base, few, near, metric, threads=threads, check_finite=False),
        base.nbytes + few.nbytes,
        step * n * len(few) * case.d,
    )


def radius_of(base: np.ndarray, queries: np.ndarray, metric: str) -> float:
    """That about 100 rows of the first query lie within."""
    return float(ak.knn(base, queries[:1], min(100, len(base)), metric)[0][0, -1])


def selections(n: int, m: int, rng: np.random.Generator) -> Iterator[Work]:
    values = rng.standard_normal((m, n), dtype=np.float32)
    for k in (1, 10, 100, 1000):
        if k <= n:
            yield Work(f"select_k m={m} k={k}", lambda t, k=k: ak.select_k(values, k, threads=t), values.nbytes, values.size)
    for order, parts in (("sorted", 2), ("sorted", 4), ("sorted", 8), ("any order", 8)):
        found = rng.standard_normal((parts, m, 100), dtype=np.float32)
        distances = np.sort(found, axis=2) if order == "sorted" else found
        ids = rng.integers(0, n, found.shape)
        yield Work(
            f"merge_topk {parts} x {m} x 100 {order}",
            lambda t, d=distances, i=ids: ak.merge_topk(d, i, 100, threads=t),
            found.nbytes + ids.nbytes,
        )


def stores(n: int, m: int, rng: np.random.Generator) -> Iterator[Work]:
    """Encoding, decoding, scans and single distances of every store."""
    x, queries = rng.standard_normal((n, D), dtype=np.float32), rng.standard_normal((m, D), dtype=np.float32)
    chosen = rng.integers(0, n, (m, 64))
    for spec in STORES:
        store = ak.compress(x, spec)
        scan, size = 2.0 * n * m * D, store.nbytes
        yield Work(f"compress {spec}", lambda t, s=spec: ak.compress(x, s, threads=t), x.nbytes + size)
        yield Work(f"decode {spec}", lambda t, s=store: s.decode(), x.nbytes + size)
        yield Work(f"knn {spec} m={m}", lambda t, s=store: ak.knn(s, queries, K, threads=t), size, scan)
        yield Work(f"knn {spec} m=1", lambda t, s=store: ak.knn(s, queries[:1], K, threads=t), size, 2.0 * n * D)
        pairs = chosen.size
        moved = pairs * size / n + 4 * pairs
        yield Work(f"distances {spec}", lambda t, s=store: s.distances(queries, chosen, threads=t), moved, 2.0 * pairs * D)


def graphs(n: int, m: int, rng: np.random.Generator) -> Iterator[Work]:
    x, queries = rng.standard_normal((n, D), dtype=np.float32), rng.standard_normal((m, D), dtype=np.float32)
    rows = x[: max(1, n // 10)]
    graph = ak.build_graph(rows, degree=32, window=64)
    yield Work("build_graph f32", lambda t: ak.build_graph(rows, degree=32, window=64, threads=t), rows.nbytes)
    for width in (20, 80):
        yield Work(
            f"search_graph f32 window={width}",
            lambda t, w=width: ak.search_graph(graph, rows, queries, K, window=w, threads=t),
            queries.nbytes,
        )


def table(size: str = "full") -> Iterator[list[Work]]:
    """Groups that share arrays, one after another: all at once would take gigabytes."""
    n, m = SIZES[size]
    kinds = [(metric, *pair) for metric in cases.NUMBER_METRICS for pair in cases.DTYPE_PAIRS]
    kinds += [(metric, "bits", "bits") for metric in cases.BIT_METRICS]
    for kind in kinds:
        yield list(of_case(cases.Case(*kind, n, m, D // 8 if kind[1] == "bits" else D, K)))
    for make in (selections, stores, graphs):
        yield list(make(n, m, np.random.default_rng(20)))
