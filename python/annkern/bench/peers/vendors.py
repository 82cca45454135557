# SPDX-License-Identifier: Apache-2.0
"""Libraries that compress and search: Intel's SVS, Google's ScaNN, Ant's VSAG."""

from __future__ import annotations

import importlib
import json
import math
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from .base import QUICK_WIDTHS, Array, Method, Peer, Searcher, Setting, Shape, one_by_one, over_threads, widths


class SvsSearcher(Searcher):
    def prepare(self, params: Setting) -> None:
        self.library = importlib.import_module("svs")

    def build(self, base: Array, params: Setting) -> None:
        svs = self.library
        metric = svs.DistanceType.L2 if self.metric == "sqeuclidean" else svs.DistanceType.MIP
        alpha = 1.2 if self.metric == "sqeuclidean" else 0.95
        graph = svs.VamanaBuildParameters(graph_max_degree=params["degree"], window_size=params["window"], alpha=alpha)
        data: Any = np.array(base)
        if params["store"] != "f32":
            # Its compressed stores are read from its own files.
            file = f"{tempfile.mkdtemp(prefix='annkern-svs-')}/base.fvecs"
            svs.write_vecs(data, file)
            data = self.loader(svs, svs.VectorDataLoader(file, svs.DataType.float32, dims=base.shape[1]), params["store"])
        self.index: Any = svs.Vamana.build(graph, data, metric, num_threads=self.threads)

    @staticmethod
    def loader(svs: Any, data: Any, store: str) -> Any:
        if store.startswith("lvq"):
            primary, residual = (int(bits) for bits in store.removeprefix("lvq").split("x"))
            return svs.LVQLoader(data, primary=primary, residual=residual)
        kinds = svs.LeanVecKind
        width = int(store.removeprefix("leanvec"))
        return svs.LeanVecLoader(data, width, primary_kind=kinds.lvq4, secondary_kind=kinds.lvq8)

    def configure(self, setting: Setting, threads: int) -> None:
        svs = self.library
        self.index.num_threads = threads
        self.index.search_parameters = svs.VamanaSearchParameters(
            svs.SearchBufferConfig(setting["window"]),
            search_buffer_visited_set=setting["visited"],
            prefetch_lookahead=setting["lookahead"],
            prefetch_step=2,
        )

    def search(self, queries: Array, k: int) -> Array:
        return np.asarray(self.index.search(queries, k)[0], np.int64)


# What its calibration chooses among: a set of visited rows, and how many rows ahead are asked for.
SVS_SEARCHES = tuple({"visited": visited, "lookahead": ahead} for visited, ahead in ((False, 4), (False, 10), (True, 4)))


def svs_methods(shape: Shape) -> Sequence[Method]:
    sweep, quick = (
        tuple(width | how for width in found for how in SVS_SEARCHES)
        for found in (widths("window", shape.k), widths("window", shape.k, QUICK_WIDTHS))
    )
    graph = {"degree": 64, "window": 128}
    # Its LVQ and LeanVec end the process on hardware that is not Intel's, which the results then say.
    return [
        Method("svs", f"svs {store}", graph | {"store": store}, sweep, store == "f32", quick)
        for store in ("f32", "lvq8x0", "lvq4x8", f"leanvec{shape.d // 2}")
    ]


class ScannSearcher(Searcher):
    def prepare(self, params: Setting) -> None:
        self.library = importlib.import_module("scann")

    def build(self, base: Array, params: Setting) -> None:
        scann = self.library
        metric = {"sqeuclidean": "squared_l2", "inner_product": "dot_product"}[self.metric]
        builder = scann.scann_ops_pybind.builder(np.array(base), 10, metric).set_n_training_threads(self.threads)
        leaves = params["leaves"]
        builder = builder.tree(
            num_leaves=leaves,
            num_leaves_to_search=leaves // 20 + 1,
            training_sample_size=min(len(base), 100_000),
            soar_lambda=params["soar"],
            overretrieve_factor=None if params["soar"] is None else 2.0,
        )
        threshold = params["threshold"] if self.metric == "inner_product" else float("nan")
        builder = builder.score_ah(params["dims"], anisotropic_quantization_threshold=threshold)
        self.index: Any = builder.reorder(100).build()

    def configure(self, setting: Setting, threads: int) -> None:
        self.now, self.setting = threads, setting
        self.index.set_num_threads(threads)

    def search(self, queries: Array, k: int) -> Array:
        search = self.index.search_batched if self.now == 1 else self.index.search_batched_parallel
        leaves, reorder = self.setting["leaves"], max(self.setting["reorder"], k)
        ids = search(queries, k, leaves_to_search=leaves, pre_reorder_num_neighbors=reorder)[0]
        return np.asarray(ids).astype(np.int64)


LEAVES_SEARCHED = (3, 5, 8, 12, 18, 25, 40, 60, 100, 160, 250, 400)


def scann_sweep(k: int, leaves: int, values: Sequence[int] = LEAVES_SEARCHED) -> tuple[Setting, ...]:
    """Leaves, and for each the numbers of rows that are scored again: 1.5 to 8 times k, 30 rows at least."""
    depths = dict.fromkeys(max(30, int(times * k)) for times in (1.5, 2.5, 4, 8, 16, 40) if times * k <= 800)
    return tuple({"leaves": value, "reorder": depth} for value in values if value <= leaves for depth in depths)


def scann_methods(shape: Shape) -> Sequence[Method]:
    """With SOAR (its authors' advice) and without, in trees of two sizes. AH2: a code of 4 bits stands for 2 dims."""
    found = []
    soars = (None, 1.0, 1.5) if shape.metric == "inner_product" else (None,)
    for dims, times, soar in [(2, times, soar) for times in (2, 4) for soar in soars] + [(1, 2, None)]:
        leaves = max(1, int(times * math.sqrt(shape.n)))
        build = {"leaves": leaves, "dims": dims, "threshold": 0.2, "soar": soar}
        name = f"scann AH{dims} {leaves}" + ("" if soar is None else f" SOAR {soar}")
        sweep, quick = scann_sweep(shape.k, leaves), scann_sweep(shape.k, leaves, LEAVES_SEARCHED[1::4])
        found.append(Method("scann", name, build, sweep, dims == 2 and times == 2 and soar in (None, 1.5), quick))
    return found


class VsagSearcher(Searcher):
    def prepare(self, params: Setting) -> None:
        self.library = importlib.import_module("pyvsag")

    def build(self, base: Array, params: Setting) -> None:
        vsag = self.library
        metric = {"sqeuclidean": "l2", "inner_product": "ip"}[self.metric]
        n, d = base.shape
        index_params = params | {"build_thread_count": self.threads}
        made = {"dtype": "float32", "metric_type": metric, "dim": d, "index_param": index_params}
        self.index: Any = vsag.Index("hgraph", json.dumps(made))
        self.index.build(vectors=np.array(base), ids=np.arange(n, dtype=np.int64), num_elements=n, dim=d)

    def configure(self, setting: Setting, threads: int) -> None:
        self.now = threads
        self.parameters = json.dumps({"hgraph": {"ef_search": setting["ef"]}})

    def search(self, queries: Array, k: int) -> Array:
        def found(query: Array) -> Any:
            return self.index.knn_search(vector=query, k=k, parameters=self.parameters)[0]

        return over_threads(lambda part, k: one_by_one(found, part, k), queries, k, self.now)


def vsag_methods(shape: Shape) -> Sequence[Method]:
    sweep, quick = widths("ef", shape.k), widths("ef", shape.k, QUICK_WIDTHS)
    found = []
    for kind in ("sq4_uniform", "sq8_uniform", "fp32"):
        build = {"base_quantization_type": kind, "max_degree": 32, "ef_construction": 200}
        if kind != "fp32":
            build |= {"use_reorder": True, "precise_quantization_type": "fp32"}
        found.append(Method("vsag", f"vsag hgraph {kind}", build, sweep, kind == "sq8_uniform", quick))
    return found


SVS = Peer("svs", "svs", "scalable-vs", SvsSearcher, svs_methods)
SCANN = Peer("scann", "scann", "scann", ScannSearcher, scann_methods)
VSAG = Peer("vsag", "pyvsag", "pyvsag", VsagSearcher, vsag_methods)
