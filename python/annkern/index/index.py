# SPDX-License-Identifier: Apache-2.0
"""class Index: vectors in a store, a graph over them or lists of them where wanted, and how they are searched."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

from ..arrays.views import host_copy, view
from ..files.container import save
from ..graphs import reordering
from ..graphs.build_graph import build_graph
from ..graphs.graph import Graph
from ..graphs.search_graph import search_graph
from ..ivf.build_lists import build_lists
from ..ivf.lists import Lists
from ..ivf.search_lists import default_probes, search_lists
from ..ops.knn import knn
from ..ops.metrics import DEFAULT_METRIC, metric_known
from ..runtime.context import result_count, whole_number
from ..runtime.types import A, Distances, IndexOptions, Indices, MetricName, NumpyArray
from ..stores.store import Store
from .source import CODED, has_codes, kept_as_it_is, refuse_unlike, source_of
from .spec import parsed

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Index:
    """Vectors to search: made by `Index.build`, kept by `save` and `annkern.load`.

    Attributes
    ----------
    spec, metric : str
    store : Store
    graph : Graph or None
    lists : Lists or None
        The rows of the store are then their members, list after list.
    rerank : Store or None
        A finer form of the vectors beside a store of one level.
    window, rerank_k, expand : int, int or None, int or None
        The defaults of `search`: 64, None and None, unless set (to what `tune` returns, say). They are saved.
    probes : int or None
        The same of an index of lists: how many of them a search reads.
    order : ndarray (n,) int64 or None
        Of an index that was built with `reorder`: which of the caller's rows stands at each place of the store and graph.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> x = np.random.default_rng(0).standard_normal((1000, 32), dtype=np.float32)
    >>> index = ak.Index.build(x, "flat,lvq4+f32")
    >>> dist, idx = index.search(x[:3], 5)
    >>> idx[:, 0]
    array([0, 1, 2])
    >>> index
    Index('flat,lvq4+f32', n=1000, d=32, metric='sqeuclidean', 204 bytes a vector)
    """

    def __init__(
        self,
        spec: str,
        metric: MetricName,
        store: Store,
        graph: Graph | None = None,
        rerank: Store | None = None,
        window: int = 64,
        rerank_k: int | None = None,
        order: Any = None,
        expand: int | None = None,
        lists: Lists | None = None,
        probes: int | None = None,
    ) -> None:
        self.spec, self.metric, self.order = spec, metric, order
        self.lists, self.probes = lists, probes
        self.store, self.graph, self.rerank = store, graph, rerank
        self.window, self.rerank_k, self.expand = window, rerank_k, expand

    @classmethod
    def build(
        cls,
        x: Any,
        spec: str,
        metric: MetricName | None = None,
        threads: int | None = None,
        progress: bool = False,
        *,
        learn_queries: Any = None,
        seed: int = 0,
        window: int = 100,
        method: str = "vamana",
        reorder: bool = False,
    ) -> Index:
        """Compress `x`, and build a graph over it or cut it into lists.

        Parameters
        ----------
        x : array (n, d), Store, or iterable of arrays (rows, d)
            As in `compress`. A store of what `spec` names is kept, unless it is cut into lists; others are decoded. Of an
            iterable, such as a generator that reads files, one block is held at a time: stores are fitted to the first
            262,144 rows, and rows must not be sorted by what they hold. Blocks are in host memory.
        spec : str
            "flat,<store>" compares all vectors; "graph<degree>,<store>" builds a graph; "ivf<lists>,<store>" and
            "ivf<lists>,soar,<store>" cut rows (not of an iterable) into lists, "ivf" alone into 4 sqrt(n) (`build_lists`).
            <store> is what `compress` takes, or two of them, "lvq4+f32": the first is searched and the second reranks.
        metric : str, optional
            By default that of a store, and "sqeuclidean" else.
        threads, progress, learn_queries, seed
            As in `compress`.
        window, method
            Of `build_graph`. For queries of another kind than the rows a window of 200 is worth its time.
        reorder : bool
            Keep the rows in an order in which searches visit them, so that neighbours share pages and cache lines. Results
            and filters are in the caller's ids all the same; of rows that are equally near, others may be the last of a
            result. `x` is copied once. Not of blocks.

        Returns
        -------
        Index

        Raises
        ------
        TypeError, ValueError
            Naming the argument, what was expected and what came; of an unknown spec the grammar.

        Notes
        -----
        The graph is built over "lvq8", whatever the store is: a quarter of the bytes of float32, and finer than the
        4-bit codes that may be searched. Metrics that "lvq8" has no kernels for take `x` itself; of blocks, what is
        searched.

        Examples
        --------
        >>> import numpy as np, annkern as ak
        >>> x = np.random.default_rng(0).standard_normal((2000, 32), dtype=np.float32)
        >>> index = ak.Index.build(x, "graph32,lvq4x8")
        >>> dist, idx = index.search(x[:3], 5)
        >>> idx[:, 0]
        array([0, 1, 2])
        """
        wanted = parsed(spec)
        if reorder and wanted.degree is None:
            raise ValueError(f"reorder: expected False without a graph, got True for {spec!r}")
        if metric is None:
            metric = x.metric if isinstance(x, Store) else DEFAULT_METRIC
        metric = metric_known(metric)
        given: dict[str, Any] = {"metric": metric, "learn_queries": learn_queries, "seed": seed, "threads": threads}
        coded = CODED if wanted.degree is not None and has_codes(metric) else None
        specs = [spec for spec in (wanted.store, wanted.rerank, coded) if spec]
        source = source_of(x, specs, reorder, wanted.lists, given, progress)
        graph, lists, order = None, None, None
        if wanted.degree is not None:
            over = source.over(wanted.store, metric)
            graph = build_graph(over, metric, wanted.degree, window, None, seed, threads, progress, method=method)
            if reorder:
                order = reordering.visiting_order(graph)
                graph, source = reordering.in_order(graph, order), source.in_order(order)
        if wanted.lists:
            lists = build_lists(
                source.rows(), wanted.list_count, metric, wanted.soar, seed=seed, threads=threads, progress=progress
            )
        store, rerank = source.store(wanted.store, lists), source.store(wanted.rerank) if wanted.rerank else None
        return cls(spec, metric, store, graph, rerank, order=order, lists=lists)

    @classmethod
    def of(cls, store: Any, graph: Graph | None = None, *, rerank: Any = None, metric: MetricName | None = None) -> Index:
        """An index of parts that are there.

        Parameters
        ----------
        store : Store or array (n, d)
            What is searched. An array is kept as it is.
        graph : Graph, optional
            Over the same rows; without one `search` compares all of them.
        rerank : Store or array (n, d), optional
            The same rows in a finer form, by which candidates are put in order.
        metric : str, optional
            By default the graph's, or without one the store's ("sqeuclidean" for an array).

        Returns
        -------
        Index

        Examples
        --------
        >>> import numpy as np, annkern as ak
        >>> x = np.random.default_rng(0).standard_normal((2000, 32), dtype=np.float32)
        >>> ak.Index.of(ak.compress(x, "lvq8"), ak.build_graph(x, degree=32), rerank=x)
        Index('graph32,lvq8+f32', n=2000, d=32, metric='sqeuclidean', 332 bytes a vector)
        """
        if graph is not None and not isinstance(graph, Graph):
            raise TypeError(
                f"graph: expected a Graph or None, got {type(graph).__name__}; Graph.of takes an array of neighbours"
            )
        kept = kept_as_it_is("store", store)
        finer = None if rerank is None else kept_as_it_is("rerank", rerank)
        refuse_unlike(len(kept), kept, graph, finer)
        head = "flat" if graph is None else f"graph{graph.shape[1]}"
        spec = f"{head},{kept.spec}" + (f"+{finer.spec}" if finer is not None else "")
        return cls(spec, metric_known(metric or (kept if graph is None else graph).metric), kept, graph, finer)

    def __len__(self) -> int:
        return len(self.store if self.lists is None else self.lists)

    def __repr__(self) -> str:
        n, d = len(self), self.store.query_dims
        return f"Index({self.spec!r}, n={n}, d={d}, metric={self.metric!r}, {self.nbytes / max(n, 1):.0f} bytes a vector)"

    @property
    def nbytes(self) -> int:
        parts = (self.store, self.graph, self.lists, self.rerank, self.order)
        return sum(part.nbytes for part in parts if part is not None)

    @overload
    def search(
        self, queries: NumpyArray, k: int, window: int | None = None, filter: Any = None, **options: Unpack[IndexOptions]
    ) -> tuple[Distances, Indices]: ...
    @overload
    def search(
        self, queries: A, k: int, window: int | None = None, filter: Any = None, **options: Unpack[IndexOptions]
    ) -> tuple[A, A]: ...
    @overload
    def search(
        self, queries: Any, k: int, window: int | None = None, filter: Any = None, **options: Unpack[IndexOptions]
    ) -> tuple[Any, Any]: ...
    def search(
        self,
        queries: Any,
        k: int,
        window: int | None = None,
        filter: Any = None,
        threads: int | None = None,
        *,
        rerank_k: int | None = None,
        expand: int | None = None,
        probes: int | None = None,
        stream: Any = None,
        out: Any = None,
        check_finite: bool = True,
    ) -> tuple[Any, Any]:
        """The k vectors nearest to each query, as `search_graph` (of lists `search_lists`, else `knn`) gives them.

        Parameters
        ----------
        queries, k, filter, threads, stream, out, check_finite
            As in `knn`.
        window : int, optional
            Larger finds more of the true neighbours, and takes time in proportion. Ignored without a graph.
        rerank_k : int, optional
            Candidates whose order is made by the finer form of the vectors, where there is one.
        expand : int, optional
            As in `search_graph`: only so many of the window are expanded. Ignored without a graph.
        probes : int, optional
            How many lists are read, as in `search_lists`. Ignored without lists.

        Returns
        -------
        distances, indices : arrays (m, k)
            As from `knn`.

        Examples
        --------
        >>> import numpy as np, annkern as ak
        >>> x = np.random.default_rng(0).standard_normal((500, 16), dtype=np.float32)
        >>> index = ak.Index.build(x, "flat,f32")
        >>> dist, idx = index.search(x[:2], 2, filter=np.arange(500) > 0)
        >>> idx[1, 0]
        np.int64(1)
        """
        depth = self.rerank_k if rerank_k is None else rerank_k
        if depth is not None:
            depth = max(whole_number("rerank_k", depth, 1), result_count(k)) if self.reranks else None
        if self.order is not None and filter is not None:
            filter = reordering.filter_in_order(filter, self.order)
        if self.lists is not None:
            return search_lists(
                *(self.lists, self.store, queries, k),
                probes=self.probes if probes is None else probes,
                metric=self.metric,
                rerank=self.rerank,
                rerank_k=depth,
                filter=filter,
                threads=threads,
                stream=stream,
                out=out,
                check_finite=check_finite,
            )
        # All is named, without a dictionary: a single query takes 10 to 20 us.
        if self.graph is None:
            return knn(
                *(self.store, queries, k, self.metric),
                filter=filter,
                rerank=self.rerank,
                rerank_k=depth,
                threads=threads,
                stream=stream,
                out=out,
                check_finite=check_finite,
            )
        found: tuple[Any, Any] = search_graph(
            *(self.graph, self.store, queries, k),
            window=self.window if window is None else window,
            expand=self.expand if expand is None else expand,
            metric=self.metric,
            rerank=self.rerank,
            rerank_k=depth,
            filter=filter,
            threads=threads,
            stream=stream,
            out=out,
            check_finite=check_finite,
        )
        if self.order is None:
            return found
        return found[0], reordering.in_ids(found[0], found[1], self.order, self.metric == "inner_product")

    @property
    def reranks(self) -> bool:
        """Whether a finer form of the vectors orders the candidates."""
        return self.rerank is not None or self.store.primary is not None

    def info(self) -> dict[str, Any]:
        """What the index is made of, and how large each part is in bytes.

        Returns
        -------
        dict
            spec, metric, n, d, store_bytes, nbytes, bytes_a_vector; with a graph graph_bytes, degree, mean_degree, entries,
            window; with lists lists_bytes, lists, probes; where candidates are reranked rerank_k, and rerank_bytes of a
            store beside the first.
        """
        n = len(self)
        record: dict[str, Any] = {"spec": self.spec, "metric": self.metric, "n": n, "d": self.store.query_dims}
        record |= {"store_bytes": self.store.nbytes, "nbytes": self.nbytes, "bytes_a_vector": self.nbytes / max(n, 1)}
        if self.rerank is not None:
            record["rerank_bytes"] = self.rerank.nbytes
        if self.graph is not None:
            edges = int((host_copy(view("graph", self.graph.neighbors)) >= 0).sum())
            record |= {"graph_bytes": self.graph.nbytes, "degree": self.graph.shape[1], "mean_degree": edges / max(n, 1)}
            record |= {"entries": self.graph.entries.shape[0], "window": self.window}
        if self.lists is not None:
            count = self.lists.shape[0]
            probes = default_probes(count) if self.probes is None else self.probes
            record |= {"lists_bytes": self.lists.nbytes, "lists": count, "probes": probes}
        if self.reranks:
            record["rerank_k"] = self.rerank_k
        return record

    def convert(self, to: Callable[[Any], Any]) -> Index:
        """The same index with every array passed through `to`: ``index.convert(cupy.asarray)`` moves it to the GPU.

        `search` then takes queries that lie there.

        Parameters
        ----------
        to : callable
            Of an array to an array of the same numbers: another library's, or on another device.

        Returns
        -------
        Index
            A new one; `to` may return what it was given.

        Raises
        ------
        ValueError
            Moving one that was built with `reorder` to a device: its ids are put back on the host.
        """
        graph = None if self.graph is None else self.graph.convert(to)
        if graph is not None and self.order is not None and not all(x.device.on_host for _, x in graph.views()):
            raise ValueError("reorder: expected False for an index that moves to a device, got True; build it without")
        rerank = None if self.rerank is None else self.rerank.convert(to)
        store = self.store.convert(to)
        lists = None if self.lists is None else self.lists.convert(to)
        own = (self.window, self.rerank_k, self.order, self.expand)
        return Index(self.spec, self.metric, store, graph, rerank, *own, lists, self.probes)

    def save(self, path: Any) -> None:
        """Write the index as one safetensors file, which `annkern.load` reads.

        Parameters
        ----------
        path : str or path-like
            The file appears complete or not at all; one that is there is replaced.
        """
        save(self, path)
