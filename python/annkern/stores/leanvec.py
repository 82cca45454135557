# SPDX-License-Identifier: Apache-2.0
"""LeanVec: search in fewer dimensions, rerank in all of them. Definition: reference/leanvec.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays.host import host_rows
from ..arrays.views import View, view
from ..ops.metrics import metric_from_dot
from ..ops.operands import projected
from ..ops.sampling import training_sample
from ..runtime.context import Context, real_number, thread_count, whole_number
from ..runtime.types import MetricName
from . import projections as find
from .codec import Codec
from .registry import codec, register_kind, register_spec
from .store import Kind, Store

SAMPLE_ROWS = 1 << 17
BLOCK_BYTES = 8 << 20  # of float32 rows, projected at once
DIM_STEP = 64  # dimensions are chosen in steps of a block of 8-bit LVQ codes
L2 = ("sqeuclidean", "euclidean")
METHODS = ("auto", "pca", "eigenvectors", "frank_wolfe", "closed_form")
Rows = np.ndarray[Any, np.dtype[np.float32]]


class LeanVec(Codec):
    """Two levels: a primary of `dim` dimensions, which is searched, and a secondary of all, by which candidates are ordered.

    Rows x become B x in the primary, queries q are multiplied by A, and <q, x> ~ <A q, B x>. A and B are learnt from the
    rows, and from examples of queries where those come from elsewhere than the rows (questions, another modality).

    Parameters
    ----------
    dim : int, optional
        Of the primary; by default the fewest, in steps of 64, that lose no more than `loss`.
    primary, secondary : str
        Specs of the two levels: any store but another leanvec.
    loss : float
        Wanted of the primary, where `dim` is not given: the mean squared error of inner products over their mean square.
    learn_queries : array (m, d), optional
        Examples of queries; a few times d are better than d, and the more the better. Without them queries are taken to be
        like rows.
    method : str
        How projections are found. Without learn_queries, "pca". With them: "closed_form", which no pair of projections
        surpasses; "eigenvectors" (one orthonormal projection for both sides); "frank_wolfe" (block descent from there,
        within the projections of spectral norm 1). "auto" takes "closed_form" for inner_product and cosine, and
        "eigenvectors" for sqeuclidean and euclidean, whose distances only one orthonormal projection of both sides keeps.
    seed : int
        Of the sample that is learnt from, and of the rotation that follows the projection.
    threads : int, optional
        CPU threads for training.
    metric : str
        "sqeuclidean", "euclidean", "inner_product" or "cosine": what the projections are learnt for.

    Attributes
    ----------
    query_projection_, data_projection_ : ndarray (dim, d) float32
        A and B.
    loss_ : float
        The relative loss, of the learn_queries where there are any.
    dim_ : int
    primary_, secondary_ : the levels' estimators, fitted

    Notes
    -----
    At most 131,072 rows are read. Under L2 second moments are taken about the rows' mean, and those of the queries have the
    rows' added to them, since ``|q - x|^2`` varies over x by ``|x|^2 - 2 <q, x>``; under cosine rows and queries are first
    brought to unit length. Few queries say little: the second moment of m of them is mixed with that of the rows, at a
    share of d / (m + d). The levels serve all four metrics, whichever they were learnt for. Tepper et al., "LeanVec:
    Searching vectors faster by making them fit", arXiv 2312.16335.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.random.default_rng(0).standard_normal((1000, 64), dtype=np.float32)
    >>> queries = x[:500, ::-1].copy()  # of another kind than the rows
    >>> lean = ak.LeanVec(32, "lvq8", "lvq8", learn_queries=queries, metric="inner_product").fit(x)
    >>> store = lean.encode(x)
    >>> store.primary.shape, store.secondary.shape
    ((1000, 32), (1000, 64))
    """

    kind = "leanvec"

    def __init__(
        self,
        dim: int | None = None,
        primary: str = "lvq4",
        secondary: str = "lvq8",
        *,
        loss: float = 0.01,
        learn_queries: Any = None,
        method: str = "auto",
        seed: int = 0,
        threads: int | None = None,
        metric: MetricName = "sqeuclidean",
    ) -> None:
        self.dim = None if dim is None else whole_number("dim", dim, 1)
        for name, spec in (("primary", primary), ("secondary", secondary)):
            _level(name, spec, metric)
        if not 0.0 <= real_number("loss", loss) <= 1.0:
            raise ValueError(f"loss: expected a share between 0 and 1, got {loss!r}")
        if method not in METHODS:
            raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
        self.primary, self.secondary = primary, secondary
        self.loss = loss
        self.learn_queries = learn_queries
        self.method = method
        self.seed = seed
        self.threads = threads
        self.metric = metric

    @property
    def spec(self) -> str:  # type: ignore[override]
        dim = getattr(self, "dim_", self.dim)
        return f"leanvec{'' if dim is None else dim}:{self.primary},{self.secondary}"

    def fit(self, x: Any) -> LeanVec:
        """Learn the projections, then both levels.

        Parameters
        ----------
        x : array (n, d)
            Floats or 8-bit integers, of any array library, on the host or on a device; may be memory-mapped.

        Returns
        -------
        LeanVec
            Itself.
        """
        metric = metric_from_dot(self.metric, f"a store {self.spec!r}")
        thread_count(self.threads)
        rows = training_sample(x, SAMPLE_ROWS, whole_number("seed", self.seed, 0))
        d = rows.shape[1]
        if d == 0:
            raise ValueError(f"x: expected 1 or more columns for a store {self.spec!r}, got shape {rows.shape}")
        if self.dim is not None and self.dim > d:
            raise ValueError(f"dim: expected at most {d}, the columns of x, got {self.dim}")
        queries = None if self.learn_queries is None else self._queries(d)
        self._find(rows, queries, metric)
        self.dims_ = d
        self.secondary_ = self._fitted_level("secondary", x, queries)
        turned = _project(queries, self.query_projection_) if queries is not None else None
        self.primary_ = self._fitted_level("primary", _project(rows, self.data_projection_), turned)
        return self

    def _queries(self, d: int) -> Rows:
        queries = training_sample(self.learn_queries, SAMPLE_ROWS, self.seed, "learn_queries")
        if queries.shape[1] != d or not len(queries):
            raise ValueError(f"learn_queries: expected rows of {d} columns, as x has, got shape {queries.shape}")
        return queries

    def _find(self, rows: Rows, queries: Rows | None, metric: MetricName) -> None:
        centre = rows.mean(axis=0, dtype=np.float64) if metric in L2 and len(rows) else None
        moment = find.second_moment(rows, centre, metric == "cosine")
        kx = kq = seen = find.normalised(moment)
        method = "pca"
        if queries is not None:
            method = ("eigenvectors" if metric in L2 else "closed_form") if self.method == "auto" else self.method
            from_queries = find.second_moment(queries, centre, metric == "cosine")
            seen = find.normalised(moment + 4.0 * from_queries if metric in L2 else from_queries)
            share = len(kx) / (len(kx) + len(queries))
            kq = (1.0 - share) * seen + share * kx
        self.dim_ = self.dim if self.dim is not None else self._smallest_dim(method, kq, kx)
        a = b = find.basis(kx)[: self.dim_] if method == "pca" else find.eigenvector_search(kq, kx, self.dim_)
        if method == "closed_form":
            a, b = find.closed_form(kq, kx, self.dim_)
        elif method == "frank_wolfe":
            a, b = find.frank_wolfe(a, b, kq, kx)
        a, b = find.turned(a, b, kx, self.seed)
        self.query_projection_, self.data_projection_ = find.rounded(a), find.rounded(b)
        self.loss_ = find.loss(self.query_projection_.astype(float), self.data_projection_.astype(float), seen, kx)

    def _smallest_dim(self, method: str, kq: find.Matrix, kx: find.Matrix) -> int:
        d = len(kx)
        curve = find.loss_curve(method, kq, kx)
        return next((dim for dim in range(DIM_STEP, d, DIM_STEP) if curve[dim] <= self.loss), d)

    def _fitted_level(self, name: str, x: Any, learn_queries: Any) -> Codec:
        level = _level(name, getattr(self, name), self.metric)
        for attribute, value in (("learn_queries", learn_queries), ("seed", self.seed), ("threads", self.threads)):
            if hasattr(level, attribute):
                setattr(level, attribute, value)
        return level.fit(x)

    def _levels(self) -> tuple[tuple[str, Codec], tuple[str, Codec]]:
        return ("primary", self.primary_), ("secondary", self.secondary_)

    def _allocate(self, n: int, empty: Callable[[tuple[int, ...], str], Any]) -> dict[str, Any]:
        return {f"{name}.{key}": x for name, level in self._levels() for key, x in level._allocate(n, empty).items()}

    def _fitted(self) -> dict[str, np.ndarray[Any, Any]]:
        fitted = {f"{name}.{key}": x for name, level in self._levels() for key, x in level._fitted().items()}
        return {**fitted, "projection": self.query_projection_}

    def _store(self, n: int, arrays: dict[str, Any]) -> Store:
        first, second = (level._store(n, _of_level(name, arrays)) for name, level in self._levels())
        for level in (first, first.primary, first.secondary):
            if level is not None:
                level.projection = arrays["projection"]
        return Store(self.kind, self.spec, (n, self.dims_), {}, {}, self.metric, (first, second))

    def _encode_rows(self, context: Context, x: View, first: int, count: int, store: Store, to: int) -> None:
        assert store.primary is not None and store.secondary is not None
        self.secondary_._encode_rows(context, x, first, count, store.secondary, to)
        b = context.library.from_numpy(self.data_projection_, context.device)
        step = max(1, BLOCK_BYTES // (4 * self.dims_))
        for at in range(0, count, step):
            here = min(step, count - at)
            block = projected(context, _widened(x, first + at, here), b)
            self.primary_._encode_rows(context, block, 0, here, store.primary, to + at)

    def limits(self) -> str:
        return f"{self.primary_.limits()}, {self.secondary_.limits()}"

    @staticmethod
    def layout(store: Store) -> dict[str, tuple[tuple[int, ...], str]]:
        if store.primary is None or store.primary.projection is None or store.numbers:
            raise ValueError(f"expected two levels, the first with a projection, and no numbers in a store {store.spec!r}")
        return {}


def _level(name: str, spec: Any, metric: MetricName) -> Codec:
    try:
        level = codec(spec, metric)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} of leanvec<d>:<primary>,<secondary>: {error}") from None
    if isinstance(level, LeanVec):
        raise ValueError(f"{name}: expected the spec of a store other than leanvec, got {spec!r}")
    return level


def _of_level(name: str, arrays: dict[str, Any]) -> dict[str, Any]:
    return {key.removeprefix(f"{name}."): x for key, x in arrays.items() if key.startswith(f"{name}.")}


def _project(rows: Rows, projection: Rows) -> Rows:
    """As encode and queries are projected, for the levels' fit."""
    lead = view("x", rows)
    result: Rows = projected(Context.at(lead, None, None), lead, projection).owner
    return result


def _widened(x: View, first: int, count: int) -> View:
    """Rows [first, first + count) as float32: a view where they are, else a copy of these alone."""
    if x.device.on_host:
        return view("x", host_rows(None, x, slice(first, first + count)))
    part = x.owner[first : first + count]
    return view("x", part if x.dtype == "float32" else x.library.astype(part, "float32"))


register_kind("leanvec", Kind((), LeanVec.layout))
register_spec(
    r"leanvec(\d*):([^,]+),([^,]+)",
    "leanvec<d>:<primary>,<secondary>",
    ("leanvec16:lvq4,lvq8",),
    lambda m: LeanVec(int(m[1]) if m[1] else None, m[2], m[3]),
)
