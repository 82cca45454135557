# SPDX-License-Identifier: Apache-2.0
"""class Lists: what `build_lists` returns and `search_lists` searches."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from ..arrays.host import frozen, read_only
from ..arrays.views import ITEMSIZES, View, as_numpy, host_copy, view
from ..files.container import Form, Parts, register, save
from ..ops.metrics import metric_known, metric_of
from ..runtime.backend import load
from ..runtime.types import MetricName
from ..stores.compress import compress
from ..stores.store import Store

Array = np.ndarray[Any, np.dtype[Any]]
# What centroids are ordered by; for other metrics, by the metric. Under cosine they have unit length.
ORDER: dict[str, MetricName] = {"cosine": "inner_product", "euclidean": "sqeuclidean"}


class Lists:
    """n rows in lists, each by the nearest of some centroids, and perhaps in a second list, too.

    Attributes
    ----------
    centroids : array (lists, d) float32
        NumPy's and read-only, as all arrays here, until `convert` moves them.
    offsets : array (lists + 1,) int64
        The members of list l are ids[offsets[l] : offsets[l + 1]].
    ids : array (members,) int32
        Rows, ascending in each list; each of 0 .. n - 1 in one list or two.
    metric : str
        Which `search_lists` takes by default.

    Notes
    -----
    `build_lists` makes one; other clusterings can be put into the same form. Kernels trust the arrays: those in host memory
    are checked (ValueError), and copied where they can be written to.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> lists = ak.build_lists(np.array([[0], [9], [1], [8]], np.float32), 2, soar=False)
    >>> lists.offsets, lists.ids
    (array([0, 2, 4]), array([0, 2, 1, 3], dtype=int32))
    """

    def __init__(self, centroids: Any, offsets: Any, ids: Any, metric: MetricName = "sqeuclidean") -> None:
        self._centroids = read_only("lists.centroids", centroids)
        self._offsets = read_only("lists.offsets", offsets)
        self._ids = read_only("lists.ids", ids)
        self._metric = metric_known(metric)
        if metric_of(load("cpu"), self._metric).bits:
            raise ValueError(f"metric: expected one of numbers, got {metric!r}, which takes bits")
        for name, x in self.views():
            _refuse_layout(name, x)
        bounds, rows = (host_copy(x) for _, x in self.views()[1:])
        self._host_offsets: Array = bounds
        self._n, self.copies = _refuse_unfit(host_copy(self.views()[0][1]), bounds, rows)
        self.members = len(rows)
        # [i]: what the i smallest lists hold.
        self.least_held: Array = np.concatenate([[0], np.cumsum(np.sort(np.diff(bounds)))])
        self._coarse: Store | None = None
        self._places: Any = None
        self._fingerprint = ""

    @property
    def centroids(self) -> Any:
        return self._centroids

    @property
    def offsets(self) -> Any:
        return self._offsets

    @property
    def ids(self) -> Any:
        return self._ids

    @property
    def metric(self) -> MetricName:
        return self._metric

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("centroids", "offsets", "ids", "metric")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        centroids, offsets, ids = (frozen(state[name]) for name in ("centroids", "offsets", "ids"))
        Lists.__init__(self, centroids, offsets, ids, state["metric"])

    def __len__(self) -> int:
        return self._n

    def __repr__(self) -> str:
        count, d = self.shape
        twice = f", {self.members / max(1, len(self)):.2f} a row" if self.copies > 1 else ""
        return f"Lists(n={len(self)}, lists={count}, d={d}, metric={self.metric!r}{twice})"

    @property
    def shape(self) -> tuple[int, int]:
        """Lists, and dimensions of their centroids."""
        count, d = view("lists.centroids", self.centroids).shape
        return count, d

    @property
    def nbytes(self) -> int:
        return sum(int(np.prod(x.shape)) * ITEMSIZES.get(x.dtype, np.dtype(x.dtype).itemsize) for _, x in self.views())

    @property
    def sizes(self) -> Array:
        """(lists,) int64: how many members each has, in host memory."""
        return np.diff(self._host_offsets)

    @property
    def order_metric(self) -> MetricName:
        """The metric by which a query's lists are ordered."""
        return ORDER.get(self.metric, self.metric)

    @property
    def coarse(self) -> Store:
        """The centroids as searches read them: 8 bits a dimension, under the metrics that have kernels for these."""
        if self._coarse is None:
            coded = metric_of(load("cpu"), self.order_metric).from_dot and 0 not in self.shape
            self._coarse = compress(self.centroids, "lvq8" if coded else "f32", self.order_metric)
        return self._coarse

    @property
    def fingerprint(self) -> str:
        """Of offsets and ids: that by which a store in their order is known."""
        if not self._fingerprint:
            self._fingerprint = f"{zlib.crc32(self.host_ids().tobytes(), zlib.crc32(self._host_offsets.tobytes())):08x}"
        return self._fingerprint

    def host_ids(self) -> Array:
        """`ids`, in host memory."""
        x = self.views()[2][1]
        return as_numpy(x) if x.device.on_host else host_copy(x)

    def places(self) -> Any:
        """(n,) int32: where each row first stands in `ids`, where the lists lie."""
        if self._places is None:
            own = np.empty(len(self), np.int32)
            ids = self.host_ids()
            own[ids[::-1]] = np.arange(len(ids) - 1, -1, -1, dtype=np.int32)
            x = self.views()[2][1]
            self._places = frozen(own) if x.device.on_host else x.library.from_numpy(own, x.device)
        return self._places

    def convert(self, to: Callable[[Any], Any]) -> Lists:
        """The same lists with their arrays passed through `to`: ``lists.convert(cupy.asarray)`` moves them to the GPU.

        Parameters
        ----------
        to : callable
            Of an array to an array of the same numbers: another library's, or on another device.

        Returns
        -------
        Lists
            New ones; `to` may return what it was given.
        """
        return Lists(to(self.centroids), to(self.offsets), to(self.ids), self.metric)

    def save(self, path: Any) -> None:
        """Write the lists as a safetensors file, which `annkern.load` reads.

        Parameters
        ----------
        path : str or path-like
            The file appears complete or not at all; one that is there is replaced.
        """
        save(self, path)

    def native(self, backend: ModuleType, with_places: bool) -> Any:
        """The lists as the kernels see them."""
        offsets, ids = (x.address for _, x in self.views()[1:])
        places = view("lists.places", self.places()).address if with_places else 0
        return backend.Lists(offsets, ids, places, self.shape[0], len(self), self.copies)

    def views(self) -> list[tuple[str, View]]:
        """Its arrays by name."""
        return [(f"lists.{name}", view(f"lists.{name}", getattr(self, name))) for name in ("centroids", "offsets", "ids")]


def _refuse_layout(name: str, x: View) -> None:
    dims, dtype = {"lists.centroids": (2, "float32"), "lists.offsets": (1, "int64"), "lists.ids": (1, "int32")}[name]
    if len(x.shape) != dims or x.dtype != dtype or not x.row_major:
        raise ValueError(
            f"{name}: expected a row-major array of {dims} dimensions in {dtype}, got shape {x.shape}, strides {x.strides} "
            f"of {x.dtype}"
        )


def _refuse_unfit(centroids: Array, offsets: Array, ids: Array) -> tuple[int, int]:
    """How many rows there are, and in how many lists a row is at most."""
    if len(offsets) != len(centroids) + 1:
        raise ValueError(f"lists.offsets: expected {len(centroids) + 1}, one more than centroids, got {len(offsets)}")
    if not np.isfinite(centroids).all():
        row = int(np.argmin(np.isfinite(centroids).all(axis=1)))
        raise ValueError(f"lists.centroids: expected finite numbers, got NaN or infinity in row {row}")
    if offsets[0] != 0 or offsets[-1] != len(ids) or (np.diff(offsets) < 0).any():
        raise ValueError(f"lists.offsets: expected to ascend from 0 to the {len(ids)} ids, got {offsets}")
    if len(ids) == 0:
        return 0, 1
    if ids.min() < 0:
        raise ValueError(f"lists.ids: expected rows from 0 on, got {ids.min()}")
    within = np.ones(len(ids), bool)
    within[offsets[:-1][offsets[:-1] < len(ids)]] = False  # the first of each list
    wrong = within[1:] & (np.diff(ids) <= 0)
    if wrong.any():
        place = int(np.argmax(wrong))
        raise ValueError(f"lists.ids: expected to ascend in each list, got {ids[place]} before {ids[place + 1]}")
    if ids.max() >= len(ids):  # then some row is in no list
        raise ValueError(f"lists.ids: expected each row in a list, got row {ids.max()} among {len(ids)} members")
    times = np.bincount(ids)
    if times.min() == 0:
        raise ValueError(f"lists.ids: expected each row in a list, but row {int(np.argmin(times))} is in none")
    return len(times), int(times.max())


def _parts(lists: Lists) -> Parts:
    arrays = {name: getattr(lists, name) for name in ("centroids", "offsets", "ids")}
    return Parts({"metric": lists.metric}, arrays, {})


def _of_parts(parts: Parts) -> Lists:
    centroids, offsets, ids = (frozen(parts.arrays[name]) for name in ("centroids", "offsets", "ids"))
    return Lists(centroids, offsets, ids, **parts.parameters)


register("lists", Form(Lists, _parts, _of_parts))
