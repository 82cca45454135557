# SPDX-License-Identifier: Apache-2.0
"""annkern: the kernels under every vector search. Arrays in, arrays out, of the caller's own library.

    index      class Index, tune                           what a caller keeps
    ivf        build_lists, search_lists, class Lists
    graphs     build_graph, search_graph, class Graph
    stores     compress, the estimators, class Store       vectors in fewer bytes
    ops        knn pairwise radius distances select_k merge_topk assign KMeans
    runtime    backend, stream, workspace, results   |  files   save and load; vector files
    arrays     any array -> address, shape, strides

    _cpu _cuda _emu    the extension modules, from csrc/bind/module.cpp
    reference          NumPy definitions of every operation; imports nothing from here
    io                 vector files; imported on its own
    bench              annkern-bench: beside the peers; sees the public names alone

A room imports from those below it alone (tests/test_architecture.py): calls go down.
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
