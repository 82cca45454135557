# SPDX-License-Identifier: Apache-2.0
"""All rows within a radius. The contract is csrc/ops/radius.h, the definition reference/radius.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from ..arrays.views import View
from ..runtime.backend import load
from ..runtime.context import Context, real_number
from ..runtime.types import A, Distances, Indices, MetricName, NumpyArray, RadiusOptions
from .operands import Operands

if TYPE_CHECKING:
    from typing_extensions import Unpack


@overload
def radius(
    base: Any, queries: NumpyArray, r: float, metric: MetricName | None = None, **options: Unpack[RadiusOptions]
) -> tuple[Indices, Distances, Indices]: ...
@overload
def radius(
    base: Any, queries: A, r: float, metric: MetricName | None = None, **options: Unpack[RadiusOptions]
) -> tuple[A, A, A]: ...
@overload
def radius(
    base: Any, queries: Any, r: float, metric: MetricName | None = None, **options: Unpack[RadiusOptions]
) -> tuple[Any, Any, Any]: ...
def radius(
    base: Any,
    queries: Any,
    r: float,
    metric: MetricName | None = None,
    *,
    filter: Any = None,
    threads: int | None = None,
    stream: Any = None,
    check_finite: bool = True,
) -> tuple[Any, Any, Any]:
    """All base rows within distance `r` of each query.

    Parameters
    ----------
    base : array (n, d)
        As for `knn`.
    queries : array (m, d)
        Of the dtype of `base`, or float32. The results come back in its library, on its device.
    r : float
        A row is a hit where distance <= r; for "inner_product" where the product is >= r. In the unit of the metric
        (squared for "sqeuclidean"), rounded to float32 before it is compared with the distances that are returned.
    metric : str, optional
        As for `knn`.
    filter : array, optional
        Which rows may be returned; as for `knn`.
    threads, stream, check_finite
        As for `knn`.

    Returns
    -------
    lims : array (m + 1,) of int64
        The hits of query q lie in ``[lims[q], lims[q + 1])`` of the other two.
    distances : array (lims[m],)
        float32, or int32 for "hamming"; bit for bit what `pairwise` gives.
    indices : array (lims[m],) of int64
        Ascending within each query.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came. float64 is refused: cast it.

    Notes
    -----
    Costs twice `pairwise`: the hits are counted, then written. On a device the count is read back in between, so the call
    waits for its stream.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> base = np.array([[0, 0], [3, 4], [1, 0]], np.float32)
    >>> ak.radius(base, base[:2], 1.0)
    (array([0, 2, 3]), array([0., 1., 0.], dtype=float32), array([0, 2, 1]))
    """
    if stream is None:
        arguments = base, queries, r, metric, filter, threads, check_finite
        found: tuple[Any, Any, Any] | None = load("cpu").radius_direct(*arguments)
        if found is not None:
            return found
    operands = Operands.of(base, queries, metric, threads, stream)
    context, rows, m = operands.context, operands.base, operands.m
    limit = real_number("r", r)
    allowed = operands.filter(filter)
    with context.scope():
        operands.check_finite(check_finite)
        lims = context.result("lims", None, (m + 1,), "int64")
        args = rows.native, rows.query_matrix, operands.metric.name, limit, allowed, lims.address
        context.run("radius_count", *args, 0, 0, rows.bad_row_address)
        rows.refuse_bad_row()

        hits = _number_at(context, lims, m)
        distances = context.result("distances", None, (hits,), operands.metric.dtype)
        indices = context.result("indices", None, (hits,), "int64")
        if hits:
            context.run("radius_fill", *args, distances.address, indices.address, 0)
        return tuple(context.to_caller(result, None) for result in (lims, distances, indices))


def _number_at(context: Context, numbers: View, place: int) -> int:
    one = numbers.owner[place : place + 1]
    return int(one[0]) if context.device.on_host else context.library.integers(one)[0]
