# SPDX-License-Identifier: Apache-2.0
"""class Graph: what `build_graph` returns and `search_graph` searches; graphs of other libraries become one by Graph.of."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from ..arrays.host import frozen, read_only
from ..arrays.libraries import aligned
from ..arrays.views import View, as_numpy, asarray, host_copy, view
from ..files.atomic import replacing
from ..files.container import Form, Parts, register, save
from ..ops.metrics import metric_known
from ..runtime.types import MetricName
from . import exporters, importers
from .reachability import Reach, reached

Array = np.ndarray[Any, np.dtype[np.int32]]
MOST_ENTRIES = 1024


class Graph:
    """A directed graph over n rows.

    Attributes
    ----------
    neighbors : array (n, degree) int32
        The rows that row i leads to; -1 at the end of a list that is shorter. NumPy's and read-only, until `convert` moves
        it.
    entries : array (e,) int32
        Where searches begin. Read-only, too.
    deleted : ndarray (n,) bool or None
        Rows that searches go through and do not return. Read-only, too, and always in host memory.
    metric : str
        Under which it was built, and which `search_graph` takes by default. It can be set.

    Notes
    -----
    `build_graph` makes one, and `Graph.of` takes what others made and makes sure that all rows are reached. Kernels trust
    the arrays: those in host memory are checked (ValueError for rows out of [0, n)), and copied where they can be written
    to.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.random.default_rng(0).standard_normal((500, 16), dtype=np.float32)
    >>> graph = ak.build_graph(x, degree=16)
    >>> graph.neighbors.shape, graph.neighbors.dtype, graph.metric
    ((500, 16), dtype('int32'), 'sqeuclidean')
    """

    def __init__(self, neighbors: Any, entries: Any, metric: MetricName = "sqeuclidean", deleted: Any = None) -> None:
        self._neighbors, self._entries = read_only("graph.neighbors", neighbors), read_only("graph.entries", entries)
        self.metric = metric
        _refuse_unfit(self.views())
        self._deleted: Any = None
        self._live: Any = None
        if deleted is not None:
            self._deleted = _deleted_rows(deleted, len(self))
            self._live = self._where_it_lies(~self._deleted)

    @property
    def neighbors(self) -> Any:
        return self._neighbors

    @neighbors.setter
    def neighbors(self, given: Any) -> None:
        self.__dict__.update(Graph(given, self.entries, self.metric, self.deleted).__dict__)

    @property
    def entries(self) -> Any:
        return self._entries

    @entries.setter
    def entries(self, given: Any) -> None:
        self.__dict__.update(Graph(self.neighbors, given, self.metric, self.deleted).__dict__)

    @property
    def deleted(self) -> Any:
        return self._deleted

    @property
    def metric(self) -> MetricName:
        return self._metric

    @metric.setter
    def metric(self, name: MetricName) -> None:
        self._metric = metric_known(name)
        self.plan: Any = None  # the graph for direct calls, once it has been searched

    @property
    def live(self) -> Any:
        """The filter of a search that returns no deleted row, where the graph lies; None where there are none."""
        return self._live

    def _where_it_lies(self, array: Any) -> Any:
        x = self.views()[0][1]
        return frozen(array) if x.device.on_host else x.library.from_numpy(array, x.device)

    def __getstate__(self) -> dict[str, Any]:
        arrays = {name: getattr(self, name) for name in ("neighbors", "entries", "deleted")}
        return arrays | {"metric": self.metric}

    def __setstate__(self, state: dict[str, Any]) -> None:
        neighbors, entries, deleted = (frozen(state.get(name)) for name in ("neighbors", "entries", "deleted"))
        Graph.__init__(self, neighbors, entries, state["metric"], deleted)

    @classmethod
    def of(cls, neighbors: Any, entries: Any = None, metric: MetricName | None = None) -> Graph:
        """A graph that another library built, or that an array holds.

        Parameters
        ----------
        neighbors : array (n, degree) of integers, hnswlib.Index, or faiss IndexHNSW or IndexNSG
            Rows; -1 (of an unsigned type: its largest number) stands for none. Of hnswlib and faiss, layer 0 is taken;
            labels of hnswlib must be the rows of the vectors. What is marked as deleted there is never returned here.
        entries : array (e,) of integers, optional
            Where searches begin: by default where the library's do, and else the row that most lead to. What cannot be
            reached from there gives more of them; what 1024 do not reach is given an edge from one of its neighbours
            that is reached, with a warning.
        metric : str, optional
            What `search_graph` takes by default: the space of hnswlib or the metric of faiss, "sqeuclidean" for an array.

        Returns
        -------
        Graph
            All of whose rows are reached from its entries.

        Examples
        --------
        >>> import numpy as np, annkern as ak
        >>> ak.Graph.of(np.array([[1, 2], [0, -1], [0, 1]]), [0])
        Graph(n=3, degree=2, metric='sqeuclidean', 9 bytes a row)
        """
        found = importers.read(neighbors, metric)
        ids = found.neighbors
        n, degree = ids.shape
        if n >= 2**31:
            raise ValueError(f"neighbors: expected fewer than 2^31 rows, got {n}")
        none = np.iinfo(ids.dtype).max if ids.dtype.kind == "u" else -1
        wrong = ((ids < 0) | (ids >= n)) & (ids != none)
        if wrong.any():
            row, place = (int(at[0]) for at in np.nonzero(wrong))
            raise ValueError(f"neighbors: expected rows in [0, {n}) or {none} for none, got {ids[row, place]} in row {row}")
        edges = aligned((n, degree), "int32")
        edges[:] = ids
        edges[ids == none] = -1  # of unsigned types that are narrower than int32, too
        edges[edges == np.arange(n)[:, None]] = -1  # an edge of a row to itself leads a search nowhere
        edges[:] = np.take_along_axis(edges, np.argsort(edges < 0, axis=1, kind="stable"), axis=1)
        begin = found.entries if entries is None else asarray("entries", entries)
        if begin is not None and (begin.ndim != 1 or begin.dtype.kind not in "iu" or ((begin < 0) | (begin >= n)).any()):
            raise ValueError(f"entries: expected rows in [0, {n}), got {begin!r}")
        if begin is None or len(begin) == 0:
            popular = np.bincount(edges[edges >= 0], minlength=n)
            begin = np.array([int(popular.argmax())] if n else [], np.int32)
        reaching = _entries_that_reach(edges, begin.astype(np.int32))
        return cls(frozen(edges), frozen(reaching), found.metric, found.deleted)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        n, degree = self.shape
        return f"Graph(n={n}, degree={degree}, metric={self.metric!r}, {self.nbytes / max(n, 1):.0f} bytes a row)"

    @property
    def shape(self) -> tuple[int, int]:
        n, degree = self.neighbors.shape
        return n, degree

    @property
    def nbytes(self) -> int:
        n, degree = self.shape
        return int(n * degree + self.entries.shape[0]) * np.dtype(np.int32).itemsize

    def convert(self, to: Callable[[Any], Any]) -> Graph:
        """The same graph with its arrays passed through `to`: ``graph.convert(cupy.asarray)`` moves it to the GPU.

        Parameters
        ----------
        to : callable
            Of an array to an array of the same numbers: another library's, or on another device.

        Returns
        -------
        Graph
            A new one; `to` may return what it was given.
        """
        return Graph(to(self.neighbors), to(self.entries), self.metric, self.deleted)

    def save(self, path: Any) -> None:
        """Write the graph as a safetensors file, which `annkern.load` reads.

        Parameters
        ----------
        path : str or path-like
            The file appears complete or not at all; one that is there is replaced.
        """
        save(self, path)

    def to_faiss(self, vectors: Any, kind: str = "hnsw") -> Any:
        """An index of faiss over the same vectors, that searches this graph.

        Parameters
        ----------
        vectors : array (n, d) or Store
            The rows. A store is decoded. faiss keeps a copy as float32.
        kind : str
            "hnsw": an IndexHNSWFlat, all rows in layer 0. "nsg": an IndexNSGFlat.

        Returns
        -------
        faiss.IndexHNSWFlat or faiss.IndexNSGFlat
            Ready to search, by `index.hnsw.efSearch` or `index.nsg.search_L`. It begins at the first entry alone: rows that
            only others lead to are given an edge. "cosine" becomes an inner product of vectors of length 1, and queries must
            be given so; "euclidean" comes back squared.
        """
        if kind not in ("hnsw", "nsg"):
            raise ValueError(f"kind: expected hnsw or nsg, got {kind!r}")
        if self.deleted is not None:
            raise ValueError("graph: expected one without deleted rows, which faiss cannot leave out")
        return (exporters.faiss_hnsw if kind == "hnsw" else exporters.faiss_nsg)(*self._on_host(), self.metric, vectors)

    def save_hnswlib(self, path: Any, vectors: Any) -> None:
        """Write a file that `hnswlib.Index(space, d).load_index(path)` reads and searches.

        `space` is "l2", "ip" or "cosine", as the graph's metric. All rows stand in layer 0, under labels 0 to n - 1. The
        search begins at the first entry alone: rows that only others lead to are given an edge.

        Parameters
        ----------
        path : str or path-like
            Replaced where it is there.
        vectors : array (n, d) or Store
            The rows, as in `to_faiss`.
        """
        head, records = exporters.hnswlib_records(*self._on_host(), self.deleted, self.metric, vectors)
        with replacing(path) as out:
            out.write(head)
            out.write(records.view(np.uint8).data)
            out.write(bytes(4 * len(records)))  # no links above layer 0

    def to_cagra(self) -> Any:
        """The graph as CAGRA holds its graphs: every list full.

        Returns
        -------
        ndarray (n, degree) of uint32

        Notes
        -----
        A shorter list is filled with the neighbours of its first four neighbours, in their order, and where these are too
        few it is repeated; a row that leads nowhere leads to itself. CAGRA begins at rows by chance, not at the entries.
        """
        return exporters.full_lists(self._on_host()[0])

    def _on_host(self) -> tuple[Array, Array]:
        """Neighbours and entries in host memory: copies of those on a device."""
        neighbors, entries = (host_copy(x) for _, x in self.views())
        return neighbors, entries

    def native(self, backend: ModuleType) -> Any:
        """The graph as the kernels see it."""
        (n, degree), (neighbors, entries) = self.shape, (x for _, x in self.views())
        return backend.Graph(neighbors.address, n, degree, degree, entries.address, entries.shape[0])

    def views(self) -> list[tuple[str, View]]:
        """Its arrays by name, contiguous."""
        named = [(f"graph.{name}", view(f"graph.{name}", getattr(self, name))) for name in ("neighbors", "entries")]
        for name, x in named:
            if x.dtype != "int32" or not x.row_major:
                raise ValueError(f"{name}: expected a row-major array of int32, got strides {x.strides} of {x.dtype}")
        return named


def _entries_that_reach(neighbors: Array, entries: Array) -> Array:
    """More entries for what is out of reach; beyond MOST_ENTRIES, edges are written into `neighbors` instead."""
    seen = reached(neighbors, entries)
    more = list(entries)
    while not seen.all() and len(more) < MOST_ENTRIES:
        more.append(np.int32(np.argmin(seen)))
        reached(neighbors, np.array(more[-1:], np.int32), seen)
    begin = np.array(list(dict.fromkeys(more)), np.int32)
    if not seen.all():
        if neighbors.shape[1] == 0:
            raise ValueError(f"neighbors: expected lists of 1 or more, got none, of {len(neighbors)} rows")
        given = Reach(neighbors, begin).connect()
        warnings.warn(
            f"neighbors: {MOST_ENTRIES} entries reach {int(seen.sum())} of {len(seen)} rows; {given} edges were added, or "
            "put in the place of others, to reach all",
            stacklevel=3,
        )
    return begin


def _refuse_unfit(named: list[tuple[str, View]]) -> None:
    """Kernels trust what a graph holds: in host memory it is checked."""
    neighbors, entries = (x for _, x in named)
    if len(neighbors.shape) != 2 or len(entries.shape) != 1:
        raise ValueError(f"neighbors, entries: expected (n, degree) and (e,), got {neighbors.shape} and {entries.shape}")
    n = neighbors.shape[0]
    if (n > 0) != (entries.shape[0] > 0):
        raise ValueError(f"entries: expected {'one or more' if n else 'none'} for {n} rows, got {entries.shape[0]}")
    for (name, x), least in zip(named, (-1, 0), strict=True):
        if x.device.on_host and not x.empty:
            ids = as_numpy(x)
            low, high = int(ids.min()), int(ids.max())
            if low < least or high >= n:
                raise ValueError(f"{name}: expected rows in [{least}, {n}), got {low} to {high}")


def _deleted_rows(given: Any, n: int) -> Any:
    deleted = read_only("graph.deleted", given if isinstance(given, np.ndarray) else host_copy(view("graph.deleted", given)))
    if deleted.shape != (n,) or deleted.dtype != bool:
        raise ValueError(f"graph.deleted: expected ({n},) bool, got {deleted.shape} {deleted.dtype}")
    return deleted


def _parts(graph: Graph) -> Parts:
    arrays = {"neighbors": graph.neighbors, "entries": graph.entries}
    if graph.deleted is not None:
        arrays["deleted"] = graph.deleted
    return Parts({"metric": graph.metric}, arrays, {})


def _of_parts(parts: Parts) -> Graph:
    arrays = (frozen(parts.arrays.get(name)) for name in ("neighbors", "entries", "deleted"))
    neighbors, entries, deleted = arrays
    return Graph(neighbors, entries, deleted=deleted, **parts.parameters)


register("graph", Form(Graph, _parts, _of_parts))
