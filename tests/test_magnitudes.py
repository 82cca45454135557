# SPDX-License-Identifier: Apache-2.0
"""Rows as long and as short as float32 holds: one promise (docs/limits.md) on every level and backend."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import annkern as ak
from annkern import reference

F = np.float32
LARGEST = float(np.finfo(F).max)
DIMS = 70  # of two chains


def rows(count: int, seed: int) -> np.ndarray:
    """Of lengths from 1e-42 to 1e39, ordered."""
    directions = np.random.default_rng(seed).standard_normal((count, DIMS))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    x = directions * np.geomspace(1e-42, 1e39, count)[:, None]
    return np.clip(x, -LARGEST, LARGEST).astype(F)


def check(put, back) -> None:
    x, few, many = rows(120, 0), rows(9, 1)[::4].copy(), rows(33, 2)
    for q in (few, many):
        lengths = [np.linalg.norm(y.astype(np.float64), axis=1) for y in (q, x)]
        product = np.outer(*lengths)
        found = {
            metric: back(ak.pairwise(put(q), put(x), metric))
            for metric in ("sqeuclidean", "euclidean", "inner_product", "cosine")
        }
        assert not any(np.isnan(distances).any() for distances in found.values())

        exact, bound = reference.exact(q, x, "inner_product"), reference.bound(q, x, "inner_product")
        held = product < LARGEST
        assert (np.abs(found["inner_product"] - exact) <= bound)[held].all()

        exact, bound = reference.exact(q, x, "sqeuclidean"), reference.bound(q, x, "sqeuclidean")
        assert np.isinf(found["sqeuclidean"])[exact - bound > LARGEST].all()
        held = exact + bound < LARGEST
        assert (np.abs(found["sqeuclidean"] - exact) <= bound)[held].all()
        assert (np.isinf(found["euclidean"]) == np.isinf(found["sqeuclidean"])).all()

        none = np.logical_or.outer(*[(length < 3.4e-39) | (length > 8.5e37) for length in lengths])
        in_range = np.logical_and.outer(*[(length > 3.5e-39) & (length < 8.4e37) for length in lengths])
        assert (found["cosine"][none] == 1).all()
        cosines = 1 - (q / lengths[0][:, None]) @ (x / lengths[1][:, None]).T.astype(np.float64)
        assert np.abs(found["cosine"] - cosines)[in_range].max() < 1e-5  # of subnormal numbers, which have few digits

        nearest, ids = (back(part) for part in ak.knn(put(x), put(q), len(x)))
        assert (np.sort(ids, axis=1) == np.arange(len(x))).all()  # those at infinity come last, none is lost
        np.testing.assert_array_equal(np.take_along_axis(found["sqeuclidean"], ids, axis=1), nearest)
        assert not (nearest[:, 1:] < nearest[:, :-1]).any()


def test_backends(backend):
    check(backend.array, backend.numpy)


@pytest.mark.parametrize("level", ak.backends()["cpu"]["runnable"])
def test_levels(level):
    folder = str(Path(__file__).parent)
    paths = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths, "ANNKERN_ISA": level}
    script = "import test_magnitudes as t; t.check(lambda x: x, lambda x: x)"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
