# SPDX-License-Identifier: Apache-2.0
"""What an index is built from: rows, a store of them, or blocks that come one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ..arrays.columns import rows_of
from ..arrays.views import view
from ..graphs import reordering
from ..graphs.graph import Graph
from ..ops.metrics import metric_of
from ..runtime.backend import load
from ..runtime.context import KERNEL_DTYPES, refuse_dtype
from ..runtime.types import MetricName
from ..stores.array import Cast
from ..stores.blocks import blocks_of, compress_blocks
from ..stores.compress import compress
from ..stores.store import Store, rows_of_store

CODED = "lvq8"  # what a graph is built over


def has_codes(metric: MetricName) -> bool:
    """Whether CODED has kernels for it."""
    return metric_of(load("cpu"), metric).from_dot


class Source(Protocol):
    """Where the parts of an index come from."""

    def rows(self) -> Any:
        """All rows as an array."""

    def store(self, spec: str, lists: Any = None) -> Store:
        """All rows by that spec, or the members of lists."""

    def over(self, searched: str, metric: MetricName) -> Any:
        """What the graph is built over, where `searched` is the spec that is searched."""

    def in_order(self, order: Any) -> Source:
        """The same of the rows [order]."""


def source_of(x: Any, specs: Sequence[str], reorder: bool, lists: bool, given: dict[str, Any], progress: bool) -> Source:
    """`given`: arguments of `compress`; `specs`: what will be asked for."""
    blocks = blocks_of(x)
    if blocks is None:
        kept = {x.spec: rows_of_store("x", x)} if isinstance(x, Store) else {}
        return _Rows(x if kept else rows_of("x", x), kept, given, progress)
    if reorder:
        raise ValueError("reorder: expected False for blocks, which are read once, got True")
    if lists:
        raise ValueError("spec: expected one without lists for blocks, which are read once; build_lists takes an array")
    return _Blocks(compress_blocks(blocks, list(dict.fromkeys(specs)), progress, **given))


def kept_as_it_is(name: str, given: Any) -> Store:
    """A store, or an array as one, without a copy."""
    if isinstance(given, Store):
        return rows_of_store(name, given)
    x = rows_of(name, given)
    seen = view(name, x)
    refuse_dtype(name, seen, tuple(KERNEL_DTYPES))
    return Cast(KERNEL_DTYPES[seen.dtype]).fit(x).encode(x)


def refuse_unlike(n: int, store: Store, graph: Graph | None, rerank: Store | None) -> None:
    """The parts of an index are of the same rows."""
    d = store.query_dims
    if graph is not None and len(graph) != n:
        raise ValueError(f"graph: expected one of {n} rows, as store has, got {len(graph)}")
    if rerank is not None and (len(rerank), rerank.query_dims) != (n, d):
        raise ValueError(f"rerank: expected {n} rows of {d} columns, as store has, got {len(rerank)} x {rerank.query_dims}")


class _Rows:
    """An array or a store, of which `kept` is there already. A store is decoded where another form is asked for."""

    def __init__(self, x: Any, kept: dict[str, Store], given: dict[str, Any], progress: bool) -> None:
        self.x, self.kept, self.given, self.progress = x, kept, given, progress

    def rows(self) -> Any:
        if isinstance(self.x, Store):
            plain = self.x.kind == "array"
            self.x = self.x.arrays["data"] if plain else self.x.decode(threads=self.given["threads"])
        return self.x

    def store(self, spec: str, lists: Any = None) -> Store:
        if lists is not None:
            return compress(self.rows(), spec, **self.given, progress=self.progress, lists=lists)
        if spec not in self.kept:
            self.kept[spec] = compress(self.rows(), spec, **self.given, progress=self.progress)
        return self.kept[spec]

    def over(self, searched: str, metric: MetricName) -> Any:
        if not has_codes(metric):
            return self.rows()
        if CODED in self.kept or searched == CODED:
            return self.store(CODED)
        return compress(self.rows(), CODED, **{**self.given, "learn_queries": None}, progress=self.progress)

    def in_order(self, order: Any) -> Source:
        return _Rows(reordering.rows_in_order(self.rows(), order), {}, self.given, self.progress)


class _Blocks:
    """Stores of all that came."""

    def __init__(self, stores: dict[str, Store]) -> None:
        self.stores = stores

    def rows(self) -> Any:
        raise NotImplementedError("lists of blocks are refused before")

    def store(self, spec: str, lists: Any = None) -> Store:
        return self.stores[spec]

    def over(self, searched: str, metric: MetricName) -> Any:
        store = self.stores[CODED if has_codes(metric) else searched]
        return store.arrays["data"] if store.kind == "array" else store  # which may hold bits

    def in_order(self, order: Any) -> Source:
        raise NotImplementedError("blocks are refused before")
