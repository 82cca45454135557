# SPDX-License-Identifier: Apache-2.0
"""ann-benchmarks: exact scans, compressed scans and graphs by annkern. One query is searched on one thread, as the harness
pins it; a batch on all."""

from annkern.bench.index import SpecIndex

from ..base.module import BaseANN


class Annkern(BaseANN):
    def __init__(self, metric, spec):
        self.spec = spec
        self.index = SpecIndex(spec, metric)
        self.settings = {}
        self.name = f"annkern({spec})"

    def fit(self, X):
        self.index.fit(X)

    def query(self, v, n):
        ids = self.index.search(v[None], n, threads=1, **self.settings)[1][0]
        return ids[ids >= 0]

    def batch_query(self, X, n):
        self.res = self.index.search(X, n, **self.settings)[1]

    def get_batch_results(self):
        return self.res

    def done(self):
        self.index = None


class AnnkernGraph(Annkern):
    """The window is the number of candidates that a search keeps."""

    def set_query_arguments(self, window):
        self.settings = {"window": int(window)}
        self.name = f"annkern({self.spec}, window={window})"


class AnnkernScan(Annkern):
    """Two-level stores: so many candidates of the first level are compared in the second."""

    def set_query_arguments(self, rerank_k):
        self.settings = {"rerank_k": int(rerank_k)}
        self.name = f"annkern({self.spec}, rerank_k={rerank_k})"
