# SPDX-License-Identifier: Apache-2.0
"""Validates base, queries, metric and filter of an operation, each array once, and holds them in the form of the kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..arrays.host import host_rows
from ..arrays.views import View, view, with_adjacent_rows
from ..runtime.context import KERNEL_DTYPES, Cells, Context, described, matrix_of, refuse_dtype
from .dataset import Dataset
from .metrics import DEFAULT_METRIC, Metric, metric_from_dot, metric_of

NUMBERS = tuple(KERNEL_DTYPES)
FLOATS = ("float32", "float16", "bfloat16")


class Queries:
    """The queries in the forms that bases take them in; each form is made once."""

    def __init__(self, name: str, given: View, context: Context, metric: Metric) -> None:
        self.name, self.given, self.context, self.metric = name, given, context, metric
        self._adjacent: View | None = None
        self._widened: View | None = None
        self._projected: tuple[Any, View] | None = None

    def adjacent(self) -> View:
        """With adjacent rows."""
        if self._adjacent is None:
            self._adjacent = _adjacent(self.context, self.given)
        return self._adjacent

    def widened(self) -> View:
        """As float32, with adjacent rows."""
        if self._widened is None:
            with self.context.scope():
                wide = self.given.library.astype(self.given.owner, "float32")
                self._widened = with_adjacent_rows(view(self.name, wide))
        return self._widened

    def projected(self, projection: Any) -> View:
        """Times the projection of a store."""
        if self._projected is None or self._projected[0] is not projection:
            with self.context.scope():
                self._projected = projection, projected(self.context, self.adjacent(), projection)
        return self._projected[1]


@dataclass(slots=True)
class Rows:
    """A base, and the queries in the form that it takes them in."""

    name: str  # the argument that it came as, for errors
    views: list[View]  # one array, or those of a store
    n: int
    native: Any  # the backend's Matrix or Base
    queries: View
    query_matrix: Any
    finite: bool  # a store's numbers are known to be
    # Where a kernel on the host writes the first row with NaN or infinity that it reads; -1 is none.
    bad_row: Cells | None = None

    @property
    def bad_row_address(self) -> int:
        return 0 if self.bad_row is None else self.bad_row.address()

    def refuse_bad_row(self) -> None:
        if self.bad_row is not None:
            refuse_bad_row(self.name, self.bad_row.read()[0])


@dataclass(slots=True)
class Operands:
    """Checked queries (m, d) and base (n, d), and the same rows in a finer form where an operation reranks by one."""

    context: Context
    metric: Metric
    queries: Queries
    base: Rows
    rerank: Rows | None
    allowed: View | None = None  # the filter, kept alive

    @classmethod
    def of(
        cls,
        base: object,
        queries: object,
        metric: Any = None,
        threads: Any = None,
        stream: Any = None,
        *,
        rerank: object = None,
        base_name: str = "base",
        query_name: str = "queries",
    ) -> Operands:
        """`metric` None: the one that a store was made for, or the default."""
        given = view(query_name, queries)
        context = Context.at(given, threads, stream)
        if metric is None:
            metric = base.metric if isinstance(base, Dataset) else DEFAULT_METRIC
        kind = metric_of(context.backend, metric)
        each = Queries(query_name, given, context, kind)
        coarse = _rows(base_name, base, each)
        return cls(context, kind, each, coarse, None if rerank is None else _finer(rerank, coarse, each))

    def over(self, base: object, base_name: str) -> Operands:
        """The same queries, over another base."""
        return Operands(self.context, self.metric, self.queries, _rows(base_name, base, self.queries), None)

    @property
    def n(self) -> int:
        return self.base.n

    @property
    def m(self) -> int:
        return self.base.queries.shape[0]

    def filter(self, given: Any, rows: int | None = None) -> Any:
        """The backend's Filter out of a boolean array or a packed uint32 bitset, (n,) or (m, n); `rows`: where these are not
        the rows of the base."""
        backend, n = self.context.backend, self.n if rows is None else rows
        if given is None:
            return backend.Filter()
        x = view("filter", given, self.context.stream)
        if x.dtype not in ("bool", "uint32"):
            raise TypeError(f"filter: expected bool or uint32, got {x.dtype}; {_mask_hint(x, n)}")
        packed = x.dtype == "uint32"
        width = (n + 31) // 32 if packed else n
        if x.shape not in ((width,), (self.m, width)):
            unit = "words of 32 bits" if packed else "booleans"
            hint = f"; {_mask_hint(x, n)}" if packed else ""
            raise ValueError(f"filter: expected shape ({width},) or ({self.m}, {width}) in {unit}, got {x.shape}{hint}")
        self.context.require_same_device("filter", x, self.queries.name)
        with self.context.scope():
            x = with_adjacent_rows(x)
        self.allowed = x
        return backend.Filter(x.address, x.strides[0] if len(x.shape) == 2 else 0, packed)

    def inputs(self) -> list[tuple[str, View]]:
        """All arrays by name, for the check of overlap with out=."""
        bases = [rows for rows in (self.base, self.rerank) if rows is not None]
        arrays = [(rows.name, x) for rows in bases for x in rows.views]
        queries = [(self.queries.name, rows.queries) for rows in bases]
        return [*arrays, *queries, *([("filter", self.allowed)] if self.allowed else [])]

    def check_finite(self, enabled: bool, base_too: bool = False, few_rows: bool = False, queries_too: bool = True) -> None:
        """Refuses NaN and infinity in the queries (`queries_too`) and, on devices (but for operations that read `few_rows`)
        or with `base_too`, in the base. Elsewhere kernels check the base rows that they read: see `Rows.refuse_bad_row`."""
        if not enabled:
            return
        context, on_host = self.context, self.context.device.on_host
        bases = [self.base] if self.rerank is None else [self.base, self.rerank]
        base_too = base_too or not (on_host or few_rows)
        # Queries that both bases take in one form, or that are the base, are read once.
        pending: dict[Any, tuple[str, Any]] = {}
        for rows in bases:
            if queries_too and rows.queries.dtype in FLOATS:
                pending.setdefault(rows.queries.place, (self.queries.name, rows.query_matrix))
        for rows in bases:
            rows.bad_row = context.cells() if on_host and not rows.finite else None
            if base_too and not rows.finite and rows.views[0].dtype in FLOATS:
                pending.setdefault(rows.views[0].place, (rows.name, rows.native))
        if not pending:
            return
        cells, executor = context.cells(len(pending)), context.executor()
        for place, (_, matrix) in enumerate(pending.values()):
            context.backend.first_nonfinite(matrix, cells.address(place), executor)
        for (name, _), row in zip(pending.values(), cells.read(), strict=True):
            refuse_bad_row(name, row)


def _mask_hint(x: View, n: int) -> str:
    """What makes a filter of an array that could hold ids, or zeros and ones."""
    given = x.spelled("filter")
    marks = f"; of zeros and ones: {given} != 0" if x.dtype in ("uint8", "int8") else ""
    return f"of ids, make a mask: {x.library.mask(given, n)}{marks}"


def refuse_bad_row(name: str, row: int) -> None:
    if row >= 0:
        raise ValueError(
            f"{name}: expected finite numbers, got NaN or infinity in row {row} (check_finite=False skips this check)"
        )


def _finer(rerank: object, coarse: Rows, queries: Queries) -> Rows:
    """`rerank`, checked as the base was."""
    if queries.metric.bits:
        raise ValueError(
            f"rerank: not for packed bits (metric {queries.metric.name!r}): queries in bits and in numbers are two arrays; "
            "search the bits, then order the rows that they give with distances"
        )
    fine = _rows("rerank", rerank, queries)
    if fine.n != coarse.n:
        raise ValueError(f"rerank: expected {coarse.n} rows, as base has, got {fine.n}")
    return fine


def _rows(name: str, base: object, queries: Queries) -> Rows:
    context, metric, given = queries.context, queries.metric, queries.given
    if isinstance(base, Dataset) and (base.fine.kind != "array" or base.fine.projection is not None):
        return _coded_rows(name, base, queries)
    stored = isinstance(base, Dataset)
    x = base.fine.array_views()[0] if isinstance(base, Dataset) else view(name, base, context.stream)
    x = _vectors(name, x, metric)
    given = _vectors(queries.name, given, metric)
    # A store takes queries of any type.
    widen = stored and not metric.bits and given.dtype not in ("float32", x.dtype)
    dtype = "float32" if widen else given.dtype
    context.require_same_device(name, x, queries.name)
    if given.shape[1] != x.shape[1]:
        raise ValueError(f"{queries.name}: expected {x.shape[1]} columns, as {name} has, got shape {given.shape}")
    if dtype not in (x.dtype, "float32"):
        refuse_dtype(queries.name, given, (x.dtype,) if x.dtype == "float32" else (x.dtype, "float32"))
    _refuse_width(name, x, queries, dtype)
    q = queries.widened() if widen else queries.adjacent()
    x, backend = _adjacent(context, x), context.backend
    level = base.fine if isinstance(base, Dataset) and not metric.bits else None
    native = matrix_of(backend, x, metric.bits) if level is None else level.native(backend)
    matrix = matrix_of(backend, q, metric.bits)
    return Rows(name, [x], x.shape[0], native, q, matrix, finite=False)


def _coded_rows(name: str, store: Dataset, queries: Queries) -> Rows:
    """A level of a store: of two, the one that holds more."""
    context, metric, level = queries.context, queries.metric, store.fine
    if metric.bits:
        numbers = [other for other, traits in context.backend.metrics.items() if not traits["bits"]]
        raise ValueError(f"metric: expected {described(numbers)} for a store {store.spec!r}, got {metric.name!r}")
    if level.projection is not None:
        metric_from_dot(metric.name, f"a store {store.spec!r}")
    given = _vectors(queries.name, queries.given, metric)
    if given.shape[1] != level.query_dims:
        raise ValueError(f"{queries.name}: expected {level.query_dims} columns, as {name} has, got shape {given.shape}")
    arrays = level.array_views()
    for x in arrays:
        context.require_same_device(name, x, queries.name)
    q = queries.adjacent() if level.projection is None else queries.projected(level.projection)
    matrix = matrix_of(context.backend, q)
    return Rows(name, arrays, len(level), level.native(context.backend), q, matrix, finite=True)


def _vectors(name: str, x: View, metric: Metric) -> View:
    if len(x.shape) != 2:
        hint = f"; for a single vector write {x.spelled(name)}[None]" if len(x.shape) == 1 else ""
        raise ValueError(f"{name}: expected 2 dimensions (rows, columns), got shape {x.shape}{hint}")
    if metric.bits and x.dtype != "uint8":
        raise TypeError(
            f"{name}: metric {metric.name!r} takes packed bits, uint8 as of np.packbits(..., axis=1, bitorder='little'); "
            f"got {x.dtype}"
        )
    refuse_dtype(name, x, NUMBERS)
    return x


def _adjacent(context: Context, x: View) -> View:
    if x.rows_adjacent:
        return x
    with context.scope():
        return with_adjacent_rows(x)


def _refuse_width(name: str, base: View, queries: Queries, dtype: str) -> None:
    d, backend = base.shape[1], queries.context.backend
    if queries.metric.bits:
        if 8 * d > backend.most_bits:
            raise ValueError(f"{name}: expected at most {backend.most_bits} bits, got {8 * d} (shape {base.shape})")
    elif base.dtype in ("int8", "uint8") and dtype == base.dtype and d > backend.most_dims_8bit:
        raise ValueError(
            f"{name}: expected at most {backend.most_dims_8bit} columns where base and queries are {base.dtype}, got {d}; "
            f"cast the queries: {queries.given.library.cast(queries.name, 'float32')}"
        )


def projected(context: Context, rows: View, projection: Any) -> View:
    """rows (m, d) times projection (d', d) transposed, in float32: each number is one chain, whatever the batch."""
    matrix = context.require_same_device("store", view("store", projection, context.stream), "queries")
    if rows.dtype != "float32":
        host = context.device.on_host
        rows = view("queries", host_rows(None, rows, None) if host else rows.library.astype(rows.owner, "float32"))
    result = context.result("projected queries", None, (rows.shape[0], matrix.shape[0]), "float32")
    if not result.empty:
        matrices = matrix_of(context.backend, rows), matrix_of(context.backend, matrix)
        context.run("pairwise", *matrices, "inner_product", result.address, 0)
    return result
