# SPDX-License-Identifier: Apache-2.0
"""Distances to the rows that each query names. The contract is csrc/ops/distances.h."""

from __future__ import annotations

from typing import Any

from ..arrays.views import View, as_numpy, view
from ..runtime.call import refuse_overlap, shaped
from .operands import Scan, address_of, refuse_bad_row


def distances(
    base: Any,
    queries: Any,
    ids: Any,
    metric: str = "sqeuclidean",
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
    ids : array (m, c) of int64
        Rows of base; negative ones are missing. On a device they are not checked.
    metric : str
        As in `knn`.
    threads, stream :
        As in `knn`.
    out : array (m, c), optional
        Written instead of a new array.
    check_finite : bool
        Refuse NaN and infinity in the queries and, on the host, in the rows that are read.

    Returns
    -------
    array (m, c)
        float32, or int32 for "hamming": what `pairwise` gives, bit for bit; +inf (-inf for inner product, 2^31 - 1 for
        "hamming") where the id is negative.

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
    scan = Scan.of(base, queries, metric, threads, stream)
    with scan.call.scope():
        chosen = shaped("ids", view("ids", ids, scan.call.stream), "m, c", ("int64",))
        scan.call.beside("ids", chosen, "queries")
        if chosen.shape[0] != scan.m:
            raise ValueError(f"ids: expected a row for each of {scan.m} queries, got shape {chosen.shape}")
        refuse_unknown(scan, chosen)
        result = scan.call.result("out", out, (scan.m, chosen.shape[1]), scan.metric.dtype)
        if out is not None:
            refuse_overlap([("out", result)], [*scan.inputs(), ("ids", chosen)])
        measure(scan, chosen, result, check_finite)
        return scan.call.hand_over(result, out)


def refuse_unknown(scan: Scan, ids: View) -> None:
    if not scan.call.device.on_host or ids.empty:
        return
    values = as_numpy(ids)
    if int(values.max()) >= scan.n:
        raise ValueError(f"ids: expected rows below {scan.n}, got {int(values.max())}")


def measure(scan: Scan, ids: View, result: View, check_finite: bool) -> None:
    """The kernel, into a checked result."""
    bad_row = scan.look(check_finite)
    if result.empty:
        return
    width = ids.shape[1]
    matrices = scan.base_matrix, scan.query_matrix
    # Packed rows of a single width: a row-major copy was made where the ids were not.
    scan.call.run("distances", *matrices, scan.metric.name, ids.address, width, result.address, address_of(bad_row))
    refuse_bad_row(scan.base_name, bad_row)
