# SPDX-License-Identifier: Apache-2.0
"""What the field's harnesses run: "flat,<store>" or "graph<degree>,<store>" over an array. Needs NumPy alone.

"flat,f32" and "flat,f16" are exact search; other stores, and graphs, are `annkern.compress` and `annkern.Index`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import annkern as ak

Array = np.ndarray[Any, Any]
# The names of ann-benchmarks, big-ann-benchmarks and cuvs-bench.
METRICS = {"euclidean": "sqeuclidean", "angular": "cosine", "cosine": "cosine", "ip": "inner_product"}
METRICS |= {"inner_product": "inner_product", "dot": "inner_product", "sqeuclidean": "sqeuclidean", "hamming": "hamming"}
PLAIN = {"f32": np.float32, "f16": np.float16}


def metric_of(name: str) -> str:
    if name not in METRICS:
        raise ValueError(f"metric: expected one of {', '.join(METRICS)}, got {name!r}")
    return METRICS[name]


class SpecIndex:
    """fit, then search; save and load."""

    def __init__(self, spec: str, metric: str, threads: int | None = None) -> None:
        self.spec, self.metric, self.threads = spec, metric_of(metric), threads
        kind, _, self.store = spec.partition(",")
        if not self.store or not (kind == "flat" or (kind.startswith("graph") and kind[5:].isdigit())):
            raise ValueError(f'spec: expected "flat,<store>" or "graph<degree>,<store>", got {spec!r}')
        self.flat = kind == "flat"
        self.base: Any = None
        self.index: Any = None

    def fit(self, x: Any, learn_queries: Any = None) -> SpecIndex:
        x = self.packed(np.asarray(x))
        if not self.flat:
            options = {} if learn_queries is None else {"learn_queries": learn_queries}
            self.index = ak.Index.build(x, self.spec, metric=self.metric, threads=self.threads, **options)
        elif x.dtype.itemsize == 1:  # bits and bytes are searched as they are
            self.base = x
        elif self.store in PLAIN:
            self.base = np.ascontiguousarray(x, PLAIN[self.store])
        else:
            options = {} if learn_queries is None else {"learn_queries": learn_queries}
            self.base = ak.compress(x, self.store, metric=self.metric, threads=self.threads, **options)
        return self

    def search(self, queries: Any, k: int, *, threads: int | None = None, **settings: Any) -> tuple[Array, Array]:
        """(distances, ids), (m, k)."""
        queries = self.packed(np.asarray(queries))
        threads = threads or self.threads
        if self.index is not None:
            found: tuple[Array, Array] = self.index.search(queries, k, threads=threads, **settings)
            return found
        return ak.knn(self.base, queries, k, self.metric, threads=threads, **settings)

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
        if self.flat or not path.exists():
            return False
        self.index = ak.load(str(path))
        return True
