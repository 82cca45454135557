# SPDX-License-Identifier: Apache-2.0
"""The nearest centroid of each vector: knn with the roles exchanged and k = 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from ..arrays.views import view
from ..runtime.backend import load
from ..runtime.types import A, AssignOptions, Distances, Indices, MetricName, NumpyArray
from .dataset import Dataset
from .knn import nearest
from .operands import Operands

if TYPE_CHECKING:
    from typing_extensions import Unpack


@overload
def assign(
    x: NumpyArray, centroids: Any, metric: MetricName | None = None, **options: Unpack[AssignOptions]
) -> tuple[Indices, Distances]: ...
@overload
def assign(x: A, centroids: Any, metric: MetricName | None = None, **options: Unpack[AssignOptions]) -> tuple[A, A]: ...
@overload
def assign(
    x: Any, centroids: Any, metric: MetricName | None = None, **options: Unpack[AssignOptions]
) -> tuple[Any, Any]: ...
def assign(
    x: Any,
    centroids: Any,
    metric: MetricName | None = None,
    *,
    threads: int | None = None,
    stream: Any = None,
    check_finite: bool = True,
) -> tuple[Any, Any]:
    """The centroid nearest to each row, and how near it is.

    Parameters
    ----------
    x : array (n, d)
        Of the dtype of `centroids`, or float32. The results come back in its library, on its device.
    centroids : array (k, d), or a Store
        At least one.
    metric : str, optional
        As in `knn`.
    threads : int, optional
        CPU threads.
    stream : int or stream object, optional
        Where device work is enqueued.
    check_finite : bool
        Refuse NaN and infinity in both arrays.

    Returns
    -------
    labels : array (n,) of int64
        Ties go to the smaller label.
    distances : array (n,)
        To that centroid, as `knn` reports them.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came; no centroids for rows that need one.

    Notes
    -----
    `knn` with k = 1: 2 n k d flops for n rows and k centroids, and the distances never exist all at once.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.array([[0, 1], [5, 5], [1, 0]], np.float32)
    >>> ak.assign(x, np.array([[0, 0], [4, 4]], np.float32))
    (array([0, 1, 0]), array([1., 2., 1.], dtype=float32))
    """
    if stream is None:
        found: tuple[Any, Any] | None = load("cpu").assign_direct(x, centroids, metric, threads, check_finite)
        if found is not None:
            return found
    if hasattr(centroids, "shape") and tuple(centroids.shape)[:1] == (0,) and tuple(view("x", x).shape)[:1] != (0,):
        raise ValueError(f"centroids: expected at least one row, got shape {tuple(centroids.shape)}")
    finer = centroids.secondary if isinstance(centroids, Dataset) else None
    coarse = centroids if finer is None else centroids.primary
    operands = Operands.of(coarse, x, metric, threads, stream, rerank=finer, base_name="centroids", query_name="x")
    distances, labels = nearest(operands, 1, check_finite=check_finite)
    return labels[:, 0], distances[:, 0]
