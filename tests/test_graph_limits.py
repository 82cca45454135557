# SPDX-License-Identifier: Apache-2.0
"""Sizes beyond the rows that there are, and graphs that somebody edits: an answer or an error, never a crash."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from test_graph import gaussian

import annkern as ak

N = 300
HUGE = (N + 1, 10**8, 2**31, 2**40, 2**61, sys.maxsize, 2**70)
RESERVES = """
import resource, numpy as np, annkern as ak
x = np.random.default_rng(0).standard_normal((300, 16), dtype=np.float32)
graph = ak.build_graph(x, degree=16, threads=1)
ak.search_graph(graph, x, x[:2], 3, threads=1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))
store = ak.compress(x, "lvq8")
for base in (x, store, store):
    ak.search_graph(graph, base, x[:2], 3, window=10**8, threads=1)
ak.build_graph(x, degree=16, window=10**8, threads=1)
"""


@pytest.fixture(scope="module")
def small() -> tuple[np.ndarray, ak.Graph]:
    x = gaussian(N, 16)
    return x, ak.build_graph(x, degree=16)


@pytest.mark.parametrize("spec", ["f32", "lvq8", "lvq4x8"])
@pytest.mark.parametrize("window", HUGE)
def test_a_window_is_at_most_n(small, spec, window):
    x, graph = small
    store = ak.compress(x, spec)
    widest = ak.search_graph(graph, store, x[:5], 3, window=N)
    for _ in range(2):  # the second search takes the shorter way
        for got, want in zip(ak.search_graph(graph, store, x[:5], 3, window=window), widest, strict=True):
            np.testing.assert_array_equal(got, want)
    assert (ak.search_graph(graph, store, x[:5], 3, window=window, filter=np.arange(N) < 299)[1] < 299).all()


@pytest.mark.parametrize("method", ["vamana", "nn_descent"])
@pytest.mark.parametrize("window", [101, 10**8, 2**61, 2**70])
def test_a_build_window_is_at_most_n(small, method, window):
    x = small[0][:100]
    wide, widest = (ak.build_graph(x, degree=16, window=w, method=method) for w in (window, 100))
    np.testing.assert_array_equal(wide.neighbors, widest.neighbors)


def test_a_window_is_at_most_n_on_every_backend(small, backend):
    x, graph = small
    moved, rows, queries = graph.convert(backend.array), backend.array(x), backend.array(x[:3])
    want = ak.search_graph(graph, x, x[:3], 3, window=N)[1]
    for window in (10**8, sys.maxsize, 2**70):
        found = ak.search_graph(moved, rows, queries, 3, window=window)[1]
        np.testing.assert_array_equal(backend.numpy(found), want)
    built = ak.build_graph(backend.array(x[:100]), degree=8, window=2**61)
    np.testing.assert_array_equal(backend.numpy(built.neighbors), ak.build_graph(x[:100], degree=8, window=100).neighbors)


def test_more_neighbours_than_rows(small):
    x, graph = small
    for store in (x, ak.compress(x, "lvq4x8")):
        for _ in range(2):
            ids = ak.search_graph(graph, store, x[:2], 100_000)[1]
            assert (np.sort(ids[:, :N], axis=1) == np.arange(N)).all() and (ids[:, N:] == -1).all()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_wide_window_reserves_no_more_than_the_rows_need():
    ran = subprocess.run([sys.executable, "-c", RESERVES], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr[-2000:]


def test_files_with_huge_windows(small, tmp_path):
    x, _ = small
    index = ak.Index.build(x, "graph16,lvq4x8")
    index.window, index.rerank_k = 2**70, 2**70
    index.save(tmp_path / "index.safetensors")
    found = ak.load(tmp_path / "index.safetensors").search(x[:3], 3)[1]
    np.testing.assert_array_equal(found, index.search(x[:3], 3, window=N, rerank_k=N)[1])


def test_arrays_of_a_graph_cannot_be_edited(small, tmp_path):
    x, built = small
    built.save(tmp_path / "graph.safetensors")
    theirs = np.array(built.neighbors), np.array(built.entries)
    graphs = {
        "built": built,
        "nn_descent": ak.build_graph(x, degree=16, method="nn_descent"),
        "reordered": ak.Index.build(x, "graph16,f32", reorder=True).graph,
        "given": ak.Graph(*theirs),
        "view": ak.Graph(theirs[0][:], theirs[1][:]),
        "of": ak.Graph.of(theirs[0]),
        "loaded": ak.load(tmp_path / "graph.safetensors"),
        "mapped": ak.load(tmp_path / "graph.safetensors", mmap=True),
        "unpickled": pickle.loads(pickle.dumps(built)),
        "copied": copy.deepcopy(built),
        "converted": built.convert(np.copy),
    }
    for name, graph in graphs.items():
        for array in (graph.neighbors, graph.entries):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 10**9
            with pytest.raises(ValueError, match="WRITEABLE"):
                array[:].flags.writeable = True
            assert not array.flags.writeable, name
        for part, wrong in (("neighbors", graph.neighbors + N), ("entries", graph.entries - N)):
            before = getattr(graph, part)
            with pytest.raises(ValueError, match=rf"graph\.{part}: expected rows in"):
                setattr(graph, part, wrong)
            assert getattr(graph, part) is before
    want = ak.search_graph(graphs["given"], x, x[:9], 3)[1]
    theirs[0][:], theirs[1][:] = 10**9, -7
    np.testing.assert_array_equal(ak.search_graph(graphs["given"], x, x[:9], 3)[1], want)
    np.testing.assert_array_equal(ak.search_graph(graphs["view"], x, x[:9], 3)[1], want)


def test_unpickling_checks(small):
    x, graph = small
    ak.search_graph(graph, ak.compress(x, "lvq8"), x[:1], 3)
    again = pickle.loads(pickle.dumps(graph))
    np.testing.assert_array_equal(again.neighbors, graph.neighbors)
    assert again.metric == graph.metric and again.plan is None
    for change in ({"neighbors": graph.neighbors + 10**6}, {"entries": graph.entries - 10**6}, {"metric": "nonsense"}):
        state = graph.__getstate__() | change
        with pytest.raises(ValueError, match=r"expected"):
            ak.Graph.__new__(ak.Graph).__setstate__(state)
    older = {"neighbors": np.array(graph.neighbors), "entries": np.array(graph.entries), "metric": "l2", "again": None}
    back = ak.Graph.__new__(ak.Graph)
    back.__setstate__(older)
    assert back.metric == "sqeuclidean" and not back.neighbors.flags.writeable


def test_a_metric_that_is_set_is_obeyed(small):
    x, graph = small
    graph, q = ak.Graph(graph.neighbors, graph.entries), x[:20] * 3
    for store in (x, ak.compress(x, "f32"), ak.compress(x, "lvq8")):
        for metric in ("sqeuclidean", "ip", "cosine"):
            graph.metric = metric
            for _ in range(2):
                found = ak.search_graph(graph, store, q, 5, window=N)
                want = ak.search_graph(graph, store, q, 5, window=N, metric=metric)
                assert [a.tobytes() for a in found] == [a.tobytes() for a in want]
    with pytest.raises(ValueError, match="metric: expected"):
        graph.metric = "nonsense"
