# SPDX-License-Identifier: Apache-2.0
"""Answers questions on 12,000 WordNet glosses, then compares the ways to do so: recall, speed and memory.

usage: demo.py [PICTURE]    PICTURE defaults to demo.png. A new method is one more function under METHODS.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

import annkern as ak

DATA = Path(__file__).resolve().parent.parent / "bench" / "data"
K = 10
SECONDS = 0.5  # how long each method is timed, at least


def unit(name: str) -> np.ndarray:
    x = np.load(DATA / f"{name}.f16.npy").astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def texts(name: str) -> list[str]:
    return (DATA / f"{name}.txt").read_text(encoding="utf-8").splitlines()


class Method(NamedTuple):
    name: str
    bytes_per_vector: float
    search: Callable[[], np.ndarray]
    ours: bool = True


# Each takes the unit-length base and queries, and returns a Method whose search() gives the ids, (m, K).


def exact_float32(base, queries):
    return Method("exact, float32", 4 * base.shape[1], lambda: ak.knn(base, queries, K, metric="inner_product")[1])


def exact_float16(base, queries):
    half = base.astype(np.float16)
    return Method("exact, float16 base", 2 * base.shape[1], lambda: ak.knn(half, queries, K, metric="inner_product")[1])


def exact_int8(base, queries):
    scale = 127 / max(np.abs(base).max(), np.abs(queries).max())
    base_i8, queries_i8 = (np.rint(x * scale).astype(np.int8) for x in (base, queries))
    return Method("int8, one scale", base.shape[1], lambda: ak.knn(base_i8, queries_i8, K, metric="inner_product")[1])


def signs(x):
    return np.packbits(x > 0, axis=1, bitorder="little")


def sign_bits(base, queries):
    base_bits, query_bits = signs(base), signs(queries)
    return Method("sign bits, hamming", base.shape[1] / 8, lambda: ak.knn(base_bits, query_bits, K, metric="hamming")[1])


def sign_bits_reranked(base, queries, candidates=100):
    base_bits, query_bits, half = signs(base), signs(queries), base.astype(np.float16)

    def search():
        found = ak.knn(base_bits, query_bits, candidates, metric="hamming")[1]
        # The candidates' similarities, a few queries at a time so that the gathered rows stay in the cache.
        scores = np.empty(found.shape, np.float32)
        for start in range(0, len(queries), 16):
            part = slice(start, start + 16)
            rows = half[found[part]].astype(np.float32)
            scores[part] = np.matmul(rows, queries[part, :, None])[:, :, 0]
        return ak.select_k(scores, K, largest=True, ids=found)[1]

    return Method(f"sign bits, {candidates} reranked by float16", base.shape[1] * (1 / 8 + 2), search)


def numpy_matmul(base, queries):
    def search():
        scores = queries @ base.T
        part = np.argpartition(-scores, K, axis=1)[:, :K]
        order = np.argsort(-np.take_along_axis(scores, part, 1), axis=1)
        return np.take_along_axis(part, order, 1)

    return Method("numpy matmul + argpartition", 4 * base.shape[1], search, ours=False)


def compressed(spec):
    """The store of that spec; one of two levels is searched by its first, and reranked by its second."""

    def make(base, queries):
        store = ak.compress(base, spec, metric="inner_product")
        return Method(spec, store.nbytes / len(base), lambda: ak.knn(store, queries, K, metric="inner_product")[1])

    return make


def graph(window):
    def make(base, queries):
        built = ak.build_graph(ak.compress(base, "lvq8", metric="inner_product"), degree=32)
        store = ak.compress(base, "lvq4x8", metric="inner_product")
        size = (built.nbytes + store.nbytes) / len(base)
        return Method(
            f"graph, lvq4x8, window {window}", size, lambda: ak.search_graph(built, store, queries, K, window=window)[1]
        )

    return make


METHODS = [exact_float32, exact_float16, exact_int8, sign_bits, sign_bits_reranked]
METHODS += [compressed(spec) for spec in ("lvq4x8", "leanvec192:lvq4,lvq8", "pq192x4", "rabitq1")]
METHODS += [graph(window) for window in (16, 64)]
METHODS += [numpy_matmul]


def show_answers(base: np.ndarray) -> None:
    answers = texts("base")
    for name, chosen in (("q_id", (305, 629, 647)), ("q_word", (159, 3))):
        queries, questions = unit(name), texts(name)
        similarity, ids = ak.knn(base, queries[list(chosen)], 3, metric="inner_product")
        for row, question in enumerate(chosen):
            print(f"\n  {questions[question]}?")
            for score, answer in zip(similarity[row], ids[row], strict=True):
                print(f"    {score:.2f}  {answers[answer]}")


def measure(method: Method, scores: np.ndarray) -> tuple[float, float]:
    """Recall@10, and queries per second: the best of the runs in SECONDS.

    An answer counts where its similarity, in float64, reaches that of the tenth best: equal definitions are equally right.
    """
    least = -np.partition(-scores, K - 1, axis=1)[:, K - 1 : K]
    recall = float((np.take_along_axis(scores, method.search(), 1) >= least).mean())
    best, until = np.inf, time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        start = time.perf_counter()
        method.search()
        best = min(best, time.perf_counter() - start)
    return recall, len(scores) / best


def draw(rows: list[tuple[Method, float, float]], picture: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    speeds = [qps for _, _, qps in rows]
    axes.yaxis.set_minor_formatter("{x:,.0f}" if max(speeds) < 10 * min(speeds) else "")
    axes.margins(x=0.08, y=0.12)
    axes.set_xlabel("recall@10")
    axes.set_ylabel("queries per second")
    axes.set_title("12,000 WordNet glosses, 384 dimensions (area: bytes per vector)", fontsize=11)
    axes.grid(which="both", alpha=0.25)
    for method, recall, qps in rows:
        colour = "tab:blue" if method.ours else "tab:gray"
        axes.scatter(recall, qps, s=20 + method.bytes_per_vector / 6, color=colour, alpha=0.7, linewidths=0)
    figure.draw_without_rendering()

    # Labels stand on the inner side of their points, and are moved up where they would cover one another.
    taken = -np.inf
    for method, recall, qps in sorted(rows, key=lambda row: row[2]):
        right = recall > 0.85
        height = axes.transData.transform((recall, qps))[1] * 72 / figure.dpi
        lift = max(0.0, taken + 12 - height) if right else 0.0
        taken = height + lift if right else taken
        align = {"ha": "right" if right else "left", "va": "center", "fontsize": 9}
        axes.annotate(method.name, (recall, qps), xytext=(-10 if right else 10, lift), textcoords="offset points", **align)
    figure.savefig(picture, dpi=120)


def main() -> None:
    picture = Path(sys.argv[1] if len(sys.argv) > 1 else "demo.png")
    base, queries = unit("base"), unit("q_id")
    print(f"{len(base):,} WordNet glosses, {base.shape[1]} dimensions. The nearest to a few questions:")
    show_answers(base)

    scores = queries.astype(np.float64) @ base.T.astype(np.float64)
    print(f"\n{len(queries):,} questions at a time, {K} answers each:\n")
    print(f"  {'method':<36}{'recall@10':>10}{'queries/s':>12}{'bytes/vector':>14}")
    rows = []
    for make in METHODS:
        method = make(base, queries)
        recall, qps = measure(method, scores)
        rows.append((method, recall, qps))
        print(f"  {method.name:<36}{recall:>10.4f}{qps:>12,.0f}{method.bytes_per_vector:>14,.0f}", flush=True)
    try:
        draw(rows, picture)
    except ImportError:
        print("\nmatplotlib is not installed: no picture")
    else:
        print(f"\n{picture}: recall against queries per second")


if __name__ == "__main__":
    main()
