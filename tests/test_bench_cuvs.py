# SPDX-License-Identifier: Apache-2.0
"""The backend of bench/harness/cuvs_bench, called as cuvs-bench calls it: entry point, loader, build, search."""

from __future__ import annotations

import importlib
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
    modules("cuvs_bench", __file__="/nowhere/cuvs_bench/__init__.py")
    kinds = {"BenchmarkBackend": BenchmarkBackend, "BuildResult": BuildResult, "SearchResult": SearchResult}
    modules("cuvs_bench.backends.base", **kinds)
    registry = {"register_backend": backends.__setitem__, "register_config_loader": loaders.__setitem__}
    modules("cuvs_bench.backends.registry", list_backends=lambda: dict(backends), **registry)
    configs = {"BenchmarkConfig": BenchmarkConfig, "ConfigLoader": ConfigLoader, "IndexConfig": IndexConfig}
    modules("cuvs_bench.orchestrator.config_loaders", **configs)
    monkeypatch.syspath_prepend(str(HARNESS / "cuvs_bench"))
    for name in [name for name in sys.modules if name.startswith("annkern_cuvs_bench")]:
        monkeypatch.delitem(sys.modules, name)
    plugin = importlib.import_module("annkern_cuvs_bench")
    plugin.register()
    plugin.register()  # once for each entry point
    assert set(backends) == set(loaders) == {"annkern"}
    return backends["annkern"], loaders["annkern"]


@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_cuvs_bench(cuvs, mode, tmp_path, rng):
    base, queries = rng.standard_normal((300, 12), dtype=np.float32), rng.standard_normal((9, 12), dtype=np.float32)
    io.write_vectors(tmp_path / "base.fbin", base)  # its data sets name files, and the arrays are empty
    io.write_vectors(tmp_path / "query.fbin", queries)
    dataset = CuvsDataset(base_file=str(tmp_path / "base.fbin"), query_file=str(tmp_path / "query.fbin"))
    file = str(tmp_path / "set" / "index" / f"{mode}.safetensors")
    config = IndexConfig("annkern.graph", "annkern", {"spec": "graph32,f32"}, [{"window": 200}, {"window": 300}], file)
    backend = cuvs[0]({"name": "annkern.graph", "algo": "annkern"})
    dry = backend.build(dataset=dataset, indexes=[config], force=False, dry_run=True)
    assert dry.success and not Path(file).exists()
    built = backend.build(dataset=dataset, indexes=[config], force=False, dry_run=False)
    assert built.success and built.build_time_seconds > 0 and built.index_size_bytes > base.nbytes and Path(file).exists()
    assert backend.build(dataset=dataset, indexes=[config], force=False, dry_run=False).build_time_seconds == 0
    other = cuvs[0]({"name": "annkern.graph", "algo": "annkern"})
    other.kept.clear()  # another process finds the file
    found = other.search(dataset=dataset, indexes=[config], k=10, batch_size=4, mode=mode, search_threads=1)
    assert found.success, found.error_message
    assert recall(found.neighbors, base, queries, "sqeuclidean") == 1 and found.neighbors.shape == found.distances.shape
    assert found.queries_per_second > 0 and len(found.metadata["per_search_param_results"]) == 2


def test_cuvs_bench_failures_are_results(cuvs, tmp_path):
    backend = cuvs[0]({"name": "x"})
    config = IndexConfig("x", "annkern", {"spec": "tree,f32"}, [{}], str(tmp_path / "x"))
    built = backend.build(dataset=CuvsDataset(), indexes=[config])
    assert not built.success and "flat,<store>" in built.error_message
    config.build_param = {"spec": "flat,f32"}
    assert "neither training_vectors nor a file" in backend.build(dataset=CuvsDataset(), indexes=[config]).error_message
    assert "build it first" in backend.search(dataset=CuvsDataset(), indexes=[config], k=3).error_message
    assert backend.search(dataset=CuvsDataset(), indexes=[config], k=3, dry_run=True).success


def test_cuvs_bench_configuration(cuvs, tmp_path):
    pytest.importorskip("yaml")
    loader = cuvs[1]()
    assert loader.backend_type == "annkern"
    groups = loader._discover_algo_groups({}, "set", str(tmp_path), algorithms="annkern", groups=None)
    assert [group[1] for group in groups] == ["base", "exact"]
    assert not loader._discover_algo_groups({}, "set", str(tmp_path), algorithms="other")
    builds, searches = [{"spec": "graph64,lvq8"}], [{"window": 10}, {"window": 20}]
    expanded = [(*group[:3], builds, searches, group[3]) for group in groups[:1]]
    (config,) = loader._build_benchmark_configs(None, {}, "set", str(tmp_path), expanded, count=10, batch_size=100)
    assert config.indexes[0].search_params == searches and config.backend_config["name"] == "annkern.graph64-lvq8"
