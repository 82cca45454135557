# SPDX-License-Identifier: Apache-2.0
"""annkern: the kernels under every vector search. Arrays in, arrays out, of the caller's own library.

Search exactly:
    dist, idx = knn(base, queries, k)                    the k nearest of each query; metric, filter, rerank
    lims, dist, idx = radius(base, queries, r)           all within a distance
    dist = pairwise(queries, base)                       all distances; distances(base, queries, ids): chosen ones
    labels, dist = assign(x, centroids)                  the nearest one; KMeans(n_clusters).fit(x)
    select_k, merge_topk                                 the k best of rows of values, and of several searches

Keep vectors in fewer bytes, and search them wherever an array is:
    store = compress(x, "lvq4x8")                        or an estimator: LVQ LeanVec PQ OPQ RaBitQ BinaryQuantizer
                                                         ScalarQuantizer Cast, with .fit(x).encode(x) -> Store

Search a graph instead of all of them:
    index = Index.build(x, "graph32,lvq4x8")             index.search(queries, k); Index.of(store, graph)
    graph = build_graph(store)                           search_graph(graph, store, queries, k); class Graph
    lists = build_lists(x)                               search_lists(lists, store, queries, k): class Lists, inverted lists
    tune(index, queries, truth, recall=0.95) -> Tuned    the least work that reaches a recall

Keep them, and see what is here:
    index.save(path); load(path)                         also of stores and graphs
    backends(), show_config()                            python -m annkern prints these, and where things are
    annkern.io                                           vector files: .npy .fbin .fvecs .hdf5

help(annkern.knn) and its like describe each. Where things are in the package, docs/design.md says.
"""

from ._version import __version__ as __version__
from .files.container import load
from .graphs.build_graph import build_graph
from .graphs.graph import Graph
from .graphs.search_graph import search_graph
from .index.index import Index
from .index.tune import Tuned, tune
from .ivf.build_lists import build_lists
from .ivf.lists import Lists
from .ivf.search_lists import search_lists
from .ops.assign import assign
from .ops.distances import distances
from .ops.kmeans import KMeans
from .ops.knn import knn
from .ops.merge_topk import merge_topk
from .ops.pairwise import pairwise
from .ops.radius import radius
from .ops.select_k import select_k
from .runtime.backend import backends, check_here, show_config
from .stores import LVQ, OPQ, PQ, BinaryQuantizer, Cast, LeanVec, RaBitQ, ScalarQuantizer
from .stores.compress import compress
from .stores.store import Store

check_here()

__all__ = [
    "LVQ",
    "OPQ",
    "PQ",
    "BinaryQuantizer",
    "Cast",
    "Graph",
    "Index",
    "KMeans",
    "LeanVec",
    "Lists",
    "RaBitQ",
    "ScalarQuantizer",
    "Store",
    "Tuned",
    "assign",
    "backends",
    "build_graph",
    "build_lists",
    "compress",
    "distances",
    "knn",
    "load",
    "merge_topk",
    "pairwise",
    "radius",
    "search_graph",
    "search_lists",
    "select_k",
    "show_config",
    "tune",
]


def __dir__() -> list[str]:
    return [*__all__, "__doc__", "__version__"]
