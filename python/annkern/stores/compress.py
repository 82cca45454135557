# SPDX-License-Identifier: Apache-2.0
"""Stores by name: one string says how vectors are kept, and is spelled the same everywhere."""

from __future__ import annotations

from typing import Any

from ..arrays.columns import rows_of
from ..ops.metrics import metric_known
from ..runtime.context import thread_count, whole_number
from .registry import codec
from .store import Store


def compress(
    x: Any,
    spec: str,
    metric: str = "sqeuclidean",
    learn_queries: Any = None,
    seed: int = 0,
    threads: int | None = None,
    *,
    progress: bool = False,
) -> Store:
    """Fit the store that `spec` names to `x`, and encode `x`.

    Parameters
    ----------
    x : array (n, d)
        float32, float16, bfloat16, int8 or uint8, of any array library, on the host or on a device; may be memory-mapped.
    spec : str
        How the vectors are kept: "lvq4x8"; docs/stores.md lists and compares them.
    metric : str
        The store's default metric, and what stores that are trained for a metric are trained for.
    learn_queries : array (m, d), optional
        Examples of queries, for the stores that learn from them.
    seed : int
        Of all that is drawn by chance: the same seed gives the same bytes.
    threads : int, optional
        CPU threads.
    progress : bool
        Show a bar on the terminal.

    Returns
    -------
    Store
        In the library and on the device of `x`. NumPy where `x` is in host memory and its library lacks a type of the
        store's arrays, as the array API standard lacks float16.

    Raises
    ------
    TypeError, ValueError
        Naming the argument; an unknown spec shows the grammar and the nearest valid one.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.random.default_rng(0).standard_normal((1000, 64), dtype=np.float32)
    >>> store = ak.compress(x, "lvq4x8")
    >>> store
    Store('lvq4x8', n=1000, d=64, 140 bytes a vector)
    >>> dist, idx = ak.knn(store, x[:5], 10)
    """
    metric_known(metric)
    thread_count(threads)
    x = rows_of("x", x)
    seed = whole_number("seed", seed, 0)
    estimator = codec(spec, metric)
    for name, value in (("learn_queries", learn_queries), ("seed", seed), ("threads", threads)):
        if hasattr(estimator, name):
            setattr(estimator, name, value)
    return estimator.fit(x).encode(x, threads=threads, progress=progress)
