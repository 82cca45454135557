# SPDX-License-Identifier: Apache-2.0
"""Graphs as other libraries hold them: the inverse of importers.py."""

from __future__ import annotations

import importlib
import struct
from typing import Any

import numpy as np

from ..arrays.host import host_rows
from ..arrays.views import host_copy, view
from ..runtime.context import KERNEL_DTYPES, described, refuse_dtype
from ..stores.store import Store
from .reachability import Reach

Array = np.ndarray[Any, np.dtype[Any]]
FAISS_METRICS = {
    "sqeuclidean": "METRIC_L2",
    "euclidean": "METRIC_L2",
    "inner_product": "METRIC_INNER_PRODUCT",
    "cosine": "METRIC_INNER_PRODUCT",
    "cityblock": "METRIC_L1",
    "chebyshev": "METRIC_Linf",
}
HNSWLIB_SPACES = {"sqeuclidean": "l2", "euclidean": "l2", "inner_product": "ip", "cosine": "cosine"}
BLOCK_ROWS = 4096


def from_one_entry(neighbors: Array, entries: Array) -> tuple[Array, int]:
    """A copy of the neighbours in which one row leads to all others, and that row: the first entry."""
    reachable = neighbors.copy()
    if len(reachable) == 0:
        return reachable, -1
    Reach(reachable, entries[:1]).connect()
    return reachable, int(entries[0])


def rows_of(vectors: Any, n: int, metric: str, known: dict[str, str], library: str) -> Array:
    """The vectors as float32 in host memory; of length 1 where the metric is "cosine"."""
    if metric not in known:
        raise ValueError(f"metric: expected {described(list(known))}, which {library} has, got {metric!r}")
    if isinstance(vectors, Store):
        rows = np.asarray(host_copy(view("vectors", vectors.decode())), np.float32)
    else:
        seen = view("vectors", vectors)
        if len(seen.shape) != 2:
            raise ValueError(f"vectors: expected 2 dimensions (n, d), got shape {seen.shape}")
        refuse_dtype("vectors", seen, tuple(KERNEL_DTYPES))
        rows = host_rows(vectors, seen, None)
    if len(rows) != n:
        raise ValueError(f"vectors: expected {n} rows, as the graph has, got {len(rows)}")
    if metric != "cosine":
        return rows
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1), np.float32)


def _faiss() -> Any:
    try:
        return importlib.import_module("faiss")
    except ImportError as error:
        raise ImportError(
            f"Graph.to_faiss makes an index of faiss, which is not here ({error}): pip install faiss-cpu"
        ) from None


def faiss_hnsw(neighbors: Array, entries: Array, metric: str, vectors: Any) -> Any:
    faiss = _faiss()
    rows = rows_of(vectors, len(neighbors), metric, FAISS_METRICS, "faiss")
    neighbors, entry = from_one_entry(neighbors, entries)
    n, degree = neighbors.shape
    # As many of a layer above as faiss would give half the degree, though no row stands there.
    index = faiss.IndexHNSWFlat(rows.shape[1], max(2, degree // 2), getattr(faiss, FAISS_METRICS[metric]))
    index.hnsw.set_nb_neighbors(0, degree)
    index.storage.add(rows)
    index.ntotal = n
    faiss.copy_array_to_vector(np.ones(n, np.int32), index.hnsw.levels)
    faiss.copy_array_to_vector(np.arange(n + 1, dtype=np.uint64) * np.uint64(degree), index.hnsw.offsets)
    faiss.copy_array_to_vector(neighbors.ravel(), index.hnsw.neighbors)
    index.hnsw.max_level = 0 if n else -1
    index.hnsw.entry_point = entry
    return index


def faiss_nsg(neighbors: Array, entries: Array, metric: str, vectors: Any) -> Any:
    """Through a faiss file in memory: faiss offers no other access to the graph of an IndexNSG."""
    faiss = _faiss()
    rows = rows_of(vectors, len(neighbors), metric, FAISS_METRICS, "faiss")
    neighbors, entry = from_one_entry(neighbors, entries)
    n, degree = neighbors.shape
    if n == 0:
        raise ValueError("graph: expected at least 1 row, which a faiss IndexNSG begins at, got 0")
    unbuilt = faiss.IndexNSGFlat(rows.shape[1], degree, getattr(faiss, FAISS_METRICS[metric]))
    unbuilt.storage.add(rows)
    unbuilt.ntotal = n
    serialized = faiss.serialize_index(unbuilt).tobytes()
    storage = faiss.serialize_index(unbuilt.storage).tobytes()
    head = struct.Struct("<6i?")  # n, degree, L, C, search_L, entry, whether it is built; then the lists, each ended by -1
    before = serialized[: -len(storage) - head.size]
    _, width, *widths = head.unpack(serialized[len(before) : len(before) + head.size])
    if not serialized.endswith(storage) or width != degree:
        raise RuntimeError(f"faiss {faiss.__version__}: expected the file layout of an IndexNSG as of 1.7 to 1.15")
    ended = np.concatenate([neighbors, np.full((n, 1), -1, np.int32)], axis=1)
    there = ended >= 0
    there[:, -1] = True
    lists = ended[there].astype("<i4").tobytes()
    filled = before + head.pack(n, degree, *widths[:3], entry, True) + lists + storage
    index = faiss.deserialize_index(np.frombuffer(filled, np.uint8))
    index.nsg.search_L = min(index.nsg.search_L, n)  # faiss draws rows until it has so many, and never ends with fewer
    return index


def hnswlib_records(
    neighbors: Array, entries: Array, deleted: Array | None, metric: str, vectors: Any
) -> tuple[bytes, Array]:
    """What `hnswlib.Index.save_index` writes: the head, and a record for each row: its list, vector and label."""
    rows = rows_of(vectors, len(neighbors), metric, HNSWLIB_SPACES, "hnswlib")
    neighbors, entry = from_one_entry(neighbors, entries)
    m = max(2, neighbors.shape[1] // 2)
    # hnswlib gives a row that is added as many links as it has above layer 0: m, for which there must be places.
    n, degree, d = len(neighbors), max(m, neighbors.shape[1]), rows.shape[1]
    record = np.dtype([("count", "<u4"), ("links", "<u4", (degree,)), ("vector", "<f4", (d,)), ("label", "<u8")])
    records = np.zeros(n, record)
    records["count"] = (neighbors >= 0).sum(axis=1)
    records["links"][:, : neighbors.shape[1]] = np.maximum(neighbors, 0)
    if deleted is not None:
        records["count"] |= deleted.astype(np.uint32) << 16
    records["vector"] = rows
    records["label"] = np.arange(n)
    size, of = record.itemsize, record.fields
    assert of is not None
    # Offset of the lists, room, rows, bytes of a record, where its label is, and its vector; the highest layer and where to
    # begin; links in layers above, in layer 0, and as asked for; 1 / ln M; ef of construction.
    head = struct.pack("<6QiI3QdQ", 0, n, n, size, of["label"][1], of["vector"][1], 0 if n else -1, max(entry, 0), m, degree,
                       m, 1 / np.log(m), 200)  # fmt: skip
    return head, records


def full_lists(neighbors: Array) -> Array:
    n, degree = neighbors.shape
    full = np.empty((n, degree), np.uint32)
    for first in range(0, n, BLOCK_ROWS):
        block = neighbors[first : first + BLOCK_ROWS]
        rows = np.arange(first, first + len(block), dtype=np.int32)[:, None]
        beyond = neighbors[np.maximum(block[:, :4], 0)]
        beyond[block[:, :4] < 0] = -1
        found = np.concatenate([block, beyond.reshape(len(block), -1)], axis=1)
        found[found == rows] = -1
        by_id = np.argsort(found, axis=1, kind="stable")
        sorted_ids = np.take_along_axis(found, by_id, axis=1)
        repeated = np.zeros(found.shape, bool)
        np.put_along_axis(repeated, by_id[:, 1:], sorted_ids[:, 1:] == sorted_ids[:, :-1], axis=1)
        found[repeated] = -1
        first_ones = np.argsort(found < 0, axis=1, kind="stable")[:, :degree]
        best = np.take_along_axis(found, first_ones, axis=1)
        count = (best >= 0).sum(axis=1, keepdims=True)
        turn = np.take_along_axis(best, np.arange(degree)[None] % np.maximum(count, 1), axis=1)
        full[first : first + len(block)] = np.where(count > 0, turn, rows)
    return full
