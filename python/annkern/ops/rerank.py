# SPDX-License-Identifier: Apache-2.0
"""The second stage of knn: the candidates that a coarse base gave, put in order by the same rows in a finer form."""

from __future__ import annotations

from typing import Any

from ..arrays.views import View
from ..runtime.call import whole_number
from .distances import measure
from .operands import Scan
from .select_k import run_select


def finer_scan(coarse: Scan, rerank: object, queries: object, threads: Any, stream: Any) -> Scan:
    """`rerank` and the queries, checked as `base` and the queries were."""
    if rerank is None:
        raise ValueError("rerank_k: expected rerank beside it, got rerank=None")
    if coarse.metric.bits:
        raise ValueError(
            f"rerank: not for packed bits (metric {coarse.metric.name!r}): queries in bits and in numbers are two arrays; "
            "search the bits, then order the rows that they give with distances"
        )
    fine = Scan.of(rerank, queries, coarse.metric.name, threads, stream, base_name="rerank")
    if fine.n != coarse.n:
        raise ValueError(f"rerank: expected {coarse.n} rows, as base has, got {fine.n}")
    return fine


def candidates_wanted(rerank_k: int | None, k: int, n: int) -> int:
    """How many candidates the first stage gives for each query."""
    if rerank_k is None:
        return min(n, max(4 * k, k + 32))
    return min(n, whole_number("rerank_k", rerank_k, k))


def rerank_candidates(fine: Scan, candidates: View, distances: View, indices: View, check_finite: bool) -> None:
    """Fills (m, k) results out of (m, width) candidates, of which -1 are missing and stand last."""
    if distances.empty:
        return
    found = fine.call.result("candidate distances", None, candidates.shape, fine.metric.dtype)
    measure(fine, candidates, found, check_finite)
    m, width = candidates.shape
    run_select(
        fine.call, found, (1, m, width), (0, width), candidates, (0, width), fine.metric.similarity, distances, indices
    )
