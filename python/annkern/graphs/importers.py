# SPDX-License-Identifier: Apache-2.0
"""Graphs of other libraries as arrays: neighbours by row of the caller's vectors, and where a search begins."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..arrays.views import asarray
from ..runtime.types import MetricName

Array = np.ndarray[Any, np.dtype[Any]]
LABELS_0_TO_N = "expected labels 0 to n - 1, each once, so that they are rows of the vectors"
FAISS_METRICS: dict[str, MetricName] = {
    "METRIC_L2": "sqeuclidean",
    "METRIC_INNER_PRODUCT": "inner_product",
    "METRIC_L1": "cityblock",
    "METRIC_Linf": "chebyshev",
}
HNSWLIB_SPACES: dict[str, MetricName] = {"l2": "sqeuclidean", "ip": "inner_product", "cosine": "cosine"}
ARRAY_PROTOCOLS = ("__array__", "__array_interface__", "__dlpack__", "__buffer__")


class Imported(NamedTuple):
    """neighbors (n, degree) integers; entries: None where none are known; deleted (n,) bool: None for none."""

    neighbors: Array
    entries: Array | None
    metric: MetricName
    deleted: Array | None = None


def read(given: Any, metric: MetricName | None) -> Imported:
    """The graph of an array, or of a library's index, whose metric is the library's where none is named."""
    root = type(given).__module__.partition(".")[0]
    if type(given).__name__ == "Index" and hasattr(given, "get_ids_list"):
        return _hnswlib(given, metric)
    if root == "faiss":
        return _faiss(given, metric)
    # np.asarray reads whatever has a length and items one by one: an index of another library, for hours.
    is_array = isinstance(given, (list, tuple, memoryview)) or any(hasattr(given, name) for name in ARRAY_PROTOCOLS)
    array = asarray("neighbors", given) if is_array else np.empty(0, object)
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise TypeError(
            "neighbors: expected integers (n, degree), an hnswlib.Index, or a faiss IndexHNSW or IndexNSG, got "
            f"{type(given).__module__}.{type(given).__name__}"
            + (f" of shape {array.shape}, {array.dtype}" if array.dtype != object else "")
        )
    return Imported(array, None, metric or "sqeuclidean")


def _hnswlib(index: Any, metric: MetricName | None) -> Imported:
    """Layer 0: a count of 2 bytes, a byte that marks what is deleted and one more, then max_M0 internal ids of 4 bytes, at
    the start of each element's record."""
    metric = metric or HNSWLIB_SPACES[index.space]
    state = index.__getstate__()[0]
    if not state["index_inited"]:
        raise ValueError("neighbors: expected an hnswlib.Index with init_index or load_index behind it, got one without")
    n, size, most = state["cur_element_count"], state["size_data_per_element"], state["max_M0"]
    if n == 0:
        return Imported(np.empty((0, most), np.int64), np.empty(0, np.int64), metric)
    records = state["data_level0"].view(np.uint8)[: n * size].reshape(n, size)
    links = np.ascontiguousarray(records[:, state["offset_level0"] : state["offset_level0"] + 4 + 4 * most])
    counts = np.ascontiguousarray(links[:, :2]).view(np.uint16)[:, 0]
    ids = np.ascontiguousarray(links[:, 4:]).view(np.uint32).astype(np.int64)
    labels = np.ascontiguousarray(records[:, state["label_offset"] : state["label_offset"] + 8]).view(np.uint64)[:, 0]
    if not (np.sort(labels) == np.arange(n, dtype=np.uint64)).all():
        raise ValueError(f"neighbors: {LABELS_0_TO_N}, got others in the hnswlib index")
    rows_of_label = labels.astype(np.int64)
    there = np.arange(most) < counts[:, None]
    out = np.empty((n, most), np.int64)
    out[rows_of_label] = np.where(there, rows_of_label[np.where(there, ids, 0)], -1)
    deleted = np.empty(n, bool)
    deleted[rows_of_label] = links[:, 2] & 1
    return Imported(out, rows_of_label[[state["enterpoint_node"]]], metric, deleted if deleted.any() else None)


def _faiss(index: Any, metric: MetricName | None) -> Imported:
    import faiss

    n = index.ntotal
    if metric is None:
        known = {getattr(faiss, name): ours for name, ours in FAISS_METRICS.items()}
        if index.metric_type not in known:
            raise ValueError(
                f"neighbors: expected an index of {', '.join(FAISS_METRICS)}, or metric= beside it, got metric_type "
                f"{index.metric_type}"
            )
        metric = known[index.metric_type]
    if hasattr(index, "hnsw"):
        width = index.hnsw.nb_neighbors(0)
        flat = faiss.vector_to_array(index.hnsw.neighbors)
        starts = faiss.vector_to_array(index.hnsw.offsets)[:n].astype(np.int64)
        return Imported(flat[starts[:, None] + np.arange(width)], np.array([index.hnsw.entry_point])[:n], metric)
    if hasattr(index, "nsg"):
        if n == 0:
            return Imported(np.empty((0, index.nsg.R), np.int64), np.empty(0, np.int64), metric)
        final = index.nsg.get_final_graph()
        ids = np.array(faiss.rev_swig_ptr(final.data, final.N * final.K)).reshape(final.N, final.K)
        return Imported(ids, np.array([index.nsg.enterpoint]), metric)
    raise TypeError(f"neighbors: expected a faiss IndexHNSW or IndexNSG, got {type(index).__name__}")
