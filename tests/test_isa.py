# SPDX-License-Identifier: Apache-2.0
"""Every instruction set that this machine can run, forced by ANNKERN_ISA in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import annkern as ak

CHECK = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import annkern as ak
from annkern import reference
from cases import BIT_METRICS, bits, table
from oracle import assert_distances, assert_neighbours, assert_selected

assert ak.backends()["cpu"]["isa"] == sys.argv[2], ak.backends()
for case in table(small=True) + [case for case in table() if case.n in (129, 257)]:
    base, queries = case.arrays()
    everything = ak.pairwise(queries, base, case.metric)
    assert_distances(everything, queries, base, case.metric)
    distances, indices = ak.knn(base, queries, case.k, case.metric)
    assert_selected(distances, indices, everything, case.metric)
    assert_neighbours(distances, indices, queries, base, case.metric)
    if case.base in ("int8", "uint8") and case.base == case.queries and case.metric != "cosine":
        assert everything.tobytes() == reference.pairwise(queries, base, case.metric).tobytes()

rng = np.random.default_rng(2)
for width in (1, 5, 33, 128, 8200):  # bytes; the last are more bits than 16-bit sums hold
    base, queries = bits(rng, 9, width), bits(rng, 130, width)
    base[:2], queries[:5] = 0, 255
    for metric in BIT_METRICS:
        everything = ak.pairwise(queries, base, metric)
        assert_distances(everything, queries, base, metric)
        for m in (1, 20, 49):
            assert ak.pairwise(queries[:m], base, metric).tobytes() == everything[:m].tobytes()

values = np.random.default_rng(1).integers(0, 99, (5, 3000)).astype(np.float32)
for k in (1, 10, 300):
    for ours, theirs in zip(ak.select_k(values, k), reference.select_k(values, k)):
        np.testing.assert_array_equal(ours, theirs)
x = np.ones((40, 33), np.float32)
x[17, 32] = np.nan
try:
    ak.knn(x, np.ones((1, 33), np.float32), 1)
except ValueError as error:
    assert "row 17" in str(error), error
else:
    raise AssertionError("NaN was not seen")
"""


def run(level: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", *args], env={**os.environ, "ANNKERN_ISA": level}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("level", ak.backends()["cpu"]["runnable"])
def test_level(level):
    done = run(level, CHECK, os.path.dirname(__file__), level)
    assert done.returncode == 0, done.stderr[-2000:]


def test_unknown_level_is_refused():
    done = run("avx1024", "import annkern as ak, numpy as np; ak.knn(np.ones((2, 2), 'f'), np.ones((1, 2), 'f'), 1)")
    assert done.returncode != 0
    assert "ANNKERN_ISA" in done.stderr and "avx1024" in done.stderr
