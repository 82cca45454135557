# SPDX-License-Identifier: Apache-2.0
# Written by tools/stubs.py; do not edit.
# The extension modules _cpu, _cuda and _emu: one source, csrc/bind/module.cpp. Addresses are plain integers, which the
# caller has checked; strides of Matrix and Filter are in bytes, those of select_k and merge_topk in elements.
from typing import Any, Literal, TypedDict, overload

class _BackendInfo(TypedDict):
    name: str
    isa: str
    built: list[str]
    runnable: list[str]
    threads: int
    device: bool
    available: bool
    note: str

class _MetricTraits(TypedDict):
    bits: bool
    integer: bool
    similarity: bool
    from_dot: bool

MetricName = Literal[
    "sqeuclidean",
    "euclidean",
    "inner_product",
    "cosine",
    "cityblock",
    "chebyshev",
    "hamming",
    "jaccard",
    "l2",
    "ip",
    "dot",
    "cos",
    "angular",
    "l1",
    "manhattan",
    "linf",
]

metrics: dict[str, _MetricTraits]
metric_aliases: dict[str, str]
dtypes: list[str]
stores: list[str]
most_dims_8bit: int
most_bits: int

class Exec:
    def __init__(self, threads: int = 0, stream: int = 0, workspace: int = 0, workspace_bytes: int = 0) -> None: ...

class Matrix:
    def __init__(self, data: int, rows: int, dims: int, stride: int, dtype: str) -> None: ...

class Base:
    @overload
    def __init__(self, matrix: Matrix) -> None: ...
    @overload
    def __init__(self, kind: str, rows: int, dims: int, arrays: list[int], numbers: list[int]) -> None: ...

class Filter:
    @overload
    def __init__(self) -> None: ...
    @overload
    def __init__(self, data: int, query_stride: int, packed: bool) -> None: ...

class Graph:
    def __init__(self, neighbors: int, rows: int, degree: int, stride: int, entries: int, entry_count: int) -> None: ...

class Lists:
    def __init__(self, offsets: int, ids: int, places: int, count: int, rows: int, copies: int) -> None: ...

class KnnCarry:
    def __init__(self) -> None: ...

class StoreLevel:
    def __init__(self, rows: Base, projection: Matrix, memory: list[tuple[int, int]]) -> None: ...

class GraphPlan:
    def __init__(self, graph: Graph, memory: list[tuple[int, int]]) -> None: ...

def assign_direct(*arguments: Any) -> Any: ...
def backend_info() -> _BackendInfo: ...
def build_graph(
    base: Matrix | Base,
    metric: str,
    order: tuple[int, int, int, int],
    sizes: tuple[int, int, int, int],
    alpha: float,
    lists: tuple[int, int, int, int],
    bad_row: int,
    exec: Exec,
) -> None: ...
def build_graph_workspace(
    base: Matrix | Base,
    metric: str,
    order: tuple[int, int, int, int],
    sizes: tuple[int, int, int, int],
    alpha: float,
    lists: tuple[int, int, int, int],
    bad_row: int,
    exec: Exec,
) -> int: ...
def cluster_sums(
    x: Matrix, labels: int, parts: int, bytes: bool, clusters: int, sums: int, counts: int, exec: Exec
) -> None: ...
def decode(store: Matrix | Base, ids: int, count: int, out: int, exec: Exec) -> None: ...
def default_candidates(k: int) -> int: ...
def default_rerank_k(k: int) -> int: ...
def distances(
    base: Matrix | Base, queries: Matrix, metric: str, ids: int, width: int, distances: int, bad_row: int, exec: Exec
) -> None: ...
def distances_direct(*arguments: Any) -> Any: ...
def distances_workspace(
    base: Matrix | Base, queries: Matrix, metric: str, ids: int, width: int, distances: int, bad_row: int, exec: Exec
) -> int: ...
def encode(x: Matrix, store: Matrix | Base, first: int, bad_row: int, exec: Exec) -> None: ...
def finish_graph(
    base: Matrix | Base,
    metric: str,
    order: tuple[int, int, int, int],
    sizes: tuple[int, int, int, int],
    alpha: float,
    lists: tuple[int, int, int, int],
    bad_row: int,
    exec: Exec,
) -> None: ...
def finish_graph_workspace(
    base: Matrix | Base,
    metric: str,
    order: tuple[int, int, int, int],
    sizes: tuple[int, int, int, int],
    alpha: float,
    lists: tuple[int, int, int, int],
    bad_row: int,
    exec: Exec,
) -> int: ...
def first_nonfinite(x: Matrix, row: int, exec: Exec) -> None: ...
def knn(
    base: Matrix | Base,
    queries: Matrix,
    metric: str,
    k: int,
    filter: Filter,
    distances: int,
    indices: int,
    bad_row: int,
    exec: Exec,
) -> None: ...
def knn_block(
    base: Matrix | Base,
    queries: Matrix,
    metric: str,
    k: int,
    filter: Filter,
    distances: int,
    indices: int,
    bad_row: int,
    carry: KnnCarry,
    first_id: int,
    last: bool,
    exec: Exec,
) -> None: ...
def knn_block_workspace(
    base: Matrix | Base,
    queries: Matrix,
    metric: str,
    k: int,
    filter: Filter,
    distances: int,
    indices: int,
    bad_row: int,
    carry: KnnCarry,
    first_id: int,
    last: bool,
    exec: Exec,
) -> int: ...
def knn_direct(*arguments: Any) -> Any: ...
def knn_workspace(
    base: Matrix | Base,
    queries: Matrix,
    metric: str,
    k: int,
    filter: Filter,
    distances: int,
    indices: int,
    bad_row: int,
    exec: Exec,
) -> int: ...
def link_graph(
    base: Matrix | Base,
    metric: str,
    order: tuple[int, int, int, int],
    sizes: tuple[int, int, int, int],
    alpha: float,
    lists: tuple[int, int, int, int],
    bad_row: int,
    exec: Exec,
) -> None: ...
def link_graph_workspace(
    base: Matrix | Base,
    metric: str,
    order: tuple[int, int, int, int],
    sizes: tuple[int, int, int, int],
    alpha: float,
    lists: tuple[int, int, int, int],
    bad_row: int,
    exec: Exec,
) -> int: ...
def merge_topk(
    distances: int,
    integers: bool,
    shape: tuple[int, int, int],
    strides: tuple[int, int],
    ids: int,
    ids_strides: tuple[int, int],
    offsets: int,
    k: int,
    largest: bool,
    out_distances: int,
    out_ids: int,
    exec: Exec,
) -> None: ...
def merge_topk_direct(*arguments: Any) -> Any: ...
def merge_topk_workspace(
    distances: int,
    integers: bool,
    shape: tuple[int, int, int],
    strides: tuple[int, int],
    ids: int,
    ids_strides: tuple[int, int],
    offsets: int,
    k: int,
    largest: bool,
    out_distances: int,
    out_ids: int,
    exec: Exec,
) -> int: ...
def nn_descent_prune(
    base: Matrix | Base,
    metric: str,
    order: tuple[int, int],
    lists: tuple[int, int, int, bool],
    graph: tuple[int, int],
    still_new: int,
    bad_row: int,
    exec: Exec,
) -> None: ...
def nn_descent_prune_workspace(
    base: Matrix | Base,
    metric: str,
    order: tuple[int, int],
    lists: tuple[int, int, int, bool],
    graph: tuple[int, int],
    still_new: int,
    bad_row: int,
    exec: Exec,
) -> int: ...
def nn_descent_round(
    base: Matrix | Base,
    metric: str,
    order: tuple[int, int],
    lists: tuple[int, int, int, bool],
    graph: tuple[int, int],
    still_new: int,
    bad_row: int,
    exec: Exec,
) -> None: ...
def nn_descent_round_workspace(
    base: Matrix | Base,
    metric: str,
    order: tuple[int, int],
    lists: tuple[int, int, int, bool],
    graph: tuple[int, int],
    still_new: int,
    bad_row: int,
    exec: Exec,
) -> int: ...
def nn_descent_start(
    base: Matrix | Base,
    metric: str,
    order: tuple[int, int],
    lists: tuple[int, int, int, bool],
    graph: tuple[int, int],
    still_new: int,
    bad_row: int,
    exec: Exec,
) -> None: ...
def nn_descent_start_workspace(
    base: Matrix | Base,
    metric: str,
    order: tuple[int, int],
    lists: tuple[int, int, int, bool],
    graph: tuple[int, int],
    still_new: int,
    bad_row: int,
    exec: Exec,
) -> int: ...
def pairwise(queries: Matrix, base: Matrix | Base, metric: str, distances: int, bad_row: int, exec: Exec) -> None: ...
def pairwise_direct(*arguments: Any) -> Any: ...
def pairwise_workspace(
    queries: Matrix, base: Matrix | Base, metric: str, distances: int, bad_row: int, exec: Exec
) -> int: ...
def radius_count(
    base: Matrix | Base,
    queries: Matrix,
    metric: str,
    radius: float,
    filter: Filter,
    lims: int,
    distances: int,
    indices: int,
    bad_row: int,
    exec: Exec,
) -> None: ...
def radius_count_workspace(
    base: Matrix | Base,
    queries: Matrix,
    metric: str,
    radius: float,
    filter: Filter,
    lims: int,
    distances: int,
    indices: int,
    bad_row: int,
    exec: Exec,
) -> int: ...
def radius_direct(*arguments: Any) -> Any: ...
def radius_fill(
    base: Matrix | Base,
    queries: Matrix,
    metric: str,
    radius: float,
    filter: Filter,
    lims: int,
    distances: int,
    indices: int,
    bad_row: int,
    exec: Exec,
) -> None: ...
def radius_fill_workspace(
    base: Matrix | Base,
    queries: Matrix,
    metric: str,
    radius: float,
    filter: Filter,
    lims: int,
    distances: int,
    indices: int,
    bad_row: int,
    exec: Exec,
) -> int: ...
def search_graph(
    graph: Graph,
    base: Matrix | Base,
    queries: Matrix,
    metric: str,
    k: int,
    window: int,
    expand: int,
    rerank: Matrix | Base,
    rerank_queries: Matrix,
    rerank_k: int,
    filter: Filter,
    distances: int,
    indices: int,
    bad_row: int,
    exec: Exec,
) -> None: ...
def search_graph_direct(*arguments: Any) -> Any: ...
def search_graph_workspace(
    graph: Graph,
    base: Matrix | Base,
    queries: Matrix,
    metric: str,
    k: int,
    window: int,
    expand: int,
    rerank: Matrix | Base,
    rerank_queries: Matrix,
    rerank_k: int,
    filter: Filter,
    distances: int,
    indices: int,
    bad_row: int,
    exec: Exec,
) -> int: ...
def search_lists(
    lists: Lists,
    order: tuple[Matrix | Base, Matrix, str],
    taken: tuple[int, int, int],
    base: tuple[Matrix | Base, Matrix, bool],
    metric: str,
    rerank: tuple[Matrix | Base, Matrix, bool],
    counts: tuple[int, int],
    filter: Filter,
    distances: int,
    indices: int,
    bad_row: int,
    exec: Exec,
) -> None: ...
def search_lists_workspace(
    lists: Lists,
    order: tuple[Matrix | Base, Matrix, str],
    taken: tuple[int, int, int],
    base: tuple[Matrix | Base, Matrix, bool],
    metric: str,
    rerank: tuple[Matrix | Base, Matrix, bool],
    counts: tuple[int, int],
    filter: Filter,
    distances: int,
    indices: int,
    bad_row: int,
    exec: Exec,
) -> int: ...
def select_k(
    values: int,
    shape: tuple[int, int, int],
    strides: tuple[int, int],
    ids: int,
    ids_strides: tuple[int, int],
    k: int,
    largest: bool,
    out_values: int,
    out_ids: int,
    exec: Exec,
) -> None: ...
def select_k_direct(*arguments: Any) -> Any: ...
def select_k_workspace(
    values: int,
    shape: tuple[int, int, int],
    strides: tuple[int, int],
    ids: int,
    ids_strides: tuple[int, int],
    k: int,
    largest: bool,
    out_values: int,
    out_ids: int,
    exec: Exec,
) -> int: ...
