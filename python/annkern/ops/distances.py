# SPDX-License-Identifier: Apache-2.0
"""Distances to the rows that each query names. The contract is csrc/ops/distances.h."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from ..arrays.views import View, as_numpy, row_major
from ..runtime.backend import load
from ..runtime.context import ids_of, refuse_overlap, shaped
from ..runtime.types import A, CheckedOptions, Distances, MetricName, NumpyArray
from .operands import Operands, Rows

if TYPE_CHECKING:
    from typing_extensions import Unpack


@overload
def distances(
    base: Any, queries: NumpyArray, ids: Any, metric: MetricName | None = None, **options: Unpack[CheckedOptions]
) -> Distances: ...
@overload
def distances(base: Any, queries: A, ids: Any, metric: MetricName | None = None, **options: Unpack[CheckedOptions]) -> A: ...
@overload
def distances(
    base: Any, queries: Any, ids: Any, metric: MetricName | None = None, **options: Unpack[CheckedOptions]
) -> Any: ...
def distances(
    base: Any,
    queries: Any,
    ids: Any,
    metric: MetricName | None = None,
    *,
    threads: int | None = None,
    stream: Any = None,
    out: Any = None,
    check_finite: bool = True,
) -> Any:
    """Distances between each query and the base rows that it names.

    Parameters
    ----------
    base : array (n, d) or Store
        As in `knn`; of a store of two levels, the secondary is read.
    queries : array (m, d)
        As in `knn`.
    ids : array (m, c) of int64, or int32 (copied)
        Rows of base; negative ones are missing. On a device they are not checked.
    metric : str, optional
        As in `knn`.
    threads, stream :
        As in `knn`.
    out : array (m, c), optional
        Written instead of a new array; also where a row of the base is then refused.
    check_finite : bool
        Refuse NaN and infinity in the queries and, on the host, in the rows that are read.

    Returns
    -------
    array (m, c)
        float32, or int32 for "hamming": what `pairwise` gives, bit for bit; +inf (-inf for inner product, 2^31 - 1 for
        "hamming") where the id is negative.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came; ids beyond the base, on the host.

    Notes
    -----
    Reads m c rows, in the order of the ids; costs 2 m c d flops.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.array([[0, 0], [3, 4]], np.float32)
    >>> ak.distances(x, x[:1], np.array([[1, -1]]), "euclidean")
    array([[ 5., inf]], dtype=float32)
    """
    if stream is None:
        found = load("cpu").distances_direct(base, queries, ids, metric, threads, out, check_finite)
        if found is not None:
            return found
    operands = Operands.of(base, queries, metric, threads, stream)
    context = operands.context
    with context.scope():
        # Kernels take ids without gaps between rows.
        chosen = row_major(shaped("ids", ids_of("ids", ids, context.stream), "m, c", ("int64",)))
        context.require_same_device("ids", chosen, "queries")
        if chosen.shape[0] != operands.m:
            raise ValueError(f"ids: expected a row for each of {operands.m} queries, got shape {chosen.shape}")
        refuse_unknown(operands, chosen)
        result = context.result("out", out, (operands.m, chosen.shape[1]), operands.metric.dtype)
        if out is not None:
            refuse_overlap([("out", result)], [*operands.inputs(), ("ids", chosen)])
        operands.check_finite(check_finite)
        measure(operands, operands.base, chosen, result)
        return context.to_caller(result, out)


def refuse_unknown(operands: Operands, ids: View) -> None:
    if not operands.context.device.on_host or ids.empty:
        return
    most = int(as_numpy(ids).max())
    if most >= operands.n:
        raise ValueError(f"ids: expected rows below {operands.n}, got {most}")


def measure(operands: Operands, rows: Rows, ids: View, result: View) -> None:
    """The kernel, into a checked result; `ids` are row-major."""
    if result.empty:
        return
    name, width = operands.metric.name, ids.shape[1]
    arrays = rows.native, rows.query_matrix
    operands.context.run("distances", *arrays, name, ids.address, width, result.address, rows.bad_row_address)
    rows.refuse_bad_row()
