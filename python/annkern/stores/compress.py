# SPDX-License-Identifier: Apache-2.0
"""Stores by name: one string says how vectors are kept, and is spelled the same everywhere."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Any

from ..ops.operands import metric_known
from ..runtime.call import whole_number
from . import LVQ, OPQ, PQ, BinaryQuantizer, Cast, LeanVec, RaBitQ, ScalarQuantizer
from .codec import Codec
from .store import Store

# (pattern, how it is written, examples for the nearest valid spec, the estimator of a match)
Rule = tuple[str, str, tuple[str, ...], Callable[[re.Match[str]], Codec]]
RULES: list[Rule] = [
    (r"(f32|f16|bf16|i8|u8)", "f32 f16 bf16 i8 u8", ("f32", "f16", "bf16", "i8", "u8"), lambda m: Cast(m[1])),
    (r"sq([48])", "sq8 sq4", ("sq8", "sq4"), lambda m: ScalarQuantizer(int(m[1]))),
    (
        r"lvq([48])(?:x([48]))?",
        "lvq8 lvq4 lvq4x4 lvq4x8 lvq8x8",
        ("lvq8", "lvq4", "lvq4x4", "lvq4x8", "lvq8x8"),
        lambda m: LVQ(int(m[1]), int(m[2] or 0)),
    ),
    (r"rabitq([1-8])", "rabitq<1-8>", tuple(f"rabitq{bits}" for bits in range(1, 9)), lambda m: RaBitQ(int(m[1]))),
    (r"bin", "bin", ("bin",), lambda m: BinaryQuantizer()),
    (
        r"leanvec(\d*):([^,]+),([^,]+)",
        "leanvec<d>:<primary>,<secondary>",
        ("leanvec16:lvq4,lvq8",),
        lambda m: LeanVec(int(m[1]) if m[1] else None, m[2], m[3]),
    ),
    (
        r"(o?)pq([1-9]\d*)x([48])",
        "pq<m>x4 pq<m>x8 opq<m>x4 opq<m>x8",
        ("pq12x4", "pq12x8", "opq12x4", "opq12x8"),
        lambda m: (OPQ if m[1] else PQ)(int(m[2]), int(m[3])),
    ),
]


def codec(spec: str, metric: str = "sqeuclidean") -> Codec:
    """The estimator that `spec` names, not yet fitted."""
    if not isinstance(spec, str):
        raise TypeError(f"spec: expected a string such as 'lvq4x8', got {type(spec).__name__}")
    for pattern, _, _, make in RULES:
        match = re.fullmatch(pattern, spec)
        if match:
            made = make(match)
            made.metric = metric
            return made
    written = " · ".join(rule[1] for rule in RULES)
    near = difflib.get_close_matches(spec.lower(), [example for rule in RULES for example in rule[2]], 1, 0.3)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"spec: expected one of {written}, got {spec!r}{hint}")


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
        In the library and on the device of `x`.

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
    seed = whole_number("seed", seed, 0)
    made = codec(spec, metric)
    for name, value in (("learn_queries", learn_queries), ("seed", seed), ("threads", threads)):
        if hasattr(made, name):
            setattr(made, name, value)
    return made.fit(x).encode(x, threads=threads, progress=progress)
