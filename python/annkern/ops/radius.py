# SPDX-License-Identifier: Apache-2.0
"""All rows within a radius. The contract is csrc/ops/radius.h, the definition reference/radius.py."""

from __future__ import annotations

from typing import Any

from ..arrays.views import View
from ..runtime.call import real_number
from .operands import Scan, address_of, refuse_bad_row


def radius(
    base: Any,
    queries: Any,
    r: float,
    metric: str = "sqeuclidean",
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
    metric : str
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
    scan = Scan.of(base, queries, metric, threads, stream)
    limit = real_number("r", r)
    passing = scan.filter(filter)
    with scan.call.scope():
        bad_row = scan.look(check_finite)
        lims = scan.call.result("lims", None, (scan.m + 1,), "int64")
        args = scan.base_matrix, scan.query_matrix, scan.metric.name, limit, passing, lims.address
        scan.call.run("radius_count", *args, 0, 0, address_of(bad_row), workspace="radius")
        refuse_bad_row("base", bad_row)

        hits = _last(scan, lims)
        distances = scan.call.result("distances", None, (hits,), scan.metric.dtype)
        indices = scan.call.result("indices", None, (hits,), "int64")
        if hits:
            scan.call.run("radius_fill", *args, distances.address, indices.address, 0, workspace="radius")
        return tuple(scan.call.hand_over(result, None) for result in (lims, distances, indices))


def _last(scan: Scan, lims: View) -> int:
    last = lims.owner[scan.m : scan.m + 1]
    return int(last[0]) if scan.call.device.on_host else scan.call.space.integers(last)[0]
