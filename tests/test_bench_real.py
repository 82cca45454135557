# SPDX-License-Identifier: Apache-2.0
"""The field's harnesses themselves, over copies of checkouts that environment variables name: each runs bench/harness's
files on small sets, and its results equal those of direct searches. Skipped where no checkout is named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import annkern as ak
from annkern import io
from bench_fakes import HARNESS, recall

h5py = pytest.importorskip("h5py")
RUNS = 8  # of a harness whose worker may find its queue empty (bench/harness/README.md)


def checkout(variable, folder, *parts):
    """A copy of what lies at `variable`, or of `parts` of it."""
    named = os.environ.get(variable)
    if not named:
        pytest.skip(f"{variable} names no checkout")
    for part in parts or [""]:
        assert (Path(named) / part).is_dir(), f"{variable}: no folder {part or '.'} in {named}"
        ignored = shutil.ignore_patterns(".git", "data", "results", "*.png")
        shutil.copytree(Path(named) / part, folder / part, symlinks=True, ignore=ignored, dirs_exist_ok=True)
    return folder


def run(folder, *words, path=(), fails=False):
    places = [str(Path(ak.__file__).parents[1]), *map(str, path), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places)), "MPLBACKEND": "Agg"}
    done = subprocess.run([sys.executable, *map(str, words)], cwd=folder, env=environment, capture_output=True, text=True)
    text = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, text[-3000:]
    return text


def results(folder, *words):
    """The result files of a run that did something, each as (attributes, arrays)."""
    for _ in range(RUNS):
        text = run(folder, "run.py", *words)
        files = sorted((folder / "results").rglob("*.hdf5"))
        if files:
            break
    assert files, text[-3000:]
    found = []
    for file in files:
        with h5py.File(file) as f:
            found.append((dict(f.attrs), {name: f[name][:] for name in f if name != "metrics"}))
    return found


@pytest.fixture
def ann_benchmarks(tmp_path):
    folder = checkout("ANNKERN_ANN_BENCHMARKS", tmp_path / "harness")
    shutil.copytree(HARNESS / "ann_benchmarks/annkern", folder / "ann_benchmarks/algorithms/annkern", dirs_exist_ok=True)
    return folder


def put(folder, name, metric, base, queries, kind="float"):
    """A set where the harness looks before it downloads one."""
    if metric == "hamming":
        distances = (queries[:, None] != base).mean(2)
    else:
        distances = ak.pairwise(queries, base, {"angular": "cosine"}.get(metric, metric))
    nearest = np.argsort(distances, axis=1)[:, :100]
    (folder / "data").mkdir()
    with h5py.File(folder / "data" / f"{name}.hdf5", "w") as f:
        f.attrs.update({"type": "dense", "distance": metric, "dimension": base.shape[1], "point_type": kind})
        f["train"], f["test"], f["neighbors"] = base, queries, nearest
        f["distances"] = np.take_along_axis(distances, nearest, axis=1)


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("metric", ["angular", "euclidean"])
@pytest.mark.parametrize("algorithm", ["annkern-graph", "annkern-exact", "annkern-scan"])
def test_ann_benchmarks(ann_benchmarks, algorithm, metric, batch, rng):
    base, queries = rng.standard_normal((1500, 20), dtype=np.float32), rng.standard_normal((40, 20), dtype=np.float32)
    name, ours = f"random-xs-20-{metric}", {"angular": "cosine", "euclidean": "sqeuclidean"}[metric]
    put(ann_benchmarks, name, metric, base, queries)
    chosen = ["--local", "--dataset", name, "--algorithm", algorithm, "--runs", 1, *(["--batch"] if batch else [])]
    found = results(ann_benchmarks, *chosen)
    assert len(found) == {"annkern-graph": 60, "annkern-exact": 2, "annkern-scan": 5}[algorithm]
    indexes = {}
    for facts, arrays in found:
        spec, _, setting = facts["name"].removeprefix("annkern(").removesuffix(")").partition(", ")
        settings = {key: int(value) for key, value in [setting.split("=")]} if setting else {}
        index = indexes.setdefault(spec, None) or ak.Index.build(base, spec, ours)
        indexes[spec] = index
        assert np.array_equal(arrays["neighbors"], index.search(queries, 10, **settings)[1]), facts["name"]
    run(ann_benchmarks, "plot.py", "--dataset", name, "-o", "p.png", *(["--batch"] if batch else []))
    assert (ann_benchmarks / "p.png").stat().st_size > 1000


def test_ann_benchmarks_bits(ann_benchmarks, rng):
    base, queries = rng.random((500, 16)) < 0.5, rng.random((20, 16)) < 0.5
    put(ann_benchmarks, "random-xs-16-hamming", "hamming", base, queries, "bit")
    chosen = ("--local", "--dataset", "random-xs-16-hamming", "--algorithm", "annkern-exact", "--runs", 1)
    ((_, arrays),) = results(ann_benchmarks, *chosen)
    packed = [np.packbits(x, axis=1, bitorder="little") for x in (base, queries)]
    assert np.array_equal(arrays["neighbors"], ak.knn(*packed, 10, "hamming")[1])


@pytest.fixture
def big_ann(tmp_path):
    folder = checkout("ANNKERN_BIG_ANN_BENCHMARKS", tmp_path / "harness")
    for place in ("neurips23/filter", "neurips23/ood", "benchmark/algorithms"):
        shutil.copytree(HARNESS / "big_ann/annkern", folder / place / "annkern", dirs_exist_ok=True)
    return folder


def data_of(folder, dataset, n, m, d):
    """(base, queries) as the harness drew them."""
    files = [folder / "data" / dataset / name for name in (f"data_{n}_{d}", f"queries_{m}_{d}")]
    return [np.fromfile(file, np.float32, offset=8).reshape(-1, d) for file in files]


def test_big_ann_ood(big_ann):
    common = ("--nodocker", "--neurips23track", "ood", "--dataset", "random-xs", "--algorithm", "annkern", "--runs", 1)
    found = results(big_ann, *common)
    base, queries = data_of(big_ann, "random10000", 10000, 1000, 20)
    assert len(found) == 3
    graph = ak.Index.build(base, "graph32,f32")
    for facts, arrays in found:
        window = json.loads(facts["name"].split(", ", 1)[1].removesuffix(")").replace("'", '"')).get("window")
        expected = graph.search(queries, 10, window=window)[1] if window else ak.knn(base, queries, 10)[1]
        assert np.array_equal(arrays["neighbors"], expected), facts["name"]
    run(big_ann, "plot.py", "--dataset", "random-xs", "--neurips23track", "ood", "-o", "p.png")
    assert (big_ann / "p.png").stat().st_size > 1000


def test_big_ann_range(big_ann):
    """The harness's own metric finds all that its ground truth names."""
    place, name = "benchmark/algorithms/annkern/range.yaml", "random-range-xs"
    common = ("--nodocker", "--definitions", place, "--dataset", name, "--algorithm", "annkern", "--runs", 1)
    ((_, arrays),) = results(big_ann, *common)
    base, queries = data_of(big_ann, "random10000", 10000, 1000, 20)
    lims, distances, ids = ak.radius(base, queries, 49.0)
    assert np.array_equal(arrays["lims"], lims) and np.array_equal(arrays["neighbors"], ids)
    assert np.array_equal(arrays["distances"], distances) and lims[-1] > 1000
    text = run(big_ann, "plot.py", "--dataset", name, "--x-axis", "ap", "-o", "p.png")
    assert " 1.000 " in text and (big_ann / "p.png").stat().st_size > 1000


def test_big_ann_filter(big_ann):
    common = ("--nodocker", "--neurips23track", "filter", "--dataset", "random-filter-s", "--algorithm", "annkern")
    ((_, arrays),) = results(big_ann, *common, "--runs", 1)
    base, queries = data_of(big_ann, "random-filter100000", 100000, 1000, 50)
    code = "import numpy as np; from benchmark.datasets import DATASETS as D; d = D['random-filter-s']();"
    code += "np.savez('words', d.get_dataset_metadata().toarray(), d.get_queries_metadata().toarray())"
    run(big_ann, "-c", code)
    words = np.load(big_ann / "words.npz")
    has, asks = words["arr_0"] > 0, words["arr_1"] > 0
    for q in range(0, 1000, 25):
        allowed = has[:, asks[q]].all(axis=1)
        assert np.array_equal(arrays["neighbors"][q], ak.knn(base, queries[q : q + 1], 10, filter=allowed)[1][0])


@pytest.fixture
def cuvs(tmp_path, rng):
    """(folder, base, queries, run): `run` is the command line of cuvs-bench with annkern."""
    for package in ("click", "pandas", "requests"):
        pytest.importorskip(package)
    folder = checkout("ANNKERN_CUVS_BENCH", tmp_path / "harness", "python/cuvs_bench")
    base, queries = rng.standard_normal((1500, 20), dtype=np.float32), rng.standard_normal((40, 20), dtype=np.float32)
    data = folder / "data" / "tiny"
    data.mkdir(parents=True)
    io.write_vectors(data / "base.fbin", base)
    io.write_vectors(data / "query.fbin", queries)
    io.write_vectors(data / "truth.ibin", ak.knn(base, queries, 50)[1].astype(np.int32))
    files = {"base_file": "tiny/base.fbin", "query_file": "tiny/query.fbin", "groundtruth_neighbors_file": "tiny/truth.ibin"}
    (folder / "sets.yaml").write_text(json.dumps([{"name": "tiny", "distance": "euclidean", "dims": 20} | files]))
    (folder / "fast.yaml").write_text("backend: annkern\nseconds: 0\n")
    (folder / "graph.yaml").write_text(
        json.dumps(
            {"name": "annkern", "groups": {"base": {"build": {"spec": ["graph32,f32"]}, "search": {"window": [10, 300]}}}}
        )
    )
    path = folder / "python/cuvs_bench", HARNESS / "cuvs_bench"
    common = ("--dataset", "tiny", "--dataset-path", "data")

    def bench(*words, fails=False):
        options = ("--dataset-configuration", "sets.yaml", "-k", 10, "-bs", 16, "--configuration", "graph.yaml")
        options += ("--backend-config", "fast.yaml")
        return run(folder, "-m", "annkern_cuvs_bench", *common, *options, *words, path=path, fails=fails)

    return folder, base, queries, bench, lambda *words: run(folder, "-m", "cuvs_bench.plot", *common, *words, path=path)


def rows(folder, kind, name):
    import pandas

    return pandas.read_csv(folder / "data/tiny/result" / kind / f"{name}.csv")


def test_cuvs_bench(cuvs):
    folder, base, queries, bench, plot = cuvs
    index = ak.Index.build(base, "graph32,f32")
    answers = {window: index.search(queries, 10, window=window)[1] for window in (10, 300)}
    expected = {window: recall(ids, base, queries, "sqeuclidean") for window, ids in answers.items()}
    assert expected[10] < expected[300]
    bench("--groups", "base,exact", "-m", "latency", "-t", "1")
    found = rows(folder, "search", "annkern,base,k10,bs16,raw")
    assert dict(zip(found["window"], found["recall"], strict=True)) == pytest.approx(expected)
    assert (found["throughput"] > 0).all() and (found["latency"] > 0).all() and (found["build time"] > 0).all()
    assert len(rows(folder, "search", "annkern,exact,k10,bs16,raw")) == 2
    plot("-k", 10, "-bs", 16, "--algorithms", "annkern", "--output-filepath", ".")
    assert (folder / "search-tiny-k10-batch_size16.png").exists() and (folder / "build-tiny-k10-batch_size16.png").exists()
    bench("--groups", "base", "--search", "-m", "throughput", "-t", "1:2")  # another process, which finds the index
    found = rows(folder, "search", "annkern,base,k10,bs16,raw")
    assert sorted(zip(found["window"], found["threads"], strict=True)) == [(w, t) for w in (10, 300) for t in (1, 2)]


def test_cuvs_bench_subset(cuvs):
    folder, _, _, bench, _ = cuvs
    for words in (("--subset-size", 200), ()):
        bench("--groups", "base", "-m", "latency", *words)
        assert rows(folder, "search", "annkern,base,k10,bs16,raw")["recall"].max() == 1


def test_cuvs_bench_tune(cuvs):
    pytest.importorskip("optuna")
    folder, _, _, bench, _ = cuvs
    text = bench(
        "--groups", "base", "-m", "latency", "--mode", "tune", "--constraints", '{"recall": "maximize"}', "--n-trials", 3
    )
    assert "Best recall" in text and len(rows(folder, "search", "annkern,base,k10,bs16,raw")) == 3


def test_cuvs_bench_says_what_it_has(cuvs):
    assert "expected some of annkern.base, annkern.exact" in cuvs[3]("--groups", "none", "-m", "latency", fails=True)


def test_cuvs_bench_from_python(cuvs):
    folder, *_ = cuvs
    code = "import annkern_cuvs_bench as a; a.register(); from cuvs_bench.orchestrator import BenchmarkOrchestrator as B;"
    code += "found = B(backend_type='annkern').run_benchmark(dataset='tiny', dataset_path='data', groups='base', seconds=0,"
    code += "dataset_configuration='sets.yaml', algorithm_configuration='graph.yaml', count=10, batch_size=16);"
    code += "print([r.recall for r in found if hasattr(r, 'recall')])"
    text = run(folder, "-c", code, path=(folder / "python/cuvs_bench", HARNESS / "cuvs_bench"))
    low, high = json.loads(text.strip().splitlines()[-1])
    assert low < high == 1
