# SPDX-License-Identifier: Apache-2.0
"""One top-k out of several. The contract is csrc/ops/merge_topk.h, the definition reference/merge_topk.py."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ..arrays.views import View, view
from ..runtime.backend import load
from ..runtime.context import Context, ids_of, pair, refuse_overlap, result_count, shaped
from ..runtime.types import A, Distances, Indices, MergeOptions, MetricName, NumpyArray
from .metrics import metric_of

if TYPE_CHECKING:
    from typing_extensions import Unpack


@overload
def merge_topk(
    dists: NumpyArray, ids: Any, k: int, metric: MetricName = "sqeuclidean", **options: Unpack[MergeOptions]
) -> tuple[Distances, Indices]: ...
@overload
def merge_topk(
    dists: A, ids: Any, k: int, metric: MetricName = "sqeuclidean", **options: Unpack[MergeOptions]
) -> tuple[A, A]: ...
@overload
def merge_topk(
    dists: Any, ids: Any, k: int, metric: MetricName = "sqeuclidean", **options: Unpack[MergeOptions]
) -> tuple[Any, Any]: ...
def merge_topk(
    dists: Any,
    ids: Any,
    k: int,
    metric: MetricName = "sqeuclidean",
    *,
    offsets: Any = None,
    threads: int | None = None,
    stream: Any = None,
    out: Any = None,
) -> tuple[Any, Any]:
    """The k best of the results of several parts (shards, files, machines), for each query.

    Parameters
    ----------
    dists : array (parts, m, width) of float32, or int32 as "hamming" gives
        Distances found in each part. An entry at the missing distance (+inf, -inf for "inner_product"; of int32 2^31 - 1,
        -2^31) is missing, whatever its id.
    ids : array (parts, m, width) of int64, or int32 (copied)
        Their ids. An entry with a negative id is missing, whatever its distance.
    k : int
        Any number; beyond what is there the results are padded.
    metric : str
        Says which distances are better: larger ones for "inner_product", smaller ones otherwise.
    offsets : sequence of int, or array (parts,) of int64, optional
        What to add to the ids of each part, as where the part's rows begin; missing entries stay missing. A device array
        of `dists` takes them from the host by a copy that waits, or from a device array at once.
    threads : int, optional
        CPU threads; by default ANNKERN_NUM_THREADS, else the processors that this process may use.
    stream : int or stream object, optional
        Where device work is enqueued; by default the current stream of the library of `dists`.
    out : (array (m, k), array (m, k)), optional
        Distances (of the dtype of `dists`) and ids (int64) to write instead of new arrays.

    Returns
    -------
    distances : array (m, k)
        Of the dtype of `dists`, exactly as they came in; the missing distance where fewer than k entries are there.
    ids : array (m, k) of int64
        Ties go to the smaller id; -1 where missing. NaN ranks last. Where the parts are disjoint, the result is that of one
        search, and results may be merged again. The order of the parts does not matter.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.

    Notes
    -----
    Reads every entry once. Where the parts of a query are sorted, as every search returns them (best first, missing entries
    last), they are merged by k log2(parts) comparisons: 10,000 queries x 100 entries of 2, 4, 8 parts take 6, 9, 16 ms
    on one core. Otherwise the k best are selected, which takes 100 to 190.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.array([[0], [5], [2], [1]], np.float32)
    >>> parts = [ak.knn(x[:2], x[:1], 2), ak.knn(x[2:], x[:1], 2)]
    >>> dists, ids = np.stack([dist for dist, _ in parts]), np.stack([idx for _, idx in parts])
    >>> ak.merge_topk(dists, ids, 2, offsets=[0, 2])
    (array([[0., 1.]], dtype=float32), array([[0, 3]]))
    """
    if stream is None:
        merged: tuple[Any, Any] | None = load("cpu").merge_topk_direct(dists, ids, k, metric, offsets, threads, out)
        if merged is not None:
            return merged
    lead = view("dists", dists)
    context = Context.at(lead, threads, stream)
    similarity = metric_of(context.backend, metric).similarity
    count = result_count(k)
    given = pair(out)
    with context.scope():
        found = shaped("dists", lead, "parts, m, width", ("float32", "int32"))
        names = shaped("ids", ids_of("ids", ids, context.stream), "parts, m, width", ("int64",))
        if names.shape != found.shape:
            raise ValueError(f"ids: expected shape {found.shape}, as dists has, got {names.shape}")
        context.require_same_device("ids", names, "dists")
        shifts = None if offsets is None else _offsets(context, offsets, found.shape[0])
        best = context.result("out[0]", given[0], (found.shape[1], count), found.dtype)
        best_ids = context.result("out[1]", given[1], (found.shape[1], count), "int64")
        if out is not None:
            inputs = [("dists", found), ("ids", names), *([] if shifts is None else [("offsets", shifts)])]
            refuse_overlap([("out[0]", best), ("out[1]", best_ids)], inputs)
        if not best.empty:
            context.run(
                "merge_topk",
                found.address,
                found.dtype == "int32",
                found.shape,
                _steps(found),
                names.address,
                _steps(names),
                0 if shifts is None else shifts.address,
                count,
                similarity,
                best.address,
                best_ids.address,
            )
        return context.to_caller(best, given[0]), context.to_caller(best_ids, given[1])


def _steps(x: View) -> tuple[int, int]:
    """Elements from part to part, and from row to row."""
    return x.strides[0] // x.itemsize, x.strides[1] // x.itemsize


def _offsets(context: Context, offsets: Any, parts: int) -> View:
    """One offset a part, where the call runs."""
    if isinstance(offsets, (list, tuple, range)):
        try:
            offsets = np.array([operator.index(offset) for offset in offsets], np.int64)
        except TypeError:
            raise TypeError(f"offsets: expected integers, got {offsets!r}") from None
        except OverflowError:
            raise ValueError(f"offsets: expected integers of 64 bits, got {offsets!r}") from None
    shifts = shaped("offsets", ids_of("offsets", offsets, context.stream), "parts", ("int64",))
    if shifts.shape != (parts,):
        raise ValueError(f"offsets: expected shape ({parts},), one for each part, got {shifts.shape}")
    if shifts.device.on_host and not context.device.on_host:
        shifts = view("offsets", context.library.from_numpy(np.array(shifts.owner, np.int64), context.device))
    return context.require_same_device("offsets", shifts, "dists")
