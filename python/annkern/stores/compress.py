# SPDX-License-Identifier: Apache-2.0
"""Stores by name: one string says how vectors are kept, and is spelled the same everywhere."""

from __future__ import annotations

from typing import Any

from ..arrays.columns import rows_of
from ..arrays.views import view
from ..ops.metrics import metric_known
from ..ops.sampling import BLOCK_BYTES
from ..runtime.context import thread_count, whole_number
from ..runtime.types import MetricName
from .codec import Codec
from .registry import codec
from .store import Store


def compress(
    x: Any,
    spec: str,
    metric: MetricName = "sqeuclidean",
    learn_queries: Any = None,
    seed: int = 0,
    threads: int | None = None,
    *,
    progress: bool = False,
    lists: Any = None,
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
    lists : Lists, optional
        Of the rows of `x`: the store then has a row for each of `lists.ids`, in their order, so that a list's members lie
        side by side (`search_lists`). Rows that are in two lists are there twice; other operations take such a store as any,
        and return places in it.

    Returns
    -------
    Store
        In the library and on the device of `x`. NumPy where `x` is in host memory and its library lacks a type of the
        store's arrays, as the array API standard lacks float16. So also where `lists` come with an array in host memory.

    Raises
    ------
    TypeError, ValueError
        Naming the argument; an unknown spec shows the grammar and the nearest valid one.

    Notes
    -----
    `fit` and `encode` of the estimator that the spec names. A row's code depends on the row and on what was fitted: the same
    bytes for any number of threads, on every instruction set and backend. docs/stores.md has sources and layouts, and what
    each store takes to make.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.random.default_rng(0).standard_normal((1000, 64), dtype=np.float32)
    >>> store = ak.compress(x, "lvq4x8")
    >>> store
    Store('lvq4x8', n=1000, d=64, 140 bytes a vector)
    >>> dist, idx = ak.knn(store, x[:5], 10)
    """
    thread_count(threads)
    x = rows_of("x", x)
    fitted = estimator(spec, metric, learn_queries, seed, threads).fit(x)
    if lists is None:
        return fitted.encode(x, threads=threads, progress=progress)
    return _arranged(fitted, x, lists, threads, progress)


def _arranged(fitted: Codec, x: Any, lists: Any, threads: int | None, progress: bool) -> Store:
    """The members of lists, list after list."""
    if not hasattr(lists, "fingerprint"):
        raise TypeError(f"lists: expected Lists, as of build_lists, got {type(lists).__name__}")
    seen = view("x", x)
    if seen.shape[0] != len(lists):
        raise ValueError(f"lists: expected those of {seen.shape[0]} rows, as x has, got {len(lists)}")
    ids = lists.host_ids()

    def members(first: int, count: int) -> Any:
        chosen = ids[first : first + count].astype("int64")
        return seen.library.take(x, seen.library.from_numpy(chosen, seen.device))

    if seen.device.on_host:
        step = max(1, BLOCK_BYTES // max(1, 4 * seen.shape[1]))
        blocks = (members(first, step) for first in range(0, max(len(ids), 1), step))
        store = fitted.encode(blocks, threads=threads, progress=progress)
    else:
        store = fitted.encode(members(0, len(ids)), threads=threads, progress=progress)
    for level in (store, store.primary, store.secondary):
        if level is not None:
            level.arranged = lists.fingerprint
    return store


def estimator(spec: str, metric: MetricName, learn_queries: Any = None, seed: int = 0, threads: int | None = None) -> Codec:
    """What `compress` fits."""
    made = codec(spec, metric_known(metric))
    for name, value in (("learn_queries", learn_queries), ("seed", whole_number("seed", seed, 0)), ("threads", threads)):
        if hasattr(made, name):
            setattr(made, name, value)
    return made
