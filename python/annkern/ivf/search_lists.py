# SPDX-License-Identifier: Apache-2.0
"""Searching lists over any store. The contract is csrc/ops/search_lists.h, the definition reference/search_lists.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ..ops.operands import Operands, Rows
from ..runtime.context import pair, refuse_overlap, result_count, whole_number
from ..runtime.types import A, Distances, Indices, ListsOptions, MetricName, NumpyArray
from ..stores.store import Store
from .lists import Lists

if TYPE_CHECKING:
    from typing_extensions import Unpack


@overload
def search_lists(
    lists: Lists, store: Any, queries: NumpyArray, k: int, **options: Unpack[ListsOptions]
) -> tuple[Distances, Indices]: ...
@overload
def search_lists(lists: Lists, store: Any, queries: A, k: int, **options: Unpack[ListsOptions]) -> tuple[A, A]: ...
@overload
def search_lists(lists: Lists, store: Any, queries: Any, k: int, **options: Unpack[ListsOptions]) -> tuple[Any, Any]: ...
def search_lists(
    lists: Lists,
    store: Any,
    queries: Any,
    k: int,
    *,
    probes: int | None = None,
    metric: MetricName | None = None,
    rerank: Any = None,
    rerank_k: int | None = None,
    filter: Any = None,
    threads: int | None = None,
    stream: Any = None,
    out: Any = None,
    check_finite: bool = True,
) -> tuple[Any, Any]:
    """The k rows nearest to each query among the members of the lists whose centroids are nearest to it.

    Parameters
    ----------
    lists : Lists
        From `build_lists`. For queries on a device they have to be there, too: `Lists.convert`.
    store : array (n, d) or Store
        The rows: a store that `compress` made with ``lists=lists``, whose members lie list after list, or an array or store
        of the rows in their own order, which is read row by row.
    queries : array (m, d)
        As in `knn`, in host memory or on a device.
    k : int
        Neighbours for each query.
    probes : int, optional
        How many lists are read; at most all, by default the root of their number. More find more of the true neighbours, and
        take time in proportion: `tune` chooses.
    metric : str, optional
        As in `knn`; by default that of the lists.
    rerank : array (n, d) or Store, optional
        The same rows in a finer form, by which the best are put in order: as they are, or as `store` in the order of the
        lists. A store of two levels is searched by its primary, and reranked by its secondary.
    rerank_k : int, optional
        How many rows are reranked, at least k; by default max(2 k, k + 20).
    filter : array, optional
        Which rows may be returned, as in `knn`, over n rows. Lists are read in order until as many allowed rows are compared
        as without the filter.
    threads, stream, out
        As in `knn`.
    check_finite : bool
        Refuse NaN and infinity in the queries and, on the host, in the rows of `store` that are read.

    Returns
    -------
    distances, indices : arrays (m, k)
        As from `knn`: in order, ties to the smaller index, missing neighbours -1 (where fewer than k rows are allowed). A
        row in two lists is returned once. The same bytes for any number of threads and any way of cutting the queries into
        batches.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came: a store of other lists or of another number of rows, too.

    Notes
    -----
    Distances are those of `distances` on the same backend, bit for bit. Where the lists that are read hold fewer than k
    rows, further lists are read. Of a batch, queries that read the same list share it. On a device a query takes 20 bytes
    for each row that the largest `probes` lists could make it compare.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.random.default_rng(0).standard_normal((2000, 32), dtype=np.float32)
    >>> lists = ak.build_lists(x, 50)
    >>> store = ak.compress(x, "lvq4", lists=lists)
    >>> dist, idx = ak.search_lists(lists, store, x[:3], 5, probes=10, rerank=x)
    >>> idx[:, 0]
    array([0, 1, 2])
    """
    if not isinstance(lists, Lists):
        raise TypeError(f"lists: expected Lists, as of build_lists, got {type(lists).__name__}")
    in_order = arranged("store", lists, store)
    if isinstance(store, Store) and store.primary is not None:
        rerank = store.secondary if rerank is None else rerank
        store = store.primary
    fine_in_order = rerank is not None and arranged("rerank", lists, rerank)
    operands = Operands.of(store, queries, metric or lists.metric, threads, stream, base_name="store")
    context, base = operands.context, operands.base
    if operands.metric.bits:
        raise ValueError(f"metric: expected one of numbers, got {operands.metric.name!r}, which takes bits")
    _refuse_rows("store", base, lists.members if in_order else len(lists), lists)
    for part, x in lists.views():
        context.require_same_device(part, x, "queries")
    coarse = operands.over(lists.coarse, "lists").base
    if rerank is not None:
        operands.rerank = operands.over(rerank, "rerank").base
        _refuse_rows("rerank", operands.rerank, lists.members if fine_in_order else len(lists), lists)
    elif rerank_k is not None:
        raise ValueError("rerank_k: expected rerank beside it, got rerank=None")
    count = result_count(k)
    allowed = operands.filter(filter, len(lists))
    taken = _taken(lists, count, probes, filter is not None)
    given = pair(out)
    fine = operands.rerank or base
    with context.scope():
        dist = context.result("out[0]", given[0], (operands.m, count), operands.metric.dtype)
        indices = context.result("out[1]", given[1], (operands.m, count), "int64")
        if out is not None:
            refuse_overlap([("out[0]", dist), ("out[1]", indices)], [*operands.inputs(), *lists.views()])
        operands.check_finite(check_finite, few_rows=True)
        if not dist.empty:
            backend, depth = context.backend, 0
            if operands.rerank is not None:
                depth = backend.default_rerank_k(count) if rerank_k is None else whole_number("rerank_k", rerank_k, count)
                depth = max(count, min(depth, len(lists)))
            context.run(
                "search_lists",
                *(lists.native(backend, fine_in_order), (coarse.native, coarse.query_matrix, lists.order_metric), taken),
                *((base.native, base.query_matrix, in_order), operands.metric.name),
                *((fine.native, fine.query_matrix, fine_in_order), (count, depth), allowed),
                *(dist.address, indices.address, base.bad_row_address),
            )
            base.refuse_bad_row()
        return context.to_caller(dist, given[0]), context.to_caller(indices, given[1])


def arranged(name: str, lists: Lists, store: Any) -> bool:
    """Whether the rows of the store are the members of these lists, in their order."""
    order = store.arranged if isinstance(store, Store) else None
    if order is not None and order != lists.fingerprint:
        raise ValueError(f"{name}: expected one that compress made with these lists, got one that it made with others")
    return order is not None


def _refuse_rows(name: str, rows: Rows, wanted: int, lists: Lists) -> None:
    if rows.n != wanted:
        raise ValueError(f"{name}: expected {wanted} rows, as lists of {len(lists)} rows ask for, got {rows.n}")


def default_probes(count: int) -> int:
    return max(1, round(float(np.sqrt(count))))


def _taken(lists: Lists, k: int, probes: int | None, filtered: bool) -> tuple[int, int, int]:
    """Lists that are read first; and how many lists, and members of them, a query may take at most."""
    count, held, least = lists.shape[0], lists.least_held, lists.copies * k
    wanted = default_probes(count) if probes is None else min(whole_number("probes", probes, 1), count)
    if len(lists) == 0:
        return 0, 0, 0
    depth = count if filtered else max(wanted, min(count, 1 + int(np.searchsorted(held[1:], least))))
    most = max(least, int(held[-1] - held[count - wanted]))
    return wanted, depth, min(lists.members, most + int(held[-1] - held[-2]))
