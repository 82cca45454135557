# SPDX-License-Identifier: Apache-2.0
"""NumPy definitions of every operation: what the kernels are tested against, and the specification to read.

Slow and memory-hungry on purpose: an (m, n) matrix of float64 distances, then one sort. Start at `knn`.
"""

from .build_graph import build_graph
from .build_lists import build_lists
from .distances import distances
from .kmeans import assign, cluster_sums, kmeans
from .knn import knn
from .merge_topk import merge_topk
from .metrics import ALIASES, METRICS, Metric
from .pairwise import bound, exact, pairwise
from .radius import radius
from .search_graph import search_graph
from .search_lists import search_lists
from .select_k import select_k

__all__ = [
    "ALIASES",
    "METRICS",
    "Metric",
    "assign",
    "bound",
    "build_graph",
    "build_lists",
    "cluster_sums",
    "distances",
    "exact",
    "kmeans",
    "knn",
    "merge_topk",
    "pairwise",
    "radius",
    "search_graph",
    "search_lists",
    "select_k",
]
