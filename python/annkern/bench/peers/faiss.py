# SPDX-License-Identifier: Apache-2.0
"""faiss: flat, HNSW, HNSW over 8-bit scalars, IVF-PQ fast scan with refinement, RaBitQ with refinement."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import Any

from .base import QUICK_WIDTHS, Array, Method, Peer, Searcher, Setting, Shape, widths


class FaissSearcher(Searcher):
    def prepare(self, params: Setting) -> None:
        self.faiss = importlib.import_module("faiss")

    def build(self, base: Array, params: Setting) -> None:
        self.faiss.omp_set_num_threads(self.threads)
        metric = {"sqeuclidean": self.faiss.METRIC_L2, "inner_product": self.faiss.METRIC_INNER_PRODUCT}[self.metric]
        self.index: Any = self.faiss.index_factory(base.shape[1], params["factory"], metric)
        if "ef_construction" in params:
            self.index.hnsw.efConstruction = params["ef_construction"]
        self.index.train(base)
        self.index.add(base)
        inner = getattr(self.index, "base_index", None)
        self.inner: Any = self.index if inner is None else self.faiss.downcast_index(inner)

    def configure(self, setting: Setting, threads: int) -> None:
        self.faiss.omp_set_num_threads(threads)
        if "ef" in setting:
            self.index.hnsw.efSearch = setting["ef"]
        if "nprobe" in setting:
            self.inner.nprobe = setting["nprobe"]
        if "k_factor" in setting:
            self.index.k_factor = setting["k_factor"]

    def search(self, queries: Array, k: int) -> Array:
        ids: Array = self.index.search(queries, k)[1]
        return ids

    def nbytes(self) -> int:
        """Of what it would write to disk."""
        writer = self.faiss.VectorIOWriter()
        self.faiss.write_index(self.index, writer)
        return int(writer.data.size())


def methods(shape: Shape) -> Sequence[Method]:
    lists = max(1, min(int(4 * math.sqrt(shape.n)), shape.n // 40))
    counts = [probe for probe in (1, 2, 4, 8, 16, 32, 64, 128, 256) if probe <= lists]
    probes = tuple({"nprobe": probe, "k_factor": factor} for probe in counts for factor in (3, 10, 30))
    graph, quick = widths("ef", shape.k), widths("ef", shape.k, QUICK_WIDTHS)
    found = [
        Method("faiss", "faiss Flat", {"factory": "Flat"}),
        Method("faiss", "faiss HNSW32", {"factory": "HNSW32", "ef_construction": 200}, graph, True, quick),
        Method("faiss", "faiss HNSW32,SQ8", {"factory": "HNSW32,SQ8", "ef_construction": 200}, graph, False, quick),
    ]
    if shape.d % 2 == 0:
        factory = f"IVF{lists},PQ{shape.d // 2}x4fs,RFlat"
        found.append(Method("faiss", f"faiss {factory}", {"factory": factory}, probes, True, probes[1::6]))
    factory = f"IVF{lists},RaBitQ,RFlat"
    found.append(Method("faiss", f"faiss {factory}", {"factory": factory}, probes, False, probes[2::6]))
    return found


FAISS = Peer("faiss", "faiss", "faiss-cpu", FaissSearcher, methods)
