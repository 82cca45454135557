# SPDX-License-Identifier: Apache-2.0
"""The backend of bench/harness/cuvs_bench, called as cuvs-bench calls it: loader, build, search. test_bench_real.py runs
the real one."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from annkern import io
from bench_fakes import HARNESS, modules, recall


@dataclass
class CuvsDataset:
    name: str = "set"
    training_vectors: np.ndarray = field(default_factory=lambda: np.empty(0))
    query_vectors: np.ndarray = field(default_factory=lambda: np.empty(0))
    distance_metric: str = "euclidean"
    base_file: str | None = None
    query_file: str | None = None
    groundtruth_neighbors: np.ndarray | None = None
    metadata: dict = field(default_factory=dict)


@dataclass
class BuildResult:
    index_path: str
    build_time_seconds: float
    index_size_bytes: int
    algorithm: str
    build_params: dict
    metadata: dict = field(default_factory=dict)
    success: bool = True
    error_message: str | None = None


@dataclass
class SearchResult:
    neighbors: np.ndarray
    distances: np.ndarray
    search_time_ms: float
    queries_per_second: float
    recall: float
    algorithm: str
    search_params: list
    latency_percentiles: dict | None = None
    gpu_time_seconds: float | None = None
    cpu_time_seconds: float | None = None
    metadata: dict = field(default_factory=dict)
    success: bool = True
    error_message: str | None = None


class BenchmarkBackend:
    def __init__(self, config):
        self.config = config


@dataclass
class IndexConfig:
    name: str
    algo: str
    build_param: dict
    search_params: list
    file: str


@dataclass
class BenchmarkConfig:
    indexes: list
    backend_config: dict


class ConfigLoader:
    def load_yaml_file(self, file):
        return pytest.importorskip("yaml").safe_load(Path(file).read_text())


@pytest.fixture
def cuvs(modules, monkeypatch):
    backends, loaders = {}, {}
    modules("cuvs_bench", __file__=None)  # as of a package without an __init__.py
    kinds = {"BenchmarkBackend": BenchmarkBackend, "BuildResult": BuildResult, "SearchResult": SearchResult}
    modules("cuvs_bench.backends.base", **kinds)
    registry = {"register_backend": backends.__setitem__, "register_config_loader": loaders.__setitem__}
    modules("cuvs_bench.backends.registry", list_backends=lambda: dict(backends), **registry)
    modules("cuvs_bench.backends.search_spaces", ALGORITHM_SEARCH_SPACES={})
    configs = {"BenchmarkConfig": BenchmarkConfig, "ConfigLoader": ConfigLoader, "IndexConfig": IndexConfig}
    place = "/nowhere/cuvs_bench/orchestrator/config_loaders.py"
    modules("cuvs_bench.orchestrator.config_loaders", __file__=place, **configs)
    monkeypatch.syspath_prepend(str(HARNESS / "cuvs_bench"))
    for name in [name for name in sys.modules if name.startswith("annkern_cuvs_bench")]:
        monkeypatch.delitem(sys.modules, name)
    plugin = importlib.import_module("annkern_cuvs_bench")
    plugin.register()
    plugin.register()  # the registry refuses a name that it has
    assert set(backends) == set(loaders) == {"annkern"}
    return backends["annkern"], loaders["annkern"]


@pytest.fixture
def vectors(tmp_path, rng):
    """(base, queries, dataset): its data sets name files, and the arrays are empty."""
    base, queries = rng.standard_normal((300, 12), dtype=np.float32), rng.standard_normal((9, 12), dtype=np.float32)
    io.write_vectors(tmp_path / "base.fbin", base)
    io.write_vectors(tmp_path / "query.fbin", queries)
    return base, queries, CuvsDataset(base_file=str(tmp_path / "base.fbin"), query_file=str(tmp_path / "query.fbin"))


def configs_of(cuvs, tmp_path, builds, searches, **kwargs):
    loader, options = cuvs[1](), {"count": 10, "batch_size": 4, "seconds": 0, **kwargs}
    expanded = [("annkern", "base", {}, builds, searches, {})]
    return loader._build_benchmark_configs(None, {}, "set", str(tmp_path), expanded, **options)


def rows_of(tmp_path, kind, name):
    return json.loads((tmp_path / "set" / "result" / kind / f"{name}.json").read_text())["benchmarks"]


def searched(cuvs, config, dataset, **options):
    backend = cuvs[0](config.backend_config)
    built = backend.build(dataset=dataset, indexes=config.indexes, force=options.pop("force", False), dry_run=False)
    assert built.success, built.error_message
    found = backend.search(dataset=dataset, indexes=config.indexes, k=10, batch_size=4, **options)
    assert found.success, found.error_message
    return built, found


@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_cuvs_bench(cuvs, mode, tmp_path, vectors):
    base, queries, dataset = vectors
    file = str(tmp_path / "set" / "index" / f"{mode}.safetensors")
    config = IndexConfig("annkern.graph", "annkern", {"spec": "graph32,f32"}, [{"window": 200}], file)
    backend = cuvs[0]({"name": "annkern.graph", "algo": "annkern", "seconds": 0})
    dry = backend.build(dataset=dataset, indexes=[config], force=False, dry_run=True)
    assert dry.success and not Path(file).exists()
    built = backend.build(dataset=dataset, indexes=[config], force=False, dry_run=False)
    assert built.success and built.build_time_seconds > 0 and built.index_size_bytes > base.nbytes and Path(file).exists()
    assert backend.build(dataset=dataset, indexes=[config], force=False, dry_run=False).build_time_seconds == 0
    cuvs[0].kept = None  # another process finds the file
    other = cuvs[0]({"name": "annkern.graph", "algo": "annkern", "seconds": 0})
    found = other.search(dataset=dataset, indexes=[config], k=10, batch_size=4, mode=mode, search_threads="1")
    assert found.success, found.error_message
    assert recall(found.neighbors, base, queries, "sqeuclidean") == found.recall == 1
    assert found.neighbors.shape == found.distances.shape and found.queries_per_second > 0


def test_cuvs_bench_results_are_pairs_and_files(cuvs, tmp_path, vectors):
    """One configuration a setting; the files that its export reads, begun anew by each run."""
    _, _, dataset = vectors
    builds, searches = [{"spec": "graph8,f32"}, {"spec": "flat,f32"}], [{"window": 4}, {"window": 10}, {"window": 250}]
    for _ in range(2):
        configs = configs_of(cuvs, tmp_path, builds[:1], searches) + configs_of(cuvs, tmp_path, builds[1:], [{}])
        assert [c.indexes[0].search_params for c in configs] == [[{"window": 10}], [{"window": 250}], [{}]]
        pairs = [searched(cuvs, config, dataset)[1] for config in configs]
    assert pairs[0].recall < pairs[1].recall <= pairs[2].recall == 1
    # Two calls of the loader above are two runs, so that the second began the file again.
    assert [row["Recall"] for row in rows_of(tmp_path, "search", "annkern,base,k10,bs4")] == [1]
    builds_row = rows_of(tmp_path, "build", "annkern,base")
    assert [row["name"] for row in builds_row] == ["annkern.graph8-f32", "annkern.flat-f32"]
    assert all(row["real_time"] > 0 and list(row)[4:6] == ["threads", "cpu_time"] for row in builds_row)
    configs = configs_of(cuvs, tmp_path, builds[:1], searches)
    for config in configs:
        searched(cuvs, config, dataset, search_threads="1:3", mode="throughput")
    rows = rows_of(tmp_path, "search", "annkern,base,k10,bs4")
    assert [(row["window"], row["threads"]) for row in rows] == [(w, t) for w in (10, 250) for t in (1, 2, 3)]
    assert {"name", "real_time", "items_per_second", "Recall", "Latency"} <= set(rows[0]) and rows[0]["n_queries"] == 4


def test_cuvs_bench_forces_a_build_once_a_run(cuvs, tmp_path, vectors):
    configs = configs_of(cuvs, tmp_path, [{"spec": "graph32,f32"}], [{"window": 10}, {"window": 20}])
    searched(cuvs, configs_of(cuvs, tmp_path, [{"spec": "graph32,f32"}], [{"window": 10}])[0], vectors[2])
    assert [searched(cuvs, c, vectors[2], force=True)[0].build_time_seconds > 0 for c in configs] == [True, False]


def test_cuvs_bench_subsets_have_an_index_and_neighbours_of_their_own(cuvs, tmp_path, vectors):
    base, queries, dataset = vectors
    dataset.groundtruth_neighbors = np.argsort(((queries[:, None] - base) ** 2).sum(2), axis=1)[:, :20]
    spec, window = [{"spec": "graph32,f32"}], [{"window": 200}]
    small = CuvsDataset(**vars(dataset) | {"metadata": {"subset_size": 100}})
    (few,) = configs_of(cuvs, tmp_path, spec, window, subset_size=100)
    (every,) = configs_of(cuvs, tmp_path, spec, window)
    found = searched(cuvs, few, small)[1]
    assert found.recall == 1 and found.neighbors.max() < 100
    assert searched(cuvs, every, dataset)[1].recall == 1 and few.indexes[0].file != every.indexes[0].file


def test_cuvs_bench_tune(cuvs, tmp_path, vectors):
    space = sys.modules["cuvs_bench.backends.search_spaces"].ALGORITHM_SEARCH_SPACES["annkern"]
    assert "graph64,f32" in space["build"]["spec"]["choices"] and space["search"]["window"]["type"] == "int"
    for trial, window in enumerate((30, 12)):
        tried = {
            "_tune_mode": True,
            "_tune_build_params": {"spec": "graph32,f32"},
            "_tune_search_params": {"window": window},
        }
        (config,) = configs_of(cuvs, tmp_path, [{"spec": "a"}, {"spec": "b"}], [{}], **tried)
        config.backend_config["append_results"] = trial > 0
        searched(cuvs, config, vectors[2])
    assert [row["window"] for row in rows_of(tmp_path, "search", "annkern,base,k10,bs4")] == [30, 12]


def test_cuvs_bench_failures_are_results(cuvs, tmp_path, vectors):
    backend = cuvs[0]({"name": "x"})
    config = IndexConfig("x", "annkern", {"spec": "tree,f32"}, [{}], str(tmp_path / "x"))
    built = backend.build(dataset=vectors[2], indexes=[config])
    assert not built.success and "flat,<store>" in built.error_message
    config.build_param = {"spec": "flat,f32"}
    assert "neither training_vectors nor a file" in backend.build(dataset=CuvsDataset(), indexes=[config]).error_message
    assert backend.search(dataset=CuvsDataset(), indexes=[config], k=3, dry_run=True).success
    for threads in ("x", "2:1", "0", "1:2:3"):
        failed = backend.search(dataset=vectors[2], indexes=[config], k=3, search_threads=threads)
        assert "search_threads: expected a count, or MIN:MAX" in failed.error_message
    config.search_params = [{"window": 3}, {"window": 4}]
    assert "one setting a configuration" in backend.search(dataset=vectors[2], indexes=[config], k=3).error_message
    config.build_param, config.search_params, config.file = {"spec": "graph8,f32"}, [{}], str(tmp_path / "y")
    assert "build it first" in backend.search(dataset=vectors[2], indexes=[config], k=3).error_message


def test_cuvs_bench_configuration(cuvs, tmp_path):
    yaml = pytest.importorskip("yaml")
    loader = cuvs[1]()
    assert loader.backend_type == "annkern" and loader.config_path == "/nowhere/cuvs_bench/config"

    def groups(**chosen):
        return [group[:2] for group in loader._discover_algo_groups({}, "set", str(tmp_path), **chosen)]

    assert groups(algorithms="annkern", groups=None) == [("annkern", "base"), ("annkern", "exact")]
    assert groups(algorithms="annkern", groups="none", algo_groups="annkern.exact,hnswlib.base") == [("annkern", "exact")]
    with pytest.raises(ValueError, match=r"expected some of annkern\.base, annkern\.exact"):
        groups(algorithms="other")
    with pytest.raises(ValueError, match="expected a file or a folder, got /none"):
        groups(algorithm_configuration="/none")
    own = {"name": "annkern", "groups": {"base": {"build": {"spec": ["graph8,f32"]}, "search": {"window": [10, 20]}}}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(own))
    (tmp_path / "cuvs_cagra.yaml").write_text("name: cuvs_cagra\ngroups: {base: {}}")
    chosen = {"algorithm_configuration": str(tmp_path), "algorithms": "annkern", "groups": "base"}
    assert groups(**chosen) == [("annkern", "base")]
    # 26.06 calls one hook alone.
    configs = loader._build_benchmark_configs(None, {}, "set", str(tmp_path), **chosen, count=10, batch_size=100)
    assert [c.indexes[0].search_params for c in configs] == [[{"window": 10}], [{"window": 20}]]
    assert configs[0].backend_config["name"] == "annkern.graph8-f32"
    assert configs[0].backend_config["output_filename"] == ("annkern,base", "annkern,base,k10,bs100")
