# SPDX-License-Identifier: Apache-2.0
"""Graphs of other libraries as arrays: neighbours by row of the caller's vectors, and where a search begins."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
LABELS_0_TO_N = "expected labels 0 to n - 1, each once, so that they are rows of the vectors"


def read(given: Any) -> tuple[Array, Array | None]:
    """(n, degree) integers and entries, None where none are known: of an array, or of a library's index."""
    root = type(given).__module__.partition(".")[0]
    if type(given).__name__ == "Index" and hasattr(given, "get_ids_list"):
        return _hnswlib(given)
    if root == "faiss":
        return _faiss(given)
    array = np.asarray(given)
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise TypeError(
            "neighbors: expected integers (n, degree), an hnswlib.Index, or a faiss IndexHNSW or IndexNSG, got "
            f"{type(given).__name__}" + (f" of shape {array.shape}, {array.dtype}" if array.dtype != object else "")
        )
    return array, None


def _hnswlib(index: Any) -> tuple[Array, Array]:
    """Layer 0: a count of 2 bytes (of 4), then max_M0 internal ids of 4 bytes, at the start of each element's record."""
    state = index.__getstate__()[0]
    if not state["index_inited"]:
        raise ValueError("neighbors: expected an hnswlib.Index with init_index or load_index behind it, got one without")
    n, size, most = state["cur_element_count"], state["size_data_per_element"], state["max_M0"]
    if n == 0:
        return np.empty((0, most), np.int64), np.empty(0, np.int64)
    records = state["data_level0"].view(np.uint8)[: n * size].reshape(n, size)
    links = np.ascontiguousarray(records[:, state["offset_level0"] : state["offset_level0"] + 4 + 4 * most])
    counts = np.ascontiguousarray(links[:, :2]).view(np.uint16)[:, 0]
    ids = np.ascontiguousarray(links[:, 4:]).view(np.uint32).astype(np.int64)
    labels = np.ascontiguousarray(records[:, state["label_offset"] : state["label_offset"] + 8]).view(np.uint64)[:, 0]
    if not (np.sort(labels) == np.arange(n, dtype=np.uint64)).all():
        raise ValueError(f"neighbors: {LABELS_0_TO_N}, got others in the hnswlib index")
    own = labels.astype(np.int64)
    there = np.arange(most) < counts[:, None]
    out = np.empty((n, most), np.int64)
    out[own] = np.where(there, own[np.where(there, ids, 0)], -1)
    return out, own[[state["enterpoint_node"]]]


def _faiss(index: Any) -> tuple[Array, Array]:
    import faiss

    n = index.ntotal
    if hasattr(index, "hnsw"):
        width = index.hnsw.nb_neighbors(0)
        flat = faiss.vector_to_array(index.hnsw.neighbors)
        starts = faiss.vector_to_array(index.hnsw.offsets)[:n].astype(np.int64)
        return flat[starts[:, None] + np.arange(width)], np.array([index.hnsw.entry_point])[:n]
    if hasattr(index, "nsg"):
        if n == 0:
            return np.empty((0, index.nsg.R), np.int64), np.empty(0, np.int64)
        final = index.nsg.get_final_graph()
        ids = np.array(faiss.rev_swig_ptr(final.data, final.N * final.K)).reshape(final.N, final.K)
        return ids, np.array([index.nsg.enterpoint])
    raise TypeError(f"neighbors: expected a faiss IndexHNSW or IndexNSG, got {type(index).__name__}")
