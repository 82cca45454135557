# SPDX-License-Identifier: Apache-2.0
"""Graphs built on devices: the bytes of the CPU's, over every store and metric, whichever order threads and blocks run in.
tests/device compares the kernels with the definitions, step by step and batch by batch."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import BACKENDS
from test_graph import BUILDERS, check_invariants, gaussian, growth, whole_numbers
from test_graph_device import DEVICES, FUSED, SPECS

import annkern as ak
from annkern.graphs import nn_descent as descent

pytestmark = [
    pytest.mark.skipif(not DEVICES, reason="no device backend here"),
    pytest.mark.skipif(not FUSED, reason="the baseline level has no fused multiply-add, and other distances"),
]


@pytest.fixture(params=DEVICES)
def device(request, monkeypatch):
    if request.param == "emu":
        monkeypatch.setenv("ANNKERN_DEVICE", "emu")
    return BACKENDS[request.param]()


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(descent, "STARTS", 2)
    monkeypatch.setattr(descent, "SAMPLE", 4)
    monkeypatch.setattr(descent, "MOST_ROUNDS", 3)


def build_both(device, method, x, metric=None, degree=8, window=16, **more):
    """On the device and in host memory; refuses a difference."""
    there = x.convert(device.array) if hasattr(x, "convert") else device.array(x)
    there = ak.build_graph(there, metric, degree, window, method=method, **more)
    here = ak.build_graph(x, metric, degree, window, method=method, **more)
    moved = ak.Graph(*(device.numpy(part) for part in (there.neighbors, there.entries)))
    assert type(there.neighbors) is type(device.array(here.neighbors))
    np.testing.assert_array_equal(moved.neighbors, here.neighbors)
    np.testing.assert_array_equal(moved.entries, here.entries)
    assert there.metric == here.metric
    check_invariants(moved, len(x), here.shape[1])
    return there


@BUILDERS
@pytest.mark.parametrize(
    "spec, metric",
    [(spec, "sqeuclidean") for spec in SPECS if spec not in ("rabitq2", "rabitq3", "rabitq5", "rabitq6", "rabitq8")]
    + [(spec, metric) for spec in ("f16", "lvq8", "lvq4x8", "pq12x8", "rabitq4") for metric in ("inner_product", "cosine")],
)
def test_stores(device, spec, metric, method):
    n = 280 if method == "nn_descent" else 40 if spec.startswith(("rabitq", "bin")) else 100
    build_both(device, method, ak.compress(gaussian(n, 24), spec, metric), metric)


@BUILDERS
@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "inner_product", "cosine", "cityblock", "chebyshev"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8"])
def test_arrays(device, dtype, metric, method):
    build_both(device, method, (whole_numbers(150, 21) + 9).astype(dtype), metric)


@pytest.mark.parametrize("spec", ["f32", "f16", "lvq8", "lvq4x8", "pq12x8", "rabitq4"])
def test_rows_of_unequal_length(device, spec):
    """Inner product, where lengths tell what is left out; zeros have none."""
    n = 40 if spec == "rabitq4" else 150
    x = gaussian(n, 24) * np.random.default_rng(1).lognormal(0, 1, (n, 1))
    x[3:6] = 0
    build_both(device, "vamana", ak.compress(x.astype(np.float32), spec, "inner_product"), "inner_product")


@BUILDERS
@pytest.mark.parametrize("metric", ["hamming", "jaccard"])
def test_bits(device, metric, method):
    build_both(device, method, np.random.default_rng(0).integers(0, 256, (200, 8), dtype=np.uint8), metric)


@BUILDERS
@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 40, 128, 129])
def test_few_rows(device, n, method):
    build_both(device, method, gaussian(n, 6), degree=16, window=8)


@BUILDERS
def test_rows_that_are_not_aligned(device, method):
    build_both(device, method, gaussian(200, 11)[:, 1:8])


def test_windows_beyond_shared_memory(device, monkeypatch):
    monkeypatch.setattr(descent, "STARTS", 1)
    monkeypatch.setattr(descent, "MOST_ROUNDS", 1)
    build_both(device, "nn_descent", whole_numbers(1100, 2), degree=5, window=1050)


@BUILDERS
def test_the_widest_window(device, method):
    with pytest.raises(ValueError, match="window: expected at most 4096 on a device, got 4200"):
        ak.build_graph(device.array(whole_numbers(4300, 1)), degree=5, window=4200, method=method)


@BUILDERS
def test_equal_rows(device, method):
    build_both(device, method, np.ones((300, 8), np.float32))
    build_both(device, method, np.concatenate([np.repeat(gaussian(20, 10), 15, axis=0), np.zeros((100, 10), np.float32)]))


@BUILDERS
@pytest.mark.parametrize("spec", ["f32", "lvq8", "lvq4x8"])
def test_rows_out_of_reach(device, spec, method):
    """Clusters whose lists lead nowhere else: the edges between them are those that searches gave."""
    x = ak.compress((1000 * gaussian(30, 16)[:, None] + gaussian(300, 16, 1).reshape(30, 10, 16)).reshape(-1, 16), spec)
    graph = build_both(device, method, x, degree=4, window=8)
    neighbors = device.numpy(graph.neighbors)
    assert (neighbors // 10 != np.arange(300)[:, None] // 10).any(axis=1).sum() >= 20


def test_a_hub(device, monkeypatch):
    """All rows lead to row 0, in batches of half of them: far more than the 16 that a pruning looks at."""
    monkeypatch.setattr(growth, "LARGEST_BATCH", 1.0)
    x = np.zeros((200, 200), np.float32)
    x[np.arange(1, 200), np.arange(1, 200)] = 10 + np.arange(199) % 9
    graph = build_both(device, "vamana", x, degree=8, window=8)
    assert (device.numpy(graph.neighbors) == 0).sum() > 150


@BUILDERS
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_order_threads_and_blocks_run_in(device, monkeypatch, seed, method):
    monkeypatch.setenv("EMU_SEED", str(seed))
    build_both(device, method, gaussian(280, 6), degree=6, window=12)
    build_both(device, method, ak.compress(gaussian(150, 24), "lvq8"), "cosine")


@BUILDERS
def test_the_graph_is_searched_where_it_was_built(device, method):
    x = gaussian(300, 12)
    rows = device.array(x)
    graph = ak.build_graph(rows, degree=8, window=16, method=method)
    _, ids = ak.search_graph(graph, rows, device.array(x[:40]), 3, window=24)
    assert (device.numpy(ids)[:, 0] == np.arange(40)).mean() > 0.9


@BUILDERS
def test_wrong_arguments(device, method):
    x = gaussian(100, 6)
    x[17, 2] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity in row 17"):
        ak.build_graph(device.array(x), degree=8, window=16, method=method)
