# SPDX-License-Identifier: Apache-2.0
"""When a result is right: compared with the reference, by bounds computed from the data."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np

import annkern as ak
from annkern import reference
from annkern.reference import METRICS


def assert_distances(got: np.ndarray, queries: np.ndarray, base: np.ndarray, metric: str) -> None:
    """`got` (m, n) lies within the metric's bound of the exact distances."""
    row = METRICS[metric]
    assert got.dtype == (np.int32 if row.integer else np.float32)
    exact, bound = reference.exact(queries, base, metric), reference.bound(queries, base, metric)
    assert got.shape == exact.shape
    assert not np.isnan(got).any()
    largest = np.finfo(np.float32).max
    with np.errstate(invalid="ignore"):
        error = np.abs(got.astype(np.float64) - exact)
    # Beyond float32 the value is infinite, and near its end it may be either.
    overflowed = np.isinf(got) & (np.abs(exact) + bound > largest)
    wrong = ~((error <= bound) | overflowed)
    assert not wrong.any(), f"{metric}: at {np.argwhere(wrong)[:3].tolist()} error {error[wrong][:3]} > {bound[wrong][:3]}"


def assert_selected(
    distances: np.ndarray, indices: np.ndarray, all_distances: np.ndarray, metric: str, passes: np.ndarray | None = None
) -> None:
    """The result is, bit for bit, what sorting the backend's own (m, n) distances gives."""
    row = METRICS[metric]
    m, n = all_distances.shape
    ids = np.broadcast_to(np.arange(n), (m, n))
    if passes is not None:
        ids = np.where(passes, ids, -1)
    want, want_ids = reference.select_k(
        all_distances, distances.shape[1], largest=row.similarity, ids=ids, missing=row.missing
    )
    np.testing.assert_array_equal(indices, want_ids)
    assert distances.dtype == want.dtype
    assert distances.tobytes() == np.ascontiguousarray(want).tobytes()


def assert_neighbours(
    distances: np.ndarray, indices: np.ndarray, queries: np.ndarray, base: np.ndarray, metric: str
) -> None:
    """Ids are the reference's wherever the gap between keys is wider than the bound; elsewhere the keys are as good."""
    row = METRICS[metric]
    keys = row.key(reference.exact(queries, base, metric))
    bound = reference.bound(queries, base, metric)
    k = min(distances.shape[1], len(base))
    for query in range(len(queries)):
        if not k or not np.isfinite(bound[query]).all():
            continue
        order = np.lexsort((np.arange(len(base)), keys[query]))
        sorted_keys, slack = keys[query, order], 2 * bound[query].max()
        clear = np.ones(k, bool)
        gaps = np.diff(sorted_keys)
        clear &= np.concatenate([[True], gaps[: k - 1] > slack])
        clear &= np.concatenate([gaps, [np.inf]])[:k] > slack
        assert (indices[query, :k] == order[:k])[clear].all()
        assert (keys[query, indices[query, :k]] <= sorted_keys[:k] + slack).all()


def assert_equal_on_every_level(program: str) -> None:
    """Python that prints a digest says the same on every level that this machine runs."""
    forced = "import os, annkern; assert annkern.backends()['cpu']['isa'] == os.environ['ANNKERN_ISA']"
    said = {}
    for level in ak.backends()["cpu"]["runnable"]:
        environment = {**os.environ, "ANNKERN_ISA": level}
        command = [sys.executable, "-c", f"{forced}\n{program}"]
        said[level] = subprocess.check_output(command, env=environment, text=True)
    assert len(set(said.values())) == 1, said
