# SPDX-License-Identifier: Apache-2.0
"""Exact k nearest neighbours. The contract is csrc/ops/knn.h, the definition reference/knn.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from ..arrays.views import View
from ..runtime.backend import load
from ..runtime.context import pair, refuse_overlap, result_count
from ..runtime.types import A, Distances, Indices, MetricName, NumpyArray, SearchOptions
from .dataset import Dataset
from .operands import Operands
from .rerank import candidates_wanted, finer_rows, rerank_candidates

if TYPE_CHECKING:
    from typing_extensions import Unpack


@overload
def knn(
    base: Any, queries: NumpyArray, k: int, metric: MetricName | None = None, **options: Unpack[SearchOptions]
) -> tuple[Distances, Indices]: ...
@overload
def knn(
    base: Any, queries: A, k: int, metric: MetricName | None = None, **options: Unpack[SearchOptions]
) -> tuple[A, A]: ...
@overload
def knn(
    base: Any, queries: Any, k: int, metric: MetricName | None = None, **options: Unpack[SearchOptions]
) -> tuple[Any, Any]: ...
def knn(
    base: Any,
    queries: Any,
    k: int,
    metric: MetricName | None = None,
    *,
    filter: Any = None,
    rerank: Any = None,
    rerank_k: int | None = None,
    threads: int | None = None,
    stream: Any = None,
    out: Any = None,
    check_finite: bool = True,
) -> tuple[Any, Any]:
    """The k base rows nearest to each query, nearest first.

    Parameters
    ----------
    base : array (n, d) of float32, float16, bfloat16, int8 or uint8, or a Store
        A store of two levels is searched by its primary and reranked by its secondary.
        For "hamming" and "jaccard": uint8, d / 8 columns of packed bits (``np.packbits(x, axis=1, bitorder="little")``).
        Rows may lie any number of bytes apart; where the elements of a row are not adjacent, the array is copied once.
    queries : array (m, d)
        Of the dtype of `base`, or float32; any of these for a store. The results come back in its library, on its device.
    k : int
        Neighbours for each query. There is no upper limit: beyond the rows that pass, results are padded.
    metric : str, optional
        "sqeuclidean" ("l2"), "euclidean", "inner_product" ("ip", "dot"), "cosine" ("cos", "angular"), "cityblock" ("l1",
        "manhattan"), "chebyshev" ("linf"), "hamming", "jaccard". Inner product is a similarity, larger first; all others
        are distances, smaller first. A zero vector has cosine distance 1 to everything.
        By default the metric that a store was made for, and "sqeuclidean" for an array. Another one may be named for a
        store, too: what the store has learnt is then learnt for another purpose.
    filter : array, optional
        Which rows may be returned: booleans (n,), or (m, n) for one filter a query; or the same packed into uint32, row i
        in bit i % 32 of word i // 32, ((n + 31) // 32,) or (m, (n + 31) // 32).
    rerank : array (n, d) or Store, optional
        The same rows in a finer form (float32 beside a float16 `base`, say). `base` then only proposes `rerank_k`
        candidates, and the distances returned are those to the rows of `rerank`. Not for packed bits.
    rerank_k : int, optional
        Candidates for each query, at least `k`; by default max(4 k, k + 32).
    threads : int, optional
        CPU threads; by default ANNKERN_NUM_THREADS, else the processors that this process may use, as its affinity and the
        quotas of its control groups say.
    stream : int or stream object, optional
        Where device work is enqueued; by default the current stream of the library of `queries`.
    out : (array (m, k), array (m, k)), optional
        Distances and indices to write instead of new arrays: of the results' dtypes, contiguous, sharing no memory with
        the inputs or each other. Nothing is written where an error is raised.
    check_finite : bool
        Refuse NaN and infinity in the queries and in the base: on the host in the rows that are read, on a device in all
        of them, which waits for the stream once (without it nothing waits). Where it is off, NaN distances rank last.

    Returns
    -------
    distances : array (m, k)
        float32, or int32 for "hamming"; bit for bit what `pairwise` gives. Missing neighbours: +inf (-inf for inner
        product, 2^31 - 1 for "hamming").
    indices : array (m, k) of int64
        Ties go to the smaller index; missing neighbours are -1. (int32 in JAX, unless jax_enable_x64 is set.)

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came. float64 is refused: cast it.

    Notes
    -----
    Costs 2 m n d flops; the (m, n) distances never exist. The result is the same for any number of threads and any way of
    cutting the queries into batches.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> base = np.array([[0, 0], [3, 4], [1, 0]], np.float32)
    >>> dist, idx = ak.knn(base, base[:1], 2)
    >>> dist, idx
    (array([[0., 1.]], dtype=float32), array([[0, 2]]))
    """
    if stream is None:
        arguments = base, queries, k, metric, filter, rerank, rerank_k, threads, out, check_finite
        found: tuple[Any, Any] | None = load("cpu").knn_direct(*arguments)
        if found is not None:
            return found
    if isinstance(base, Dataset) and base.primary is not None:
        metric = base.metric if metric is None else metric
        rerank = base.secondary if rerank is None else rerank
        base = base.primary
    operands = Operands.of(base, queries, metric, threads, stream, rerank=rerank)
    return nearest(operands, k, filter, rerank_k, out, check_finite)


def nearest(
    operands: Operands, k: int, filter: Any = None, rerank_k: int | None = None, out: Any = None, check_finite: bool = True
) -> tuple[Any, Any]:
    """`knn` of checked arrays."""
    count = result_count(k)
    allowed = operands.filter(filter)
    given = pair(out)
    context, m, dtype = operands.context, operands.m, operands.metric.dtype
    with context.scope():
        distances = context.result("out[0]", given[0], (m, count), dtype)
        indices = context.result("out[1]", given[1], (m, count), "int64")
        if out is not None:
            refuse_overlap([("out[0]", distances), ("out[1]", indices)], operands.inputs())
        if operands.rerank is None and rerank_k is None:
            operands.check_finite(check_finite)
            search(operands, allowed, distances, indices)
        else:
            fine = finer_rows(operands)
            width = candidates_wanted(rerank_k, count, operands.n)
            candidates = context.result("candidates", None, (m, width), "int64")
            ignored = context.result("candidate distances", None, (m, width), dtype)
            operands.check_finite(check_finite)
            search(operands, allowed, ignored, candidates)
            rerank_candidates(operands, fine, candidates, distances, indices)
        return context.to_caller(distances, given[0]), context.to_caller(indices, given[1])


def search(operands: Operands, allowed: Any, distances: View, indices: View) -> None:
    """One exact scan into (m, k) results."""
    if distances.empty:
        return
    base, k = operands.base, distances.shape[1]
    results = distances.address, indices.address, base.bad_row_address
    operands.context.run("knn", base.native, base.query_matrix, operands.metric.name, k, allowed, *results)
    base.refuse_bad_row()
