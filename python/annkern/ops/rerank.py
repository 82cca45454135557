# SPDX-License-Identifier: Apache-2.0
"""The second stage of knn: the candidates that a coarse base gave, put in order by the same rows in a finer form."""

from __future__ import annotations

from ..arrays.views import View
from ..runtime.backend import load
from ..runtime.context import whole_number
from .distances import measure
from .operands import Operands, Rows
from .select_k import run_select


def finer_rows(operands: Operands) -> Rows:
    """What a call with rerank_k orders its candidates by."""
    if operands.rerank is None:
        raise ValueError("rerank_k: expected rerank beside it, got rerank=None")
    return operands.rerank


def candidates_wanted(rerank_k: int | None, k: int, n: int) -> int:
    """How many candidates the first stage gives for each query."""
    if rerank_k is None:
        return min(n, int(load("cpu").default_candidates(k)))
    return min(n, whole_number("rerank_k", rerank_k, k))


def rerank_candidates(operands: Operands, fine: Rows, candidates: View, distances: View, indices: View) -> None:
    """Fills (m, k) results out of (m, width) candidates, of which -1 are missing and stand last."""
    if distances.empty:
        return
    context, metric = operands.context, operands.metric
    found = context.result("candidate distances", None, candidates.shape, metric.dtype)
    measure(operands, fine, candidates, found)
    m, width = candidates.shape
    run_select(context, found, (1, m, width), (0, width), candidates, (0, width), metric.similarity, distances, indices)
