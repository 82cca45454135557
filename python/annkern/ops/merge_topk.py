# SPDX-License-Identifier: Apache-2.0
"""One top-k out of several. The definition is reference/merge_topk.py; the kernel is that of select_k."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays.views import View, as_numpy, view
from ..runtime.call import Call, pair, refuse_overlap, shaped, whole_number
from .operands import metric_named
from .select_k import select_parts

MISSING = int(np.iinfo(np.int32).max)


def merge_topk(
    dists: Any,
    ids: Any,
    k: int,
    metric: str = "sqeuclidean",
    *,
    threads: int | None = None,
    stream: Any = None,
    out: Any = None,
) -> tuple[Any, Any]:
    """The k best of the results of several parts (shards, files, machines), for each query.

    Parameters
    ----------
    dists : array (parts, m, width) of float32, or int32 as "hamming" gives
        Distances found in each part, in any order.
    ids : array (parts, m, width) of int64
        Their ids, as they are to be returned: the caller has added each part's offset. Negative ids are missing entries.
    k : int
        Any number; beyond what is there the results are padded.
    metric : str
        Says which distances are better: larger ones for "inner_product", smaller ones otherwise.
    threads : int, optional
        CPU threads; by default ANNKERN_NUM_THREADS, else the processors that this process may use.
    stream : int or stream object, optional
        Where device work is enqueued; by default the current stream of the library of `dists`.
    out : (array (m, k), array (m, k)), optional
        Distances (of the dtype of `dists`) and ids (int64) to write instead of new arrays.

    Returns
    -------
    distances : array (m, k)
        Of the dtype of `dists`; +inf (-inf for "inner_product", 2^31 - 1 for int32) where missing.
    ids : array (m, k) of int64
        Ties go to the smaller id; -1 where missing. Where the parts are disjoint, the result is that of one search.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.array([[0], [5], [2], [1]], np.float32)
    >>> parts = [ak.knn(x[:2], x[:1], 2), ak.knn(x[2:], x[:1], 2)]
    >>> dists = np.stack([dist for dist, _ in parts])
    >>> ids = np.stack([idx + offset for (_, idx), offset in zip(parts, (0, 2))])
    >>> ak.merge_topk(dists, ids, 2)
    (array([[0., 1.]], dtype=float32), array([[0, 3]]))
    """
    lead = view("dists", dists)
    call = Call.at(lead, threads, stream)
    similarity = metric_named(call, metric).similarity
    count = whole_number("k", k, 0)
    with call.scope():
        found = shaped("dists", lead, "parts, m, width", ("float32", "int32"))
        names = shaped("ids", view("ids", ids, call.stream), "parts, m, width", ("int64",))
        if names.shape != found.shape:
            raise ValueError(f"ids: expected shape {found.shape}, as dists has, got {names.shape}")
        call.beside("ids", names, "dists")
        if found.dtype == "float32":
            return _merge(call, found, names, count, similarity, out)
        return _merge_integers(call, found, names, count, similarity, pair(out))


def _merge(call: Call, found: View, names: View, k: int, largest: bool, out: Any) -> tuple[Any, Any]:
    strides = found.strides[0] // 4, found.strides[1] // 4
    ids_strides = names.strides[0] // 8, names.strides[1] // 8
    shape = found.shape[0], found.shape[1], found.shape[2]
    return select_parts(call, found, shape, strides, names, ids_strides, k, largest, out)


def _merge_integers(call: Call, found: View, names: View, k: int, largest: bool, given: tuple[Any, Any]) -> tuple[Any, Any]:
    """Through float32 and back: counts of bits are at most 2^24, which float32 holds; what is missing is set again."""
    result = found.shape[1], k
    best = call.result("out[0]", given[0], result, "int32")
    best_ids = call.result("out[1]", given[1], result, "int64")
    if given[0] is not None or given[1] is not None:
        refuse_overlap([("out[0]", best), ("out[1]", best_ids)], [("dists", found), ("ids", names)])

    if call.device.on_host:
        wide = view("dists", as_numpy(found).astype(np.float32))
        values = view("values", np.empty(result, np.float32))
        _merge(call, wide, names, k, largest, (values.owner, best_ids.owner))
        missing = as_numpy(best_ids) < 0
        as_numpy(best)[...] = np.where(missing, MISSING, np.where(missing, 0, values.owner).astype(np.int32))
    else:
        space = call.space
        wide = view("dists", space.astype(found.owner, "float32"))
        values, _ = _merge(call, wide, names, k, largest, (None, best_ids.owner))
        missing = best_ids.owner < 0
        best.owner[...] = space.where(missing, MISSING, space.astype(space.where(missing, 0.0, values), "int32"))
    return call.hand_over(best, given[0]), call.hand_over(best_ids, given[1])
