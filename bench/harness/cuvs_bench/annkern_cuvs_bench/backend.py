# SPDX-License-Identifier: Apache-2.0
"""Builds and searches in this process. An index that the build of annkern can save is found again by a later search."""

import time
from pathlib import Path

import numpy as np
from cuvs_bench.backends.base import BenchmarkBackend, BuildResult, SearchResult

from annkern.bench.index import SpecIndex
from annkern.io import read_vectors


class AnnkernBackend(BenchmarkBackend):
    kept = {}  # by index file: searches follow builds in one process  # noqa: RUF012

    @property
    def algo(self):
        return self.config.get("algo", "annkern")

    def build(self, dataset, indexes, force=False, dry_run=False):
        config, seconds = indexes[0], 0.0
        try:
            index = None if force else self.kept.get(config.file)
            if index is None:
                index = SpecIndex(config.build_param["spec"], dataset.distance_metric)
                if not dry_run and (force or not index.load(Path(config.file))):
                    base = vectors(dataset, ("training_vectors", "base_vectors"), dataset.base_file)
                    start = time.perf_counter()
                    index.fit(base)
                    seconds = time.perf_counter() - start
                    index.save(Path(config.file))
                if not dry_run:
                    self.kept[config.file] = index
        except Exception as error:
            return BuildResult("", 0.0, 0, self.algo, config.build_param, success=False, error_message=str(error))
        return BuildResult(config.file, seconds, index.nbytes, self.algo, config.build_param)

    def search(self, dataset, indexes, k, batch_size=10000, mode="latency", force=False, search_threads=None, dry_run=False):
        config = indexes[0]
        settings = config.search_params or [{}]
        nothing = np.zeros((0, k), np.int64), np.zeros((0, k), np.float32)
        if dry_run:
            return SearchResult(*nothing, 0.0, 0.0, 0.0, self.algo, settings)
        try:
            index = self.kept.get(config.file) or SpecIndex(config.build_param["spec"], dataset.distance_metric)
            if config.file not in self.kept and not index.load(Path(config.file)):
                raise ValueError(f"{config.file}: no index; build it first")
            queries = vectors(dataset, ("query_vectors",), dataset.query_file)
            rows = [measure(index, queries, k, 1 if mode == "latency" else batch_size, search_threads, s) for s in settings]
        except Exception as error:
            failed = SearchResult(*nothing, 0.0, 0.0, 0.0, self.algo, settings)
            failed.success, failed.error_message = False, str(error)
            return failed
        ids, distances, _ = rows[-1]
        facts = [row[2] for row in rows]
        # As the other backends of one process do: neighbours of the last setting, means over the settings, recall by the
        # orchestrator.
        seconds = float(np.mean([fact["seconds"] for fact in facts]))
        return SearchResult(
            ids,
            distances,
            1e3 * seconds,
            float(np.mean([fact["qps"] for fact in facts])),
            0.0,
            self.algo,
            settings,
            latency_percentiles=facts[-1]["latency_ms"],
            metadata={"per_search_param_results": facts},
        )


def vectors(dataset, names, file):
    """Of the first array that is there and not empty; of the file otherwise."""
    for name in names:
        found = getattr(dataset, name, None)
        if found is not None and np.size(found):
            return found
    if not file:
        raise ValueError(f"dataset {dataset.name}: neither {names[0]} nor a file")
    return np.asarray(read_vectors(file))


def measure(index, queries, k, batch, threads, setting):
    """(ids, distances, facts) of one setting, in batches."""
    index.search(queries[:batch], k, threads=threads, **setting)
    times, parts = [], []
    for start in range(0, len(queries), batch):
        before = time.perf_counter()
        parts.append(index.search(queries[start : start + batch], k, threads=threads, **setting))
        times.append(time.perf_counter() - before)
    distances, ids = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    latency = {f"p{q}": 1e3 * float(np.percentile(times, q)) for q in (50, 95, 99)}
    seconds = sum(times)
    facts = {"search_params": setting, "seconds": seconds, "qps": len(queries) / seconds, "latency_ms": latency}
    return ids, distances, facts
