# SPDX-License-Identifier: Apache-2.0
"""Every distance between two sets of vectors. The contract is csrc/ops/pairwise.h, the definition reference/pairwise.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from ..runtime.backend import load
from ..runtime.context import refuse_overlap
from ..runtime.types import A, CheckedOptions, Distances, MetricName, NumpyArray
from .operands import Operands

if TYPE_CHECKING:
    from typing_extensions import Unpack


@overload
def pairwise(
    queries: NumpyArray, base: Any, metric: MetricName | None = None, **options: Unpack[CheckedOptions]
) -> Distances: ...
@overload
def pairwise(queries: A, base: Any, metric: MetricName | None = None, **options: Unpack[CheckedOptions]) -> A: ...
@overload
def pairwise(queries: Any, base: Any, metric: MetricName | None = None, **options: Unpack[CheckedOptions]) -> Any: ...
def pairwise(
    queries: Any,
    base: Any,
    metric: MetricName | None = None,
    *,
    threads: int | None = None,
    stream: Any = None,
    out: Any = None,
    check_finite: bool = True,
) -> Any:
    """Distances between each query and each base row.

    Parameters
    ----------
    queries : array (m, d)
        Of the dtype of `base`, or float32.
    base : array (n, d) of float32, float16, bfloat16, int8 or uint8
        For "hamming" and "jaccard": uint8, d / 8 columns of packed bits (``np.packbits(x, axis=1, bitorder="little")``).
        Rows may lie any number of bytes apart; where the elements of a row are not adjacent, the array is copied once.
    metric : str, optional
        "sqeuclidean" ("l2"), "euclidean", "inner_product" ("ip", "dot"), "cosine", "cityblock", "chebyshev", "hamming",
        "jaccard". Inner product is a similarity, all others are distances. A zero vector has cosine distance 1 to all.
        By default the metric that a store was made for, and "sqeuclidean" for an array. Another one may be named for a
        store, too: what the store has learnt is then learnt for another purpose.
    threads : int, optional
        CPU threads; by default ANNKERN_NUM_THREADS, else the processors that this process may use.
    stream : int or stream object, optional
        Where device work is enqueued; by default the current stream of the library of `queries`.
    out : array (m, n), optional
        Written instead of a new array: of the result's dtype, contiguous, sharing no memory with the inputs.
    check_finite : bool
        Refuse NaN and infinity. On a device this waits for the stream once; without it nothing waits.

    Returns
    -------
    array (m, n)
        float32, or int32 for "hamming", in the library and on the device of `queries`.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came. float64 is refused: cast it.

    Notes
    -----
    Costs 2 m n d flops. A pair's bits do not depend on the other rows, on threads or on batching.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.array([[0, 0], [3, 4]], np.float32)
    >>> ak.pairwise(x[:1], x, metric="euclidean")
    array([[0., 5.]], dtype=float32)
    """
    if stream is None:
        found = load("cpu").pairwise_direct(queries, base, metric, threads, out, check_finite)
        if found is not None:
            return found
    operands = Operands.of(base, queries, metric, threads, stream)
    context, rows, name = operands.context, operands.base, operands.metric.name
    with context.scope():
        result = context.result("out", out, (operands.m, operands.n), operands.metric.dtype)
        if out is not None:
            refuse_overlap([("out", result)], operands.inputs())
        # Distances are written while the base is read: where the memory is the caller's, the base is checked before.
        operands.check_finite(check_finite, base_too=out is not None)
        if not result.empty:
            context.run("pairwise", rows.query_matrix, rows.native, name, result.address, rows.bad_row_address)
            rows.refuse_bad_row()
        return context.to_caller(result, out)
