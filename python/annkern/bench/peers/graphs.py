# SPDX-License-Identifier: Apache-2.0
"""Libraries of one graph each: hnswlib, usearch, PyNNDescent, NGT."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from .base import QUICK_WIDTHS, Array, Method, Peer, Searcher, Setting, Shape, one_by_one, over_threads, widths

SHORT = {"sqeuclidean": "l2", "inner_product": "ip"}


class HnswlibSearcher(Searcher):
    def prepare(self, params: Setting) -> None:
        self.hnswlib = importlib.import_module("hnswlib")

    def build(self, base: Array, params: Setting) -> None:
        self.index: Any = self.hnswlib.Index(SHORT[self.metric], base.shape[1])
        self.index.init_index(len(base), M=params["M"], ef_construction=params["ef_construction"])
        self.index.set_num_threads(self.threads)
        self.index.add_items(base)

    def configure(self, setting: Setting, threads: int) -> None:
        self.index.set_num_threads(threads)
        self.index.set_ef(setting["ef"])

    def search(self, queries: Array, k: int) -> Array:
        return np.asarray(self.index.knn_query(queries, k)[0], np.int64)

    def nbytes(self) -> int:
        return int(self.index.index_file_size())


def hnswlib_methods(shape: Shape) -> Sequence[Method]:
    sweep, quick = widths("ef", shape.k), widths("ef", shape.k, QUICK_WIDTHS)
    return [Method("hnswlib", f"hnswlib M{M}", {"M": M, "ef_construction": 200}, sweep, M == 16, quick) for M in (16, 32)]


class UsearchSearcher(Searcher):
    def prepare(self, params: Setting) -> None:
        self.usearch = importlib.import_module("usearch.index")

    def build(self, base: Array, params: Setting) -> None:
        metric = {"sqeuclidean": "l2sq", "inner_product": "ip"}[self.metric]
        self.index: Any = self.usearch.Index(ndim=base.shape[1], metric=metric, **params)
        self.index.add(np.arange(len(base)), base, threads=self.threads)

    def configure(self, setting: Setting, threads: int) -> None:
        self.now = threads
        self.index.expansion_search = setting["ef"]

    def search(self, queries: Array, k: int) -> Array:
        found = self.index.search(queries, k, threads=self.now)
        keys = np.asarray(found.keys).reshape(len(queries), -1).astype(np.int64)
        if len(queries) > 1:  # what lies behind the count is not set
            keys[np.arange(keys.shape[1]) >= np.asarray(found.counts)[:, None]] = -1
        return keys

    def nbytes(self) -> int:
        return int(self.index.memory_usage)


def usearch_methods(shape: Shape) -> Sequence[Method]:
    sweep, quick = widths("ef", shape.k), widths("ef", shape.k, QUICK_WIDTHS)
    common = {"connectivity": 32, "expansion_add": 200}
    return [
        Method("usearch", f"usearch {kind}", common | {"dtype": kind}, sweep, kind == "f16", quick)
        for kind in ("f32", "f16", "i8")
    ]


class PynndescentSearcher(Searcher):
    def prepare(self, params: Setting) -> None:
        """Numba compiles at the first use, which takes a minute: on a few rows, before the clock starts."""
        self.numba = importlib.import_module("numba")
        self.pynndescent = importlib.import_module("pynndescent")
        self.build(np.random.default_rng(0).standard_normal((1000, 16), dtype=np.float32), params)

    def build(self, base: Array, params: Setting) -> None:
        metric = {"sqeuclidean": "sqeuclidean", "inner_product": "dot"}[self.metric]
        make = self.pynndescent.NNDescent
        self.index: Any = make(np.array(base), metric=metric, random_state=0, n_jobs=self.threads, **params)
        self.index.prepare()

    def configure(self, setting: Setting, threads: int) -> None:
        # It compiles its serial or its parallel search at prepare; the threads of the latter can be masked.
        self.numba.set_num_threads(threads)
        self.epsilon = setting["epsilon"]

    def search(self, queries: Array, k: int) -> Array:
        return np.asarray(self.index.query(queries, k, epsilon=self.epsilon)[0], np.int64)


def pynndescent_methods(shape: Shape) -> Sequence[Method]:
    sweep = tuple({"epsilon": value} for value in (0.0, 0.05, 0.1, 0.2, 0.3, 0.4))
    build = {"n_neighbors": 30, "parallel_batch_queries": True}
    return [Method("pynndescent", "pynndescent", build, sweep, False, sweep[::2])]


class NgtSearcher(Searcher):
    """ONNG, by its optimizer's degrees. (QG is built by command-line tools that the registry's package lacks.)"""

    def build(self, base: Array, params: Setting) -> None:
        ngt = importlib.import_module("ngtpy")
        self.folder = tempfile.mkdtemp(prefix="annkern-ngt-")
        kind = "L2" if self.metric == "sqeuclidean" else "Inner Product"
        rough, path = f"{self.folder}/anng", f"{self.folder}/onng"
        ngt.create(rough, base.shape[1], edge_size_for_creation=params["edges"], distance_type=kind)
        index = ngt.Index(rough)
        index.batch_insert(base, num_threads=self.threads)
        index.save()
        index.close()
        optimizer = ngt.Optimizer(num_of_outgoings=params["out"], num_of_incomings=params["in"], log_disabled=True)
        # Its tables of search parameters take minutes, and serve searches by a wanted accuracy, not by epsilon.
        optimizer.set_processing_modes(
            search_parameter_optimization=False, prefetch_parameter_optimization=False, accuracy_table_generation=False
        )
        optimizer.execute(rough, path)
        shutil.rmtree(rough)
        self.index: Any = ngt.Index(path, read_only=True)

    def configure(self, setting: Setting, threads: int) -> None:
        self.now, self.epsilon = threads, setting["epsilon"]

    def search(self, queries: Array, k: int) -> Array:
        def found(query: Array) -> Any:
            return self.index.search(query, k, epsilon=self.epsilon, with_distance=False)

        return over_threads(lambda part, k: one_by_one(found, part, k), queries, k, self.now)


def ngt_methods(shape: Shape) -> Sequence[Method]:
    sweep = tuple({"epsilon": value} for value in (0.0, 0.03, 0.06, 0.1, 0.15, 0.2))
    build = {"edges": 40, "out": 10, "in": 100}
    return [Method("ngt", "ngt ONNG", build, sweep, False, sweep[::2])]


HNSWLIB = Peer("hnswlib", "hnswlib", "hnswlib", HnswlibSearcher, hnswlib_methods)
USEARCH = Peer("usearch", "usearch", "usearch", UsearchSearcher, usearch_methods)
PYNNDESCENT = Peer("pynndescent", "pynndescent", "pynndescent", PynndescentSearcher, pynndescent_methods)
NGT = Peer("ngt", "ngtpy", "ngt", NgtSearcher, ngt_methods)
