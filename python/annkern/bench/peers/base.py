# SPDX-License-Identifier: Apache-2.0
"""What the harness asks of a library: a list of methods, and for each a searcher that builds, is set, and searches."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Setting = dict[str, Any]
# The width of the search in graphs: what hnswlib calls ef.
WIDTHS = (10, 20, 40, 80, 160, 320, 640)
QUICK_WIDTHS = (20, 80, 320)


class Shape(NamedTuple):
    """What a library may fit its parameters to."""

    n: int
    d: int
    k: int
    metric: str


@dataclass(frozen=True)
class Method:
    """One index of one library, and the settings of its search that are swept."""

    peer: str
    name: str
    build: Setting
    settings: tuple[Setting, ...] = ({},)
    quick: bool = True  # part of --quick
    quick_settings: tuple[Setting, ...] | None = None

    def swept(self, quick: bool) -> tuple[Setting, ...]:
        return self.quick_settings or self.settings if quick else self.settings


class Searcher:
    """A method at work. Ids come back as (m, k); the base is float32 (n, d), unit length where the metric was cosine."""

    def __init__(self, metric: str, threads: int) -> None:
        self.metric = metric  # "sqeuclidean" or "inner_product"
        self.threads = threads  # all of them, for the build

    def prepare(self, params: Setting) -> None:
        """What a process does once and no build time should hold: imports, compilation."""

    def build(self, base: Array, params: Setting) -> None:
        raise NotImplementedError

    def configure(self, setting: Setting, threads: int) -> None:
        """Before searches with this setting, on so many threads."""

    def search(self, queries: Array, k: int) -> Array:
        raise NotImplementedError

    def nbytes(self) -> int | None:
        """What the index holds, where the library says, the vectors it keeps included."""
        return None


@dataclass(frozen=True)
class Peer:
    name: str
    module: str  # what to import, to know that it is there
    distribution: str  # what pip installs
    searcher: type[Searcher]
    methods: Callable[[Shape], Sequence[Method]]

    def missing(self) -> str | None:
        """Why it cannot run here, or None."""
        try:
            found = importlib.util.find_spec(self.module)
        except ModuleNotFoundError:
            found = None
        return None if found else f"{self.name} is not installed (pip install {self.distribution})"

    def version(self) -> str:
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return str(getattr(importlib.import_module(self.module.split(".")[0]), "__version__", "unknown"))


def widths(name: str, k: int, values: Sequence[int] = WIDTHS) -> tuple[Setting, ...]:
    """A sweep of `name`, no value below k: libraries differ in what they then do."""
    return tuple({name: value} for value in dict.fromkeys(max(value, k) for value in values))


def over_threads(search: Callable[[Array, int], Array], queries: Array, k: int, threads: int) -> Array:
    """For libraries that search one query a call, and let go of the GIL in it."""
    if threads == 1 or len(queries) == 1:
        return search(queries, k)
    with ThreadPoolExecutor(threads) as pool:
        parts = np.array_split(queries, min(len(queries), 4 * threads))
        return np.concatenate(list(pool.map(lambda part: search(part, k), parts)))


def one_by_one(found: Callable[[Array], Any], queries: Array, k: int) -> Array:
    """(m, k) ids of a search that takes one query and may find fewer than k."""
    ids = np.full((len(queries), k), -1, np.int64)
    for row, query in enumerate(queries):
        some = found(query)
        ids[row, : len(some)] = some
    return ids
