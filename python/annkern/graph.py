# SPDX-License-Identifier: Apache-2.0
"""Graphs: what `build_graph` makes and `search_graph` walks, and how those of other libraries come in and go out."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.int32]]


class Graph:
    """A directed graph over n rows.

    Attributes
    ----------
    neighbors : ndarray (n, degree) int32
        The rows that row i leads to; -1 behind a list that is shorter.
    entries : ndarray (e,) int32
        Where searches begin.
    metric : str
        Under which it was built.
    """

    def __init__(self, neighbors: Any, entries: Any, metric: str = "sqeuclidean") -> None:
        self.neighbors: Array = neighbors
        self.entries: Array = entries
        self.metric = metric

    def __len__(self) -> int:
        return len(self.neighbors)

    def __repr__(self) -> str:
        n, degree = self.shape
        return f"Graph(n={n}, degree={degree}, metric={self.metric!r}, {self.nbytes / max(n, 1):.0f} bytes a row)"

    @property
    def shape(self) -> tuple[int, int]:
        n, degree = self.neighbors.shape
        return n, degree

    @property
    def nbytes(self) -> int:
        return int(self.neighbors.nbytes + self.entries.nbytes)

    def backend_graph(self, backend: ModuleType) -> Any:
        """The graph as the kernels see it."""
        n, degree = self.shape
        own, entries = self.neighbors, self.entries
        return backend.Graph(own.ctypes.data, n, degree, degree, entries.ctypes.data, len(entries))
