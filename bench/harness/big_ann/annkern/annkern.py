# SPDX-License-Identifier: Apache-2.0
"""big-ann-benchmarks: k nearest, range, filtered (neurips23 filter) and out-of-distribution (neurips23 ood) searches."""

import os
from pathlib import Path

import numpy as np
from benchmark.algorithms.base import BaseANN
from benchmark.datasets import DATASETS

import annkern as ak
from annkern.bench.index import SpecIndex

# Rows that pass a filter are gathered and searched on their own up to this share of all; beyond, all are searched with bits.
GATHERED = 1 / 8


class Annkern(BaseANN):
    def __init__(self, metric, index_params):
        self.params = index_params
        self.spec = index_params.get("spec", "flat,f32")
        self.index = SpecIndex(self.spec, metric, index_params.get("threads"))
        self.settings = {}

    def track(self):
        return "T1"

    def fit(self, dataset):
        data = self.open(dataset)
        self.index.fit(data.get_dataset(), learn_queries=self.learn_queries())
        self.index.save(self.path(dataset))

    def load_index(self, dataset):
        """False where nothing was saved: the harness then builds."""
        if not self.index.load(self.path(dataset)):
            return False
        self.open(dataset)
        return True

    def open(self, dataset):
        """The set, with what filtered searches need of it."""
        data = DATASETS[dataset]()
        if data.search_type() == "knn_filtered":
            self.rows = data.get_dataset()
            self.rows_of_word = data.get_dataset_metadata().T.tocsr()
            self.rows_of_word.sort_indices()
        return data

    def learn_queries(self):
        file = self.params.get("learn_queries")
        if file is None:
            return None
        from annkern.io import read_vectors

        return np.asarray(read_vectors(file))

    def path(self, dataset):
        return (
            Path("data") / "indices" / "annkern" / f"{dataset}.{self.spec.replace(',', '-').replace(':', '-')}.safetensors"
        )

    def index_files_to_store(self, dataset):
        path = self.path(dataset)
        return str(path.parent), path.name, [""]

    def set_query_arguments(self, query_args):
        self.settings = {key: query_args[key] for key in ("window", "rerank_k") if key in query_args}

    def query(self, X, k):
        self.res = self.index.search(X, k, **self.settings)[1].astype(np.int32)

    def range_query(self, X, radius):
        """(lims, distances, ids). The harness's euclidean radius is of squared distances."""
        lims, distances, ids = ak.radius(self.index.base, X, float(radius), self.index.metric, threads=self.index.threads)
        self.res = lims, distances, ids

    def filtered_query(self, X, filter, k):
        """The words that each query asks for are a row of a CSR matrix; queries of the same words are searched together."""
        self.res = np.full((len(X), k), -1, np.int32)
        groups = {}
        for row in range(len(X)):
            words = filter.indices[filter.indptr[row] : filter.indptr[row + 1]]
            groups.setdefault(tuple(sorted(words.tolist())), []).append(row)
        for words, rows in groups.items():
            self.res[rows] = self.among(self.having(words), X[rows], k)

    def having(self, words):
        """Ids of the rows that have all words, ascending; None where none is asked for."""
        words_rows = self.rows_of_word
        found = None
        for word in sorted(words, key=lambda w: words_rows.indptr[w + 1] - words_rows.indptr[w]):
            rows = words_rows.indices[words_rows.indptr[word] : words_rows.indptr[word + 1]]
            found = rows if found is None else np.intersect1d(found, rows, assume_unique=True)
        return found

    def among(self, allowed, queries, k):
        if allowed is None:
            return self.index.search(queries, k, **self.settings)[1]
        n = len(self.rows)
        if len(allowed) <= GATHERED * n:
            rows = np.ascontiguousarray(self.rows[allowed])
            found = ak.knn(rows, queries, k, self.index.metric, threads=self.index.threads)[1]
            return np.where(found >= 0, allowed[found] if len(allowed) else -1, -1)
        passing = np.zeros(n, bool)
        passing[allowed] = True
        return self.index.search(queries, k, filter=passing, **self.settings)[1]

    def get_results(self):
        return self.res

    def get_range_results(self):
        return self.res

    def get_memory_usage(self):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1024

    def __str__(self):
        return f"annkern({self.spec}, {self.settings})"
