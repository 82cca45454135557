# SPDX-License-Identifier: Apache-2.0
"""Exact search of a base that comes in blocks, as from files larger than memory. Internal: what a batch search is made of.

The contract is in csrc/ops/knn.h. The queries stay packed and each query's k-th distance stays known from block to block,
so that a block costs what its rows cost in one call over all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..arrays.views import View, host_copy, view
from ..runtime.context import matrix_of, result_count
from ..runtime.types import MetricName
from .dataset import Dataset
from .operands import Operands


def knn_blocks(
    blocks: Iterable[Any],
    queries: Any,
    k: int,
    metric: MetricName | None = None,
    *,
    threads: int | None = None,
    stream: Any = None,
    check_finite: bool = True,
) -> tuple[Any, Any]:
    """Distances and indices (m, k), bit for bit those of `knn` over all rows, which are numbered through the blocks.

    Parameters
    ----------
    blocks : iterable of arrays or stores, or of pairs (base, filter)
        All of one dtype and width, or stores of one level that one estimator encoded. On the host a block's memory may be
        used again as soon as the next block is asked for. A filter is over the rows of its block.
    queries, k, metric, threads, stream, check_finite
        As in `knn`.
    """
    count = result_count(k)
    search: _Search | None = None
    for place, block in enumerate(blocks):
        base, filter = block if isinstance(block, tuple) else (block, None)
        name = f"blocks[{place}]"
        if isinstance(base, Dataset) and base.primary is not None:
            raise ValueError(f"{name}: expected a store of one level, got {base.spec!r}; give its primary")
        if search is None:
            operands = Operands.of(base, queries, metric, threads, stream, base_name=name)
            search = _Search(operands, base, count)
        else:
            operands = search.first.over(base, name)
            search.require_same_form(base, operands)
        allowed = operands.filter(filter)
        operands.check_finite(check_finite, queries_too=operands is search.first)
        search.add(operands, allowed)
    if search is None:
        raise ValueError("blocks: expected one or more, got none")
    return search.finish()


class _Search:
    """What is kept from block to block: the carry of the kernel, and the results."""

    def __init__(self, first: Operands, base: Any, k: int) -> None:
        context = first.context
        self.first, self.base, self.k, self.context = first, base, k, context
        self.carry = context.backend.KnnCarry()
        self.rows = 0
        with context.scope():
            self.distances = context.result("distances", None, (first.m, k), first.metric.dtype)
            self.indices = context.result("indices", None, (first.m, k), "int64")

    def require_same_form(self, base: Any, operands: Operands) -> None:
        """What the kernel relies on: everything that does not belong to a single row is what it was in the first block."""
        got, want = _form(base, operands), _form(self.base, self.first)
        if got != want:
            raise ValueError(f"{operands.base.name}: expected {want}, as the first block, got {got}")
        if isinstance(base, Dataset) and base is not self.base:
            known = self.base.shared_arrays()
            for name, x in base.shared_arrays().items():
                if x is not known[name] and not _equal(view(name, x), view(name, known[name])):
                    raise ValueError(
                        f"{operands.base.name}: expected a store of the estimator that encoded the first block, "
                        f"got another {name!r}"
                    )

    def add(self, operands: Operands, allowed: Any) -> None:
        self._run(operands, operands.base.native, allowed, last=False)
        operands.base.refuse_bad_row()
        self.rows += operands.n

    def finish(self) -> tuple[Any, Any]:
        context, first = self.context, self.first
        nothing = matrix_of(context.backend, first.base.queries, first.metric.bits, count=0)
        self._run(first, nothing, context.backend.Filter(), last=True)
        with context.scope():
            return context.to_caller(self.distances, None), context.to_caller(self.indices, None)

    def _run(self, operands: Operands, native: Any, allowed: Any, last: bool) -> None:
        if self.distances.empty:
            return
        results = self.distances.address, self.indices.address, 0 if last else operands.base.bad_row_address
        queries, metric = self.first.base.query_matrix, self.first.metric.name
        with self.context.scope():
            self.context.run("knn_block", native, queries, metric, self.k, allowed, *results, self.carry, self.rows, last)


def _form(base: Any, operands: Operands) -> str:
    if isinstance(base, Dataset):
        return f"a store {base.spec!r} of {base.shape[1]} dimensions with numbers {list(base.numbers.values())}"
    x = operands.base.views[0]
    return f"{x.shape[1]} columns of {x.dtype}"


def _equal(a: View, b: View) -> bool:
    return a.shape == b.shape and bool((host_copy(a) == host_copy(b)).all())
