# SPDX-License-Identifier: Apache-2.0
"""The adapters of bench/harness, taken through the calls of each harness in its order, in a process where it has one."""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path

import numpy as np
import pytest

import annkern as ak
from bench_fakes import HARNESS, loaded, modules, recall

sparse = pytest.importorskip("scipy.sparse")


# ann-benchmarks: instantiate, get_memory_usage, fit, set_query_arguments, then query by query or one batch; done. Its worker
# is a process that takes definitions from a queue.


class BaseANN:
    def done(self):
        pass

    def get_memory_usage(self):
        return 1.0

    def get_additional(self):
        return {}

    def __str__(self):
        return self.name


@pytest.fixture
def ann_benchmarks(modules, monkeypatch):
    modules("ann_benchmarks.algorithms.base.module", BaseANN=BaseANN)
    modules("ann_benchmarks.algorithms.annkern")
    return loaded("ann_benchmarks.algorithms.annkern.module", HARNESS / "ann_benchmarks/annkern/module.py", monkeypatch)


def ann_benchmarks_worker(module, constructor, arguments, query_groups, base, queries, batch, k):
    algo = getattr(module, constructor)(*arguments)
    assert not query_groups or hasattr(algo, "set_query_arguments")
    found = []
    try:
        assert not hasattr(algo, "supports_prepared_queries")
        before = algo.get_memory_usage()
        algo.fit(base)
        assert algo.get_memory_usage() >= before
        for group in query_groups or [[]]:
            if group:
                algo.set_query_arguments(*group)
            if batch:
                algo.batch_query(queries, k)
                results = algo.get_batch_results()
                for one in results:
                    assert len(one) == len(set(one))
            else:
                results = [algo.query(v, k) for v in queries]
            assert isinstance(str(algo), str) and algo.get_additional() == {}
            found.append([[int(i) for i in one] for one in results])
    finally:
        algo.done()
    return found


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize(
    ("constructor", "spec", "groups"),
    [("Annkern", "flat,f32", []), ("Annkern", "flat,f16", []), ("AnnkernGraph", "graph16,f32", [[400], [20]])],
)
@pytest.mark.parametrize("metric", ["euclidean", "angular"])
def test_ann_benchmarks(ann_benchmarks, constructor, spec, groups, metric, batch, rng):
    base, queries = rng.standard_normal((400, 24)), rng.standard_normal((15, 24))  # it hands out float64, at times
    context = multiprocessing.get_context("fork")
    answers = context.Queue()

    def work():
        answers.put(ann_benchmarks_worker(ann_benchmarks, constructor, (metric, spec), groups, base, queries, batch, 10))

    process = context.Process(target=work)
    process.start()
    found = answers.get(timeout=60)
    process.join(60)
    assert process.exitcode == 0 and len(found) == max(1, len(groups))
    ours = {"euclidean": "sqeuclidean", "angular": "cosine"}[metric]
    assert len(groups) < 2 or recall(found[1], base.astype(np.float32), queries.astype(np.float32), ours) > 0.8
    assert recall(found[0], base.astype(np.float32), queries.astype(np.float32), ours) > (0.98 if "f16" in spec else 0.999)


def test_ann_benchmarks_bits(ann_benchmarks, rng):
    base, queries = rng.random((300, 64)) < 0.5, rng.random((5, 64)) < 0.5  # its bit sets are booleans
    (found,) = ann_benchmarks_worker(ann_benchmarks, "Annkern", ("hamming", "flat,bin"), [], base, queries, False, 10)
    distances = (base[None] != queries[:, None]).sum(2)
    assert [sorted(distances[q][ids]) for q, ids in enumerate(found)] == [sorted(row)[:10] for row in distances.tolist()]


def test_ann_benchmarks_asks_for_more_than_there_is(ann_benchmarks, rng):
    base = rng.standard_normal((4, 6), dtype=np.float32)
    (found,) = ann_benchmarks_worker(ann_benchmarks, "Annkern", ("euclidean", "flat,f32"), [], base, base, False, 10)
    assert all(sorted(ids) == [0, 1, 2, 3] for ids in found)


def test_ann_benchmarks_configuration(ann_benchmarks):
    """By its rules: each list of arguments is a product, and the constructor takes what comes out."""
    yaml = pytest.importorskip("yaml")
    config = yaml.safe_load((HARNESS / "ann_benchmarks/annkern/config.yml").read_text())
    assert set(config) == {"float", "bit"}
    entries = [entry for metrics in config.values() for kinds in metrics.values() for entry in kinds]
    for entry in entries:
        assert {"docker_tag", "module", "constructor", "name"} <= set(entry)
        constructor = getattr(ann_benchmarks, entry["constructor"])
        for group in entry["run_groups"].values():
            for spec in group["args"][0]:
                algo = constructor("euclidean", spec)
                for value in group.get("query_args", [[]])[0]:
                    algo.set_query_arguments(value)
            assert bool(group.get("query_args")) == hasattr(constructor, "set_query_arguments")


# big-ann-benchmarks: load_index, fit where that says no, set_query_arguments, then query, range_query or filtered_query, and
# its results.


class BigData:
    nb = 500

    def __init__(self, kind="knn", dtype=np.float32):
        rng = np.random.default_rng(3)
        self.kind, self.d = kind, 16
        self.x = (rng.standard_normal((self.nb, 16)) * 20 + 128).clip(0, 255).astype(dtype)
        self.words = sparse.csr_matrix(rng.random((self.nb, 12)) < np.array([0.8, 0.6, *[0.05] * 9, 0.003]))
        self.asked = sparse.csr_matrix((np.ones(9), [0, 0, 1, 4, 5, 2, 3, 11, 6], [0, 1, 3, 5, 7, 8, 9]), shape=(6, 12))

    def search_type(self):
        return self.kind

    def get_dataset(self):
        return self.x

    def get_dataset_metadata(self):
        return self.words

    def get_queries(self):
        return self.x[:6] + self.x.dtype.type(1)

    def get_queries_metadata(self):
        return self.asked


@pytest.fixture
def big_ann(modules, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    modules("benchmark.algorithms.base", BaseANN=BaseANN)
    sets = {"knn": BigData, "bytes": lambda: BigData("knn_filtered", np.uint8), "range": lambda: BigData("range")}
    modules("benchmark.datasets", DATASETS=sets)
    return loaded("neurips23_annkern", HARNESS / "big_ann/annkern/annkern.py", monkeypatch)


def big_ann_run(module, metric, params, groups, dataset, count):
    algo, data, answers = module.Annkern(metric, params), sys.modules["benchmark.datasets"].DATASETS[dataset](), []
    try:
        assert algo.get_memory_usage() > 0
        loaded_index = algo.load_index(dataset)
        if not loaded_index:
            algo.fit(dataset)
        for group in groups or [[]]:
            if group:
                algo.set_query_arguments(*group)
            queries = data.get_queries()
            if data.search_type() == "knn":
                algo.query(queries, count)
                results = algo.get_results()
            elif data.search_type() == "range":
                algo.range_query(queries, count)
                results = algo.get_range_results()
            else:
                algo.filtered_query(queries, data.get_queries_metadata(), count)
                results = algo.get_results()
                assert results.shape[0] == queries.shape[0]
            assert isinstance(str(algo), str) and algo.get_additional() == {}
            answers.append(results)
    finally:
        algo.done()
    return answers, loaded_index


def test_big_ann_knn(big_ann):
    groups = [[{"window": 20}], [{"window": 40}]]
    for again in (False, True):
        answers, was_loaded = big_ann_run(big_ann, "ip", {"spec": "graph32,f32"}, groups, "knn", 10)
        assert was_loaded == again  # the second run finds what the first saved
        data = BigData()
        assert recall(answers[1], data.x, data.get_queries(), "inner_product") == 1
        assert answers[0].dtype == np.int32
    algo = big_ann.Annkern("ip", {"spec": "graph32,f32"})
    folder, prefix, components = algo.index_files_to_store("knn")
    assert all((Path(folder) / (prefix + part)).exists() for part in components)


def test_big_ann_range(big_ann):
    ((lims, distances, ids),), _ = big_ann_run(big_ann, "euclidean", {"spec": "flat,f32"}, [], "range", 3000)
    data = BigData()
    true = ((data.get_queries()[:, None] - data.x) ** 2).sum(2)
    assert lims[-1] == (true <= 3000).sum() > 0
    for q in range(6):
        part = slice(lims[q], lims[q + 1])
        assert sorted(ids[part]) == np.flatnonzero(true[q] <= 3000).tolist()
        assert np.allclose(np.sort(distances[part]), np.sort(true[q][true[q] <= 3000]), rtol=1e-4)


def test_big_ann_filtered(big_ann):
    """Rare words, frequent words, two words, a word that fewer than k rows have."""
    (found,), _ = big_ann_run(big_ann, "euclidean", {"spec": "flat,u8"}, [], "bytes", 10)
    data = BigData("knn_filtered", np.uint8)
    distances = ((data.get_queries()[:, None].astype(int) - data.x.astype(int)) ** 2).sum(2)
    words, asked = data.words.toarray(), data.asked.toarray() > 0
    for q in range(6):
        allowed = np.flatnonzero(words[:, asked[q]].all(axis=1))
        expected = allowed[np.argsort(distances[q][allowed], kind="stable")][:10]
        assert found[q].tolist() == [*expected.tolist(), *[-1] * (10 - len(expected))]
    assert (found == -1).any()


def test_big_ann_configuration(big_ann):
    yaml = pytest.importorskip("yaml")
    config = yaml.safe_load((HARNESS / "big_ann/annkern/config.yaml").read_text())
    for algorithms in config.values():
        entry = algorithms["annkern"]
        for group in entry["run-groups"].values():
            for params in yaml.safe_load(group["args"]):
                algo = big_ann.Annkern("euclidean", params)
                for values in yaml.safe_load(group["query-args"]):
                    algo.set_query_arguments(values)
                    assert algo.settings == values
