# SPDX-License-Identifier: Apache-2.0
"""annkern: exact search, compressed stores, graphs, lists. A store that cannot hold vectors of this shape is left out."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from .base import Array, Method, Peer, Searcher, Setting, Shape, widths

QUICK = (15, 40, 120)
WINDOWS = (10, 15, 20, 30, 45, 70, 110, 160, 320, 640)


class AnnkernSearcher(Searcher):
    def prepare(self, params: Setting) -> None:
        self.ak: Any = importlib.import_module("annkern")
        self.ak.knn(np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32), 1)  # the extension is loaded when needed

    def build(self, base: Array, params: Setting) -> None:
        self.how: Setting = {}
        if "index" in params:
            self.index = self.ak.Index.build(base, params["index"], metric=self.metric, threads=self.threads)
            return
        if "store" in params:
            self.base = self.ak.compress(base, params["store"], metric=self.metric, threads=self.threads)
        else:
            self.base = base.astype(params["dtype"])
        if "rerank" in params:
            self.how["rerank"] = base.astype(params["rerank"])

    def configure(self, setting: Setting, threads: int) -> None:
        self.sizes = dict(setting)
        self.now = threads

    def search(self, queries: Array, k: int) -> Array:
        if hasattr(self, "index"):
            ids: Array = self.index.search(queries, k, threads=self.now, **self.sizes)[1]
        else:
            ids = self.ak.knn(self.base, queries, k, self.metric, threads=self.now, **self.how, **self.sizes)[1]
        return ids

    def nbytes(self) -> int | None:
        if hasattr(self, "index"):
            return int(self.index.nbytes)
        return int(self.base.nbytes + sum(array.nbytes for array in self.how.values()))


def stores(d: int) -> dict[str, bool]:
    """Store -> whether its search is reranked by float16, for want of a finer level of its own."""
    half = max(1, d // 2)
    reranked = [f"pq{half}x4", "rabitq1", "rabitq4", "sq4", "bin"]
    specs = ["lvq8", "sq8", "lvq4x8", f"leanvec{half}:lvq4,lvq8"]
    return dict.fromkeys(specs, False) | dict.fromkeys(reranked, True)


# Graphs and the stores that they are searched over; the quick run takes the first two.
GRAPHS = ("graph48,lvq4+f32", "graph48,lvq4x8", "graph64,leanvec{half}:lvq4,lvq8", "graph64,lvq8+f32", "graph64,f32")


# Lists, and how many of them are read.
LISTS = ("ivf,soar,lvq8+f16", "ivf,soar,lvq4+f32")
PROBES = (3, 5, 8, 12, 20, 35, 60, 100, 160, 250)


def runs(make: Any, *arguments: Any, **options: Any) -> bool:
    """Whether such vectors can be held so: tried on a few rows."""
    try:
        make(*arguments, **options)
    except ValueError:
        return False
    return True


def window_sweep(k: int, values: Sequence[int], reranked: bool) -> tuple[Setting, ...]:
    """Windows, and for each a few depths of reranking; where k is large, searches that expand fewer rows than k, too."""
    sweep = widths("window", k, values)
    narrow = [int(k * share) for share in (0.2, 0.35, 0.5, 0.7, 0.85)] if k > 2 * min(values) else []
    if not reranked:
        return sweep + tuple({"window": k, "expand": expand} for expand in narrow)
    pairs = [(w["window"], min(w["window"], depth)) for w in sweep for depth in (2 * k, 5 * k, w["window"])]
    found = tuple({"window": window, "rerank_k": depth} for window, depth in dict.fromkeys(pairs))
    few = [(window, expand) for window in (k, k * 3 // 2) for expand in narrow]
    return found + tuple({"window": window, "rerank_k": window, "expand": expand} for window, expand in few)


def methods(shape: Shape) -> Sequence[Method]:
    ak: Any = importlib.import_module("annkern")
    found = [Method("annkern", f"annkern exact {short}", {"dtype": dtype}) for short, dtype in DTYPES.items()]
    few = np.random.default_rng(0).standard_normal((300, shape.d), dtype=np.float32)
    for store, reranked in stores(shape.d).items():
        if not runs(ak.compress, few, store, metric=shape.metric):
            continue
        build: Setting = {"store": store} | ({"rerank": "float16"} if reranked else {})
        levels = reranked or "x" in store.removeprefix("pq") or "," in store
        counts = [shape.k * times for times in (1, 2, 4, 8, 16)]
        sweep = tuple({"rerank_k": count} for count in counts) if levels else ({},)
        quick = store in ("lvq8", "rabitq1")
        name = f"annkern {store}" + (" + f16" if reranked else "")
        found.append(Method("annkern", name, build, sweep, quick, sweep[1::2] or sweep))
    for place, form in enumerate(GRAPHS):
        spec = form.format(half=max(1, shape.d // 2))
        if runs(ak.Index.build, few, spec, metric=shape.metric):
            reranked = "+" in spec or "x8" in spec or ":" in spec
            sweep = window_sweep(shape.k, WINDOWS, reranked)
            quick_sweep = window_sweep(shape.k, QUICK, reranked)
            found.append(Method("annkern", f"annkern {spec}", {"index": spec}, sweep, place < 2, quick_sweep))
    for place, spec in enumerate(LISTS):
        if runs(ak.Index.build, few, spec, metric=shape.metric):
            reads = [(probes, max(20, times * shape.k)) for probes in PROBES for times in (2, 4)]
            sweep = tuple({"probes": probes, "rerank_k": depth} for probes, depth in reads)
            found.append(Method("annkern", f"annkern {spec}", {"index": spec}, sweep, place < 1, sweep[2::6]))
    return found


DTYPES = {"f32": "float32", "f16": "float16"}
ANNKERN = Peer("annkern", "annkern", "annkern", AnnkernSearcher, methods)
