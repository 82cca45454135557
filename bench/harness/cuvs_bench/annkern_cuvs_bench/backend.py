# SPDX-License-Identifier: Apache-2.0
"""Builds and searches in this process. An index is kept on disk, and in memory until another is asked for."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from cuvs_bench.backends.base import BenchmarkBackend, BuildResult, SearchResult

import annkern as ak
from annkern.bench.index import SpecIndex
from annkern.io import read_vectors

from . import results


class AnnkernBackend(BenchmarkBackend):
    kept = None  # (file, index) of the last build or search: the settings of one index follow one another

    @property
    def algo(self):
        return self.config.get("algo", "annkern")

    @property
    def done(self):
        """What this run has built and which files it has begun; shared by the configurations of a run."""
        return self.config.setdefault("done", set())

    def build(self, dataset, indexes, force=False, dry_run=False):
        config, seconds, size = indexes[0], 0.0, 0
        try:
            index = SpecIndex(config.build_param["spec"], dataset.distance_metric)
            force = force and config.file not in self.done
            if not dry_run and (force or not self.find(index, config.file)):
                seconds, cpu = self.fit(index, dataset, config.file)
                self.done.add(config.file)
                self.write_build(config, index, seconds, cpu)
            if not dry_run:
                size = self.kept[1].nbytes
        except Exception as error:
            return BuildResult("", 0.0, 0, self.algo, config.build_param, success=False, error_message=said(error))
        return BuildResult(config.file, seconds, size, self.algo, config.build_param)

    def find(self, index, file):
        """Whether the index is here, in memory or on disk."""
        if self.kept is not None and self.kept[0] == file:
            return True
        if not index.load(Path(file)):
            return False
        AnnkernBackend.kept = file, index
        return True

    def fit(self, index, dataset, file):
        """(seconds, seconds of processors) of the build alone. Arrays that are searched as they are have no file."""
        base = base_of(dataset)
        AnnkernBackend.kept = None
        start, cpu = time.perf_counter(), time.process_time()
        index.fit(base)
        taken = time.perf_counter() - start, time.process_time() - cpu
        index.save(Path(file))
        AnnkernBackend.kept = file, index
        return taken

    def search(self, dataset, indexes, k, batch_size=10000, mode="latency", force=False, search_threads=None, dry_run=False):
        config = indexes[0]
        settings = config.search_params or [{}]
        nothing = np.zeros((0, k), np.int64), np.zeros((0, k), np.float32)
        if dry_run:
            return SearchResult(*nothing, 0.0, 0.0, 0.0, self.algo, settings)
        try:
            if len(indexes) > 1 or len(settings) > 1:
                raise ValueError(f"search_params: expected one setting a configuration, got {settings}")
            index = SpecIndex(config.build_param["spec"], dataset.distance_metric)
            if not self.find(index, config.file):
                if not index.exact:
                    raise ValueError(f"{config.file}: no index; build it first")
                self.fit(index, dataset, config.file)
            index, queries = self.kept[1], vectors(dataset, ("query_vectors",), dataset.query_file)
            truth = ground_truth(dataset, queries, k, index.metric)
            found = [
                measured(index, queries, k, batch_size, pair, settings[0], self.config.get("seconds", 1.0))
                for pair in threads_of(search_threads, mode)
            ]
            rows = [row | {"Recall": recall(ids, truth, k)} for ids, _, row in found]
            self.write_searches(config, rows, k)
        except Exception as error:
            failed = SearchResult(*nothing, 0.0, 0.0, 0.0, self.algo, settings)
            failed.success, failed.error_message = False, said(error)
            return failed
        best = max(range(len(rows)), key=lambda i: rows[i]["items_per_second"])
        return self.result(*found[best][:2], rows[best], settings)

    def result(self, ids, distances, row, settings):
        facts = {"latency_us": 1e6 * row["Latency"], "end_to_end": row["end_to_end"], "threads": row["threads"]}
        percentiles = {name: row[name] for name in ("p50", "p95", "p99")}
        elapsed = 1e3 * len(ids) / row["items_per_second"]
        measures = elapsed, row["items_per_second"], row["Recall"]
        return SearchResult(ids, distances, *measures, self.algo, settings, percentiles, metadata=facts)

    def write_build(self, config, index, seconds, cpu):
        if "result" in self.config:
            row = {"name": config.name, "real_time": seconds, "time_unit": "s", "index_size": index.nbytes}
            row |= {"threads": len(os.sched_getaffinity(0)), "cpu_time": cpu} | config.build_param
            results.add_build(self.config["result"], self.config["output_filename"][0], row)

    def write_searches(self, config, rows, k):
        """A run begins each file anew; the trials of mode "tune" are runs that add to it."""
        if "result" not in self.config:
            return
        name = self.config["output_filename"][1]
        fresh = name not in self.done and not self.config.get("append_results", False)
        self.done.add(name)
        results.add_searches(self.config["result"], name, [{"name": config.name, "k": k} | row for row in rows], fresh)


def said(error):
    return f"{type(error).__name__}: {error}"


def vectors(dataset, names, file):
    """Of the first array that is there and not empty; of the file otherwise."""
    for name in names:
        found = getattr(dataset, name, None)
        if found is not None and np.size(found):
            return found
    if not file:
        raise ValueError(f"dataset {dataset.name}: neither {names[0]} nor a file")
    return np.asarray(read_vectors(file))


def threads_of(text, mode):
    """[(clients, threads of each)]. In mode "latency" one client sends a batch after another, and a batch is searched by all
    threads; in mode "throughput" clients send batches at a time. The command line's text is N, or MIN:MAX in powers of 2."""
    every = len(os.sched_getaffinity(0))
    parts = str(text or f"1:{every}").split(":")
    if len(parts) > 2 or not all(part.isdecimal() for part in parts) or not 1 <= int(parts[0]) <= int(parts[-1]):
        raise ValueError(f"search_threads: expected a count, or MIN:MAX, got {text!r}")
    low, high = int(parts[0]), int(parts[-1])
    if mode == "latency":
        return [(1, high)]
    counts = []
    while low < high:
        counts.append(low)
        low *= 2
    return [(count, 1) for count in [*counts, high]]


def base_of(dataset):
    rows = (getattr(dataset, "metadata", None) or {}).get("subset_size")
    return vectors(dataset, ("training_vectors", "base_vectors"), dataset.base_file)[:rows]


def ground_truth(dataset, queries, k, metric):
    """Ids that come with the set. By exact search where none come, or fewer than k, or of rows beyond the subset."""
    given = getattr(dataset, "groundtruth_neighbors", None)
    rows = (getattr(dataset, "metadata", None) or {}).get("subset_size")
    if given is None or given.shape[1] < k or (rows and given[:, :k].max(initial=0) >= rows):
        given = ak.knn(base_of(dataset), queries, k, metric)[1]
        dataset.groundtruth_neighbors = given  # for the next setting
    return given


def recall(ids, truth, k):
    """As cuvs-bench counts it."""
    hits = sum(len(np.intersect1d(a[:k], b[:k])) for a, b in zip(ids, truth, strict=True))
    return hits / max(1, len(ids) * k)


def measured(index, queries, k, batch, pair, setting, seconds):
    """(ids, distances, row) of one setting. Passes over the queries go on until `seconds` are over."""
    clients, threads = pair
    parts = [queries[start : start + batch] for start in range(0, len(queries), batch)]
    times = []

    def one(part):
        start = time.perf_counter()
        found = index.search(part, k, threads=threads, **setting)
        times.append(time.perf_counter() - start)
        return found

    one(parts[0])
    times.clear()
    rounds, passes = -(-4 * (clients - 1) // len(parts)) + 1, 0  # batches enough that no client waits for the last
    cpu, start = time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        run = map if clients == 1 else pool.map
        while True:
            answers = list(run(one, parts * rounds))[: len(parts)]
            passes += rounds
            elapsed = time.perf_counter() - start
            if elapsed >= seconds:
                break
    cpu = time.process_time() - cpu
    distances, ids = (np.concatenate(arrays) for arrays in zip(*answers, strict=True))
    total, latency = passes * len(queries), float(np.mean(times))
    row = {"real_time": latency, "time_unit": "s", "cpu_time": cpu / len(times), "iterations": len(times)}
    row |= {"threads": max(pair), "Latency": latency, "items_per_second": total / elapsed, "end_to_end": elapsed}
    row |= {f"p{q}": 1e3 * float(np.percentile(times, q)) for q in (50, 95, 99)}
    return ids, distances, row | {"n_queries": len(parts[0]), "total_queries": total} | setting
