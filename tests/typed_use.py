# SPDX-License-Identifier: Apache-2.0
"""What a type checker says of programs that use annkern: read by `make lint` alone, where an ignore that nothing needs is an
error, so that what is marked as wrong here must be found."""

from __future__ import annotations

from typing import Any

import numpy as np

import annkern as ak

Distances = np.ndarray[Any, np.dtype[Any]]
Ids = np.ndarray[Any, np.dtype[np.int64]]


class Tensor:
    """An array of another library."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def numpy_in_numpy_out(x: np.ndarray[Any, np.dtype[np.float32]], graph: ak.Graph, index: ak.Index, lists: ak.Lists) -> None:
    found: tuple[Distances, Ids] = ak.knn(x, x, 3)
    found = ak.search_graph(graph, x, x, 3, window=9)
    found = ak.search_lists(lists, x, x, 3, probes=9)
    found = index.search(x, 3, 64)
    found = ak.select_k(x, 3, largest=True)
    found = ak.merge_topk(x, x, 3, offsets=[0])
    labels: tuple[Ids, Distances] = ak.assign(x, x)
    hits: tuple[Ids, Distances, Ids] = ak.radius(x, x, 1.0)
    plain: Distances = ak.pairwise(x, x, threads=1)
    plain = ak.distances(x, x, found[1])
    assert hits, x[found[1]] - x[labels[0]] - plain


def tensors_in_tensors_out(x: Tensor, graph: ak.Graph, index: ak.Index) -> None:
    found: tuple[Tensor, Tensor] = ak.knn(x, x, 3, filter=x)
    found = ak.search_graph(graph, x, x, 3)
    found = index.search(x, 3)
    found = ak.assign(x, x)
    plain: Tensor = ak.pairwise(x, x)
    wrong: Distances = plain  # type: ignore[assignment]
    assert found, wrong


def typos(x: np.ndarray[Any, np.dtype[np.float32]], graph: ak.Graph) -> None:
    ak.knn(x, x, 3, "cosine")
    ak.knn(x, x, 3, "manhattan")
    ak.knn(x, x, 3, "euclidian")  # type: ignore[call-overload]
    ak.knn(x, x, 3, metrics="cosine")  # type: ignore[call-overload]
    ak.pairwise(x, x, metric="cosin")  # type: ignore[call-overload]
    ak.search_graph(graph, x, x, 3, metric="cosin")  # type: ignore[call-overload]
    ak.search_graph(graph, x, x, 3, windows=9)  # type: ignore[call-overload]
    ak.compress(x, "lvq8", "cosin")  # type: ignore[arg-type]
    ak.Index.build(x, "flat,lvq8", "cosin")  # type: ignore[arg-type]
    ak.Index.of(x, metric="cosin")  # type: ignore[arg-type]
    ak.build_graph(x, "cosin")  # type: ignore[arg-type]
    ak.build_lists(x, metric="cosin")  # type: ignore[arg-type]
    ak.KMeans(3, metric="cosin")  # type: ignore[arg-type]
    ak.PQ(3, metric="cosin")  # type: ignore[arg-type]
    ak.LVQ(metric="cosin")  # type: ignore[arg-type]
    ak.merge_topk(x, x, 3, "cosin")  # type: ignore[call-overload]
    graph.metric = "cosin"  # type: ignore[assignment]
