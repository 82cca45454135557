# SPDX-License-Identifier: Apache-2.0
"""What the field's harnesses run: arrays that are searched as they are, or an `annkern.Index` by its spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import annkern as ak

Array = np.ndarray[Any, Any]
# The names of ann-benchmarks, big-ann-benchmarks and cuvs-bench.
METRICS = {"euclidean": "sqeuclidean", "angular": "cosine", "cosine": "cosine", "ip": "inner_product"}
METRICS |= {"inner_product": "inner_product", "dot": "inner_product", "sqeuclidean": "sqeuclidean", "hamming": "hamming"}
EXACT = {"flat,f32": np.float32, "flat,f16": np.float16, "flat,u8": np.uint8}  # arrays


def metric_of(name: str) -> Any:
    if name not in METRICS:
        raise ValueError(f"metric: expected one of {', '.join(METRICS)}, got {name!r}")
    return METRICS[name]


class SpecIndex:
    """fit, then search; save and load."""

    def __init__(self, spec: str, metric: str, threads: int | None = None) -> None:
        self.spec, self.metric, self.threads = spec, metric_of(metric), threads
        self.exact = spec in EXACT or self.metric == "hamming"
        self.base: Any = None  # the array, or the index's store
        self.index: Any = None

    def fit(self, x: Any, learn_queries: Any = None) -> SpecIndex:
        x = self.packed(np.asarray(x))
        if self.exact:  # bits and bytes are searched as they are
            self.base = x if x.dtype.itemsize == 1 else np.ascontiguousarray(x, EXACT[self.spec])
            return self
        self.index = ak.Index.build(x, self.spec, self.metric, self.threads, learn_queries=learn_queries)
        self.base = self.index.store
        return self

    def search(self, queries: Any, k: int, *, threads: int | None = None, **settings: Any) -> tuple[Array, Array]:
        """(distances, ids), (m, k)."""
        queries, threads = self.packed(np.asarray(queries)), threads or self.threads
        if self.exact:
            return ak.knn(self.base, queries, k, self.metric, threads=threads, **settings)
        found: tuple[Array, Array] = self.index.search(queries, k, threads=threads, **settings)
        return found

    def packed(self, x: Array) -> Array:
        if self.metric == "hamming" and x.dtype == bool:
            return np.packbits(x, axis=-1, bitorder="little")
        return x.astype(np.float32) if x.dtype == np.float64 else x

    @property
    def nbytes(self) -> int:
        """0 before fit."""
        held = self.base if self.index is None else self.index
        return 0 if held is None else int(held.nbytes)

    def save(self, path: Path) -> bool:
        """False where there is no index to save: arrays are the caller's own."""
        if self.index is None:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        self.index.save(str(path))
        return True

    def load(self, path: Path) -> bool:
        """False where there is none."""
        if not path.exists():
            return False
        self.index = ak.load(str(path))
        self.base = self.index.store
        return True
