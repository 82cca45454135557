# SPDX-License-Identifier: Apache-2.0
"""annkern: exact search, compressed stores, graphs. What this build does not have is left out."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..index import GraphOverStore
from .base import WIDTHS, Array, Method, Peer, Searcher, Setting, Shape, widths

QUICK = (15, 40, 120)


class AnnkernSearcher(Searcher):
    def prepare(self, params: Setting) -> None:
        self.ak: Any = importlib.import_module("annkern")
        self.ak.knn(np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32), 1)  # the extension is loaded when needed

    def build(self, base: Array, params: Setting) -> None:
        self.how: Setting = {}
        if "index" in params:
            make = getattr(self.ak, "Index", GraphOverStore).build
            self.index = make(base, params["index"], metric=self.metric, threads=self.threads)
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
            return getattr(self.index, "nbytes", None)
        return int(self.base.nbytes + sum(array.nbytes for array in self.how.values()))


def stores(d: int) -> dict[str, bool]:
    """Store -> whether its search is reranked by float16, for want of a finer level of its own."""
    half = max(1, d // 2)
    reranked = [f"pq{half}x4", "rabitq1", "rabitq4", "sq4", "bin"]
    own = ["lvq8", "sq8", "lvq4x8", f"leanvec{half}:lvq4,lvq8"]
    return dict.fromkeys(own, False) | dict.fromkeys(reranked, True)


def runs(make: Any, *arguments: Any, **options: Any) -> bool:
    """Whether this build knows how to make it: tried on a few rows."""
    try:
        make(*arguments, **options)
    except (ValueError, TypeError, NotImplementedError):
        return False
    return True


def methods(shape: Shape) -> Sequence[Method]:
    ak: Any = importlib.import_module("annkern")
    found = [Method("annkern", f"annkern exact {short}", {"dtype": dtype}) for short, dtype in DTYPES.items()]
    few = np.random.default_rng(0).standard_normal((300, shape.d), dtype=np.float32)
    if hasattr(ak, "compress"):
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
    make = getattr(ak, "Index", GraphOverStore if hasattr(ak, "build_graph") else None)
    if make is not None:
        half = max(1, shape.d // 2)
        for store in (f"leanvec{half}:lvq4,lvq8", "lvq8", "lvq4x8", "f16", "f32"):
            spec = f"graph64,{store}"
            if runs(make.build, few, spec, metric=shape.metric):
                sweep = widths("window", shape.k, sorted({*WIDTHS, 15, 30, 60, 110}))
                quick = store.startswith(("leanvec", "lvq8"))
                name = f"annkern {spec}"
                found.append(Method("annkern", name, {"index": spec}, sweep, quick, widths("window", shape.k, QUICK)))
    return found


DTYPES = {"f32": "float32", "f16": "float16"}
ANNKERN = Peer("annkern", "annkern", "annkern", AnnkernSearcher, methods)
