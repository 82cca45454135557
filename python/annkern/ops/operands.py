# SPDX-License-Identifier: Apache-2.0
"""The half that pairwise, knn and radius share: base, queries, metric, filter, and the look for NaN and infinity."""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from ..arrays.host import host_rows
from ..arrays.views import View, view, with_adjacent_rows
from ..runtime.backend import load
from ..runtime.call import ALIASES, KERNEL_DTYPES, Call, described, refuse_dtype
from .dataset import Dataset

NUMBERS = tuple(KERNEL_DTYPES)
FLOATS = ("float32", "float16", "bfloat16")
PROJECTABLE = ("sqeuclidean", "euclidean", "inner_product", "cosine")  # what a projection can keep
# Sums of more products of 8-bit numbers than this could pass 2^31; counts of more bits could not be held by float32.
MOST_DIMS_8BIT = 32_768
MOST_BITS = 1 << 24
BadRow = ctypes.c_int64  # where kernels on the host write the first row with NaN or infinity; -1 is none


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    bits: bool
    integer: bool
    similarity: bool

    @property
    def dtype(self) -> str:
        return "int32" if self.integer else "float32"

    @property
    def missing(self) -> float | int:
        if self.integer:
            return int(np.iinfo(np.int32).max)
        return -np.inf if self.similarity else np.inf


def metric_named(call: Call, name: Any) -> Metric:
    """The backend's metric of that name or alias."""
    if not isinstance(name, str):
        raise TypeError(f"metric: expected a name, got {type(name).__name__}")
    return _metric(call.backend, name)


def metric_known(name: Any) -> str:
    """The metric of that name or alias, before there is a call."""
    if not isinstance(name, str):
        raise TypeError(f"metric: expected a name, got {type(name).__name__}")
    return _metric(load("cpu"), name).name


@functools.cache
def _metric(backend: ModuleType, name: str) -> Metric:
    traits = backend.metrics.get(ALIASES.get(name, name))
    if traits is None:
        raise ValueError(f"metric: expected {described([*backend.metrics, *ALIASES])}, got {name!r}")
    return Metric(ALIASES.get(name, name), **traits)


@dataclass(slots=True)
class Scan:
    """One checked pair of base (n, d) and queries (m, d)."""

    call: Call
    metric: Metric
    base: list[View]  # one array, or those of a store
    queries: View
    n: int
    m: int
    base_matrix: Any
    query_matrix: Any
    base_name: str  # the arguments that base and queries came as, for errors
    query_name: str = "queries"
    from_store: bool = False  # whose numbers are known to be finite
    passing: View | None = None  # the filter, kept alive

    @classmethod
    def of(
        cls,
        base: object,
        queries: object,
        metric: Any,
        threads: Any,
        stream: Any,
        base_name: str = "base",
        query_name: str = "queries",
    ) -> Scan:
        lead = view(query_name, queries)
        call = Call.at(lead, threads, stream)
        kind = metric_named(call, metric)
        if isinstance(base, Dataset):
            return cls._of_store(base, lead, call, kind, base_name, query_name)
        x = _vectors(base_name, view(base_name, base, call.stream), kind)
        q = _vectors(query_name, lead, kind)
        call.beside(base_name, x, query_name)
        if q.shape[1] != x.shape[1]:
            raise ValueError(f"{query_name}: expected {x.shape[1]} columns, as {base_name} has, got shape {q.shape}")
        if q.dtype not in (x.dtype, "float32"):
            refuse_dtype(query_name, q, (x.dtype,) if x.dtype == "float32" else (x.dtype, "float32"))
        _refuse_width(base_name, query_name, x, q, kind)
        with call.scope():
            x, q = with_adjacent_rows(x), with_adjacent_rows(q)
        matrices = matrix_of(call, x, kind), matrix_of(call, q, kind)
        return cls(call, kind, [x], q, x.shape[0], q.shape[0], *matrices, base_name, query_name)

    @classmethod
    def _of_store(cls, store: Dataset, lead: View, call: Call, kind: Metric, base_name: str, query_name: str) -> Scan:
        """A level of a store: of two, the one that holds more."""
        level = store.fine
        if level.kind == "array" and level.projection is None:
            where, given = (call.threads or None, call.stream or None), lead.owner
            if not kind.bits and lead.dtype in NUMBERS and lead.dtype not in ("float32", level.array_views()[0].dtype):
                with call.scope():  # a store takes queries of any type
                    given = lead.space.astype(given, "float32")
            return cls.of(level.arrays["data"], given, kind.name, *where, base_name, query_name)
        if kind.bits:
            numbers = [name for name, traits in call.backend.metrics.items() if not traits["bits"]]
            raise ValueError(f"metric: expected {described(numbers)} for a store {store.spec!r}, got {kind.name!r}")
        if level.projection is not None and kind.name not in PROJECTABLE:
            raise ValueError(f"metric: expected {described(PROJECTABLE)} for a store {store.spec!r}, got {kind.name!r}")
        q = _vectors(query_name, lead, kind)
        if q.shape[1] != level.query_dims:
            raise ValueError(f"{query_name}: expected {level.query_dims} columns, as {base_name} has, got shape {q.shape}")
        arrays = level.array_views()
        for x in arrays:
            call.beside(base_name, x, query_name)
        with call.scope():
            q = with_adjacent_rows(q)
            if level.projection is not None:
                q = projected(call, q, level.projection)
        bases = level.backend_base(call.backend), matrix_of(call, q, kind)
        return cls(call, kind, arrays, q, len(level), q.shape[0], *bases, base_name, query_name, from_store=True)

    def filter(self, given: Any) -> Any:
        """The backend's Filter out of a boolean array or a packed uint32 bitset, (n,) or (m, n)."""
        backend = self.call.backend
        if given is None:
            return backend.Filter()
        x = view("filter", given, self.call.stream)
        refuse_dtype("filter", x, ("bool", "uint32"))
        packed = x.dtype == "uint32"
        width = (self.n + 31) // 32 if packed else self.n
        if x.shape not in ((width,), (self.m, width)):
            unit = "words of 32 bits" if packed else "booleans"
            raise ValueError(f"filter: expected shape ({width},) or ({self.m}, {width}) in {unit}, got {x.shape}")
        self.call.beside("filter", x, self.query_name)
        with self.call.scope():
            x = with_adjacent_rows(x)
        self.passing = x
        return backend.Filter(x.address, x.strides[0] if len(x.shape) == 2 else 0, packed)

    def inputs(self) -> list[tuple[str, View]]:
        arrays = [(self.base_name, x) for x in self.base]
        return [*arrays, (self.query_name, self.queries), *([("filter", self.passing)] if self.passing else [])]

    def look(self, check_finite: bool, base_too: bool = False, few_rows: bool = False) -> BadRow | None:
        """Refuses queries, and on devices (but for operations that read `few_rows`) or with `base_too` a base, with NaN or
        infinity. Elsewhere the scan itself looks at the base rows that it reads, and writes what it finds into the array
        returned: see `refuse_bad_row`."""
        if not check_finite:
            return None
        if not self.call.device.on_host:
            self._look_on_device(self.from_store or few_rows)
            return None
        bad_row = BadRow(-1)
        self._look_on_host(self.query_name, self.queries, self.query_matrix, bad_row)
        if self.from_store:
            return None
        if base_too:
            self._look_on_host(self.base_name, self.base[0], self.base_matrix, bad_row)
        return bad_row

    def _look_on_host(self, name: str, x: View, matrix: Any, bad_row: BadRow) -> None:
        if x.dtype in FLOATS:
            self.call.backend.first_nonfinite(matrix, address_of(bad_row), self.call.executor())
            refuse_bad_row(name, bad_row)

    def _look_on_device(self, queries_alone: bool) -> None:
        """Looks at both arrays, then reads both answers back at once: the one place where a call waits for its stream."""
        rows = self.call.space.empty((2,), "int64", self.call.device)
        address = view("rows", rows).address
        looked_at = [self.query_matrix] if queries_alone else [self.query_matrix, self.base_matrix]
        for offset, matrix in zip((0, 8), looked_at, strict=False):
            self.call.backend.first_nonfinite(matrix, address + offset, self.call.executor())
        self.call.space.settle()
        names = (self.query_name, self.base_name)[: len(looked_at)]
        for name, row in zip(names, self.call.space.integers(rows), strict=False):
            refuse_bad_row(name, BadRow(row))


def refuse_bad_row(name: str, row: BadRow | None) -> None:
    if row is not None and row.value >= 0:
        raise ValueError(
            f"{name}: expected finite numbers, got NaN or infinity in row {row.value} (check_finite=False skips this look)"
        )


def address_of(row: BadRow | None) -> int:
    return 0 if row is None else ctypes.addressof(row)


def _vectors(name: str, x: View, metric: Metric) -> View:
    if len(x.shape) != 2:
        hint = f"; for a single vector write {name}[None]" if len(x.shape) == 1 else ""
        raise ValueError(f"{name}: expected 2 dimensions (rows, columns), got shape {x.shape}{hint}")
    if metric.bits and x.dtype != "uint8":
        raise TypeError(
            f"{name}: metric {metric.name!r} takes packed bits, uint8 as of np.packbits(..., axis=1, bitorder='little'); "
            f"got {x.dtype}"
        )
    refuse_dtype(name, x, NUMBERS)
    return x


def _refuse_width(name: str, query_name: str, base: View, queries: View, metric: Metric) -> None:
    d = base.shape[1]
    if metric.bits:
        if 8 * d > MOST_BITS:
            raise ValueError(f"{name}: expected at most {MOST_BITS} bits, got {8 * d} (shape {base.shape})")
    elif base.dtype in ("int8", "uint8") and queries.dtype == base.dtype and d > MOST_DIMS_8BIT:
        raise ValueError(
            f"{name}: expected at most {MOST_DIMS_8BIT} columns where base and queries are {base.dtype}, got {d}; "
            f"cast the queries: {queries.space.cast(query_name, 'float32')}"
        )


def projected(call: Call, rows: View, projection: Any) -> View:
    """rows (m, d) times projection (d', d) transposed, in float32: each number is a chain of its own, whatever the batch."""
    matrix = call.beside("store", view("store", projection, call.stream), "queries")
    if rows.dtype != "float32":
        rows = view(
            "queries", host_rows(None, rows, None) if call.device.on_host else rows.space.astype(rows.owner, "float32")
        )
    kind = metric_named(call, "inner_product")
    result = call.result("projected queries", None, (rows.shape[0], matrix.shape[0]), "float32")
    if not result.empty:
        matrices = matrix_of(call, rows, kind), matrix_of(call, matrix, kind)
        call.run("pairwise", *matrices, kind.name, result.address, 0)
    return result


def matrix_of(call: Call, x: View, metric: Metric) -> Any:
    rows, columns = x.shape
    stride = x.strides[0] if rows > 1 else columns * x.itemsize
    if metric.bits:
        return call.backend.Matrix(x.address, rows, 8 * columns, stride, "bits")
    return call.backend.Matrix(x.address, rows, columns, stride, KERNEL_DTYPES[x.dtype])
