# SPDX-License-Identifier: Apache-2.0
"""annkern: the kernels under every vector search. Arrays in, arrays out, of the caller's own library.

    knn  pairwise  radius  select_k  merge_topk      one file each: arguments, documentation
                  |
          _scan.py   _rerank.py                      base, queries, metric, filter, NaN; the second stage of knn
                  |
              _call.py                               results, workspace, stream, the call itself
             /        \\
      _arrays.py    _backend.py                      any array -> address, shape, strides | which extension serves it
      _spaces.py        |
      _dlpack.py   _cpu  _cuda  _emu                 the extension modules, from csrc/bind/module.cpp
      _driver.py

    reference/                                       NumPy definitions of every operation; imports nothing from here
    io.py                                            vector files; imported on its own
    bench/                                           annkern-bench: beside the peers; imported on its own
"""

from ._backend import backends, show_config
from ._store import Store
from .assign import assign
from .build_graph import build_graph
from .compress import compress
from .distances import distances
from .files import load
from .graph import Graph
from .index import Index
from .kmeans import KMeans
from .knn import knn
from .merge_topk import merge_topk
from .pairwise import pairwise
from .radius import radius
from .search_graph import search_graph
from .select_k import select_k
from .stores import LVQ, OPQ, PQ, BinaryQuantizer, Cast, LeanVec, RaBitQ, ScalarQuantizer
from .tune import Tuned, tune

__version__ = "0.1.0"
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
    "RaBitQ",
    "ScalarQuantizer",
    "Store",
    "Tuned",
    "assign",
    "backends",
    "build_graph",
    "compress",
    "distances",
    "knn",
    "load",
    "merge_topk",
    "pairwise",
    "radius",
    "search_graph",
    "select_k",
    "show_config",
    "tune",
]
