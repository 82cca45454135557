# SPDX-License-Identifier: Apache-2.0
"""Graphs by descent on devices: the bytes of the CPU's, over every store and metric, whichever order threads and blocks run
in. tests/device compares the kernels with the definition, step by step and batch by batch."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import BACKENDS
from test_graph import check_invariants, gaussian, whole_numbers
from test_graph_device import DEVICES, FUSED, SPECS

import annkern as ak
from annkern import nn_descent as descent

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


def build(x, metric=None, degree=8, window=16, **more):
    return ak.build_graph(x, metric, degree, window, method="nn_descent", **more)


def build_both(device, x, *args, **more):
    """On the device and in host memory; refuses a difference."""
    there = build(x.convert(device.array) if hasattr(x, "convert") else device.array(x), *args, **more)
    here, moved = build(x, *args, **more), ak.Graph(*(device.numpy(part) for part in (there.neighbors, there.entries)))
    assert type(there.neighbors) is type(device.array(here.neighbors))
    np.testing.assert_array_equal(moved.neighbors, here.neighbors)
    np.testing.assert_array_equal(moved.entries, here.entries)
    assert there.metric == here.metric
    check_invariants(moved, len(x), here.shape[1])
    return there


@pytest.mark.parametrize(
    "spec, metric",
    [(spec, "sqeuclidean") for spec in SPECS if spec not in ("rabitq2", "rabitq3", "rabitq5", "rabitq6", "rabitq8")]
    + [(spec, metric) for spec in ("f16", "lvq8", "lvq4x8", "pq12x8", "rabitq4") for metric in ("inner_product", "cosine")],
)
def test_stores(device, spec, metric):
    build_both(device, ak.compress(gaussian(280, 24), spec, metric), metric)


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "inner_product", "cosine", "cityblock", "chebyshev"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8"])
def test_arrays(device, dtype, metric):
    build_both(device, (whole_numbers(150, 21) + 9).astype(dtype), metric)


@pytest.mark.parametrize("metric", ["hamming", "jaccard"])
def test_bits(device, metric):
    build_both(device, np.random.default_rng(0).integers(0, 256, (200, 8), dtype=np.uint8), metric)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 40, 128, 129])
def test_few_rows(device, n):
    build_both(device, gaussian(n, 6), degree=16, window=8)


def test_rows_that_are_not_aligned(device):
    build_both(device, gaussian(200, 11)[:, 1:8])


def test_lists_beyond_shared_memory(device, monkeypatch):
    monkeypatch.setattr(descent, "STARTS", 1)
    monkeypatch.setattr(descent, "MOST_ROUNDS", 1)
    build_both(device, whole_numbers(1100, 2), degree=5, window=1050)
    with pytest.raises(ValueError, match="window: expected at most 4096 on a device, got 4200"):
        build(device.array(whole_numbers(4300, 1)), degree=5, window=4200)


def test_equal_rows(device):
    build_both(device, np.ones((300, 8), np.float32))
    build_both(device, np.concatenate([np.repeat(gaussian(20, 10), 15, axis=0), np.zeros((100, 10), np.float32)]))


@pytest.mark.parametrize("spec", ["f32", "lvq8", "lvq4x8"])
def test_rows_out_of_reach(device, spec):
    """Clusters whose lists lead nowhere else: the edges between them are those that walks gave."""
    x = ak.compress((1000 * gaussian(30, 16)[:, None] + gaussian(300, 16, 1).reshape(30, 10, 16)).reshape(-1, 16), spec)
    graph = build_both(device, x, degree=4, window=8)
    neighbors = device.numpy(graph.neighbors)
    assert (neighbors // 10 != np.arange(300)[:, None] // 10).any(axis=1).sum() >= 20


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_order_threads_and_blocks_run_in(device, monkeypatch, seed):
    monkeypatch.setenv("EMU_SEED", str(seed))
    build_both(device, gaussian(280, 6), degree=6, window=12)
    build_both(device, ak.compress(gaussian(150, 24), "lvq8"), "cosine")


def test_the_graph_is_searched_where_it_was_built(device):
    x = gaussian(300, 12)
    rows = device.array(x)
    _, ids = ak.search_graph(build(rows), rows, device.array(x[:40]), 3, window=24)
    assert (device.numpy(ids)[:, 0] == np.arange(40)).mean() > 0.9


def test_wrong_arguments(device):
    x = gaussian(100, 6)
    with pytest.raises(ValueError, match="method: expected nn_descent for a store on a device"):
        ak.build_graph(device.array(x))
    x[17, 2] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity in row 17"):
        build(device.array(x))
