# SPDX-License-Identifier: Apache-2.0
"""The second stage of knn: the candidates that a coarse base gave, put in order by the same rows in a finer form."""

from __future__ import annotations

from typing import Any

from ._arrays import View, as_numpy, view
from ._call import whole_number
from ._scan import BadRow, Scan, address_of, matrix_of, refuse_bad_row
from .select_k import run_select


def finer_scan(coarse: Scan, rerank: object, queries: object, threads: Any, stream: Any) -> Scan:
    """`rerank` and the queries, checked as `base` and the queries were."""
    if rerank is None:
        raise ValueError("rerank_k: expected rerank beside it, got rerank=None")
    if coarse.metric.bits:
        raise ValueError(
            f"rerank: not for packed bits (metric {coarse.metric.name!r}): queries in bits and in numbers are two arrays; "
            "search the bits, then order the rows that they give with pairwise"
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
    if not found.empty:
        if fine.call.device.on_host:
            _measure_on_host(fine, candidates, found, check_finite)
        else:
            _measure_on_device(fine, candidates, found, check_finite)
    m, width = candidates.shape
    run_select(
        fine.call, found, (1, m, width), (0, width), candidates, (0, width), fine.metric.similarity, distances, indices
    )


def _one_query(fine: Scan, query: int) -> Any:
    q = fine.queries
    stride = q.strides[0]
    row = View(q.owner, q.address + query * stride, (1, q.shape[1]), q.strides, q.dtype, q.device, q.space)
    return matrix_of(fine.call, row, fine.metric)


def _measure_on_host(fine: Scan, candidates: View, found: View, check_finite: bool) -> None:
    base, ids = as_numpy(fine.base), as_numpy(candidates)
    bad_row = BadRow(-1) if check_finite else None
    for query, row in enumerate(ids):
        present = row[row >= 0]
        if not len(present):
            continue
        near = view("rerank", base[present])
        near.dtype = fine.base.dtype  # bfloat16 went through NumPy as uint16
        address = found.address + query * found.strides[0]
        matrices = _one_query(fine, query), matrix_of(fine.call, near, fine.metric)
        fine.call.run("pairwise", *matrices, fine.metric.name, address, address_of(bad_row))
        if bad_row is not None and bad_row.value >= 0:
            refuse_bad_row("rerank", BadRow(int(present[bad_row.value])))


def _measure_on_device(fine: Scan, candidates: View, found: View, check_finite: bool) -> None:
    fine.look(check_finite)
    rows = fine.call.space.where(candidates.owner < 0, 0, candidates.owner)
    for query in range(fine.m):
        near = view("rerank", fine.call.space.take(fine.base.owner, rows[query]))
        address = found.address + query * found.strides[0]
        matrices = _one_query(fine, query), matrix_of(fine.call, near, fine.metric)
        fine.call.run("pairwise", *matrices, fine.metric.name, address, 0)
