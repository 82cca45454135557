# SPDX-License-Identifier: Apache-2.0
"""The k best values of each row. The contract is csrc/ops/select_k.h, the definition reference/select_k.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from ..arrays.views import View, view
from ..runtime.backend import load
from ..runtime.context import Context, ids_of, pair, refuse_overlap, result_count, shaped
from ..runtime.types import A, Distances, Indices, NumpyArray, SelectOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack


@overload
def select_k(values: NumpyArray, k: int, **options: Unpack[SelectOptions]) -> tuple[Distances, Indices]: ...
@overload
def select_k(values: A, k: int, **options: Unpack[SelectOptions]) -> tuple[A, A]: ...
@overload
def select_k(values: Any, k: int, **options: Unpack[SelectOptions]) -> tuple[Any, Any]: ...
def select_k(
    values: Any,
    k: int,
    *,
    largest: bool = False,
    ids: Any = None,
    threads: int | None = None,
    stream: Any = None,
    out: Any = None,
) -> tuple[Any, Any]:
    """The k smallest (or largest) values of each row, best first, and their ids.

    Parameters
    ----------
    values : array (m, n) of float32
        Rows may lie any number of elements apart; where the elements of a row are not adjacent, it is copied once.
    k : int
        Any number; beyond n the results are padded.
    largest : bool
        Select the largest values instead.
    ids : array (n,) or (m, n) of int64, or int32 (copied), optional
        What is returned for each value; by default its column. Entries with a negative id are skipped.
    threads : int, optional
        CPU threads; by default ANNKERN_NUM_THREADS, else the processors that this process may use.
    stream : int or stream object, optional
        Where device work is enqueued; by default the current stream of the library of `values`.
    out : (array (m, k), array (m, k)), optional
        Values (float32) and ids (int64) to write instead of new arrays; contiguous, sharing no memory with the inputs.

    Returns
    -------
    values : array (m, k) of float32
        Sorted; ties by ascending id. NaN ranks last. Padding is +inf (-inf where `largest`).
    ids : array (m, k) of int64
        -1 where fewer than k values were there.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.

    Notes
    -----
    Reads the values once or twice; nothing on a device waits.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> ak.select_k(np.array([[3, 1, 2]], np.float32), 2)
    (array([[1., 2.]], dtype=float32), array([[1, 2]]))
    """
    if stream is None:
        found: tuple[Any, Any] | None = load("cpu").select_k_direct(values, k, largest, ids, threads, out)
        if found is not None:
            return found
    lead = view("values", values)
    context = Context.at(lead, threads, stream)
    count = result_count(k)
    given = pair(out)
    with context.scope():
        x = shaped("values", lead, "m, n", ("float32",))
        names = None if ids is None else _ids(context, ids, x)
        row_stride = 0 if names is None or len(names.shape) == 1 else names.strides[0] // 8
        m, n = x.shape
        best = context.result("out[0]", given[0], (m, count), "float32")
        best_ids = context.result("out[1]", given[1], (m, count), "int64")
        if out is not None:
            inputs = [("values", x)] if names is None else [("values", x), ("ids", names)]
            refuse_overlap([("out[0]", best), ("out[1]", best_ids)], inputs)
        run_select(context, x, (1, m, n), (0, x.strides[0] // 4), names, (0, row_stride), bool(largest), best, best_ids)
        return context.to_caller(best, given[0]), context.to_caller(best_ids, given[1])


def _ids(context: Context, ids: Any, x: View) -> View:
    m, n = x.shape
    seen = ids_of("ids", ids, context.stream)
    if seen.shape not in ((n,), (m, n)):
        raise ValueError(f"ids: expected shape ({n},) or ({m}, {n}), got {seen.shape}")
    context.require_same_device("ids", seen, "values")
    return shaped("ids", seen, "n" if len(seen.shape) == 1 else "m, n", ("int64",))


def run_select(
    context: Context,
    values: View,
    shape: tuple[int, int, int],
    strides: tuple[int, int],
    ids: View | None,
    ids_strides: tuple[int, int],
    largest: bool,
    best: View,
    best_ids: View,
) -> None:
    """The kernel, into checked results. `shape` is (parts, m, n), strides count elements: csrc/ops/select_k.h."""
    if best.empty:
        return
    names = 0 if ids is None else ids.address
    k = best.shape[1]
    context.run("select_k", values.address, shape, strides, names, ids_strides, k, largest, best.address, best_ids.address)
