# SPDX-License-Identifier: Apache-2.0
"""Messages name what is wrong, and what they advise works."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import annkern as ak
from annkern.runtime import backend as backends
from annkern.runtime.context import MOST_RESULTS, MOST_THREADS

X = np.random.default_rng(3).standard_normal((50, 6), dtype=np.float32)
ROOT = Path(__file__).resolve().parent.parent


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


# Ids and filters.


@pytest.mark.parametrize("order", ["F", "C"])
def test_ids_of_32_bits_in_any_order(order):
    """Widened in Fortran's order they were read as if they had 64 bits, beyond their memory."""
    ids, dists = np.array([[3, 1, 2], [7, 0, 4]]), np.arange(6, dtype=np.float32).reshape(2, 3)
    narrow = np.asarray(ids, np.int32, order=order)
    np.testing.assert_array_equal(ak.distances(X, X[:2], narrow), ak.distances(X, X[:2], ids))
    np.testing.assert_array_equal(ak.select_k(dists, 2, ids=narrow)[1], ak.select_k(dists, 2, ids=ids)[1])
    parts = np.asarray(np.stack([ids, ids + 8]), np.int32, order=order)
    merged = ak.merge_topk(np.stack([dists, dists + 1]), np.stack([ids, ids + 8]), 3)[1]
    np.testing.assert_array_equal(ak.merge_topk(np.stack([dists, dists + 1]), parts, 3)[1], merged)


@pytest.mark.parametrize("op", ["distances", "Store.distances", "decode", "merge_topk", "offsets", "select_k"])
def test_ids_of_32_bits_are_widened(backend, op):
    x, store = backend.array(X), ak.compress(X, "lvq8").convert(backend.array)
    ids = np.array([[3, 1, 2], [7, 0, 4]])
    dists = np.sort(np.abs(X[:4, :3]).reshape(2, 2, 3))

    def call(dtype):
        given = backend.array(ids.astype(dtype))
        queries = x[:2]
        match op:
            case "distances":
                return ak.distances(x, queries, given)
            case "Store.distances":
                return store.distances(queries, given)
            case "decode":
                return store.decode(backend.array(ids[0].astype(dtype)))
            case "select_k":
                return ak.select_k(backend.array(X[:2, :3].copy()), 2, ids=given)[1]
            case "merge_topk":
                return ak.merge_topk(backend.array(dists), backend.array(np.stack([ids, ids + 8]).astype(dtype)), 3)[1]
            case _:
                many = backend.array(np.stack([ids, ids]))
                return ak.merge_topk(backend.array(dists), many, 3, offsets=np.array([0, 50], dtype))[1]

    assert np.asarray(backend.numpy(call(np.int32))).tolist() == np.asarray(backend.numpy(call(np.int64))).tolist()
    if op != "offsets":
        with pytest.raises(TypeError, match="ids: expected int64, got int16"):
            call(np.int16)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.float32])
def test_a_filter_of_ids_says_how_to_make_a_mask(dtype):
    ids = np.array([3, 7, 11])
    graph = ak.build_graph(X, degree=4)
    index = ak.Index.build(X, "graph4,f32", reorder=True)
    calls = [
        lambda given: ak.knn(X, X[:2], 3, filter=given),
        lambda given: ak.search_graph(graph, X, X[:2], 3, filter=given),
        lambda given: index.search(X[:2], 3, filter=given),
        lambda given: ak.radius(X, X[:2], 1.0, filter=given),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"filter: expected bool or uint32, .*; of ids, make a mask: ") as error:
            call(ids.astype(dtype))
        assert "filter.astype(bool)" not in str(error.value)
        assert ("of zeros and ones: filter != 0" in str(error.value)) == (dtype is np.uint8)
    names = {"np": np, "filter": ids}
    exec(re.search(r"mask: (mask = .*? = True)", str(error.value))[1], names)
    assert np.flatnonzero(names["mask"]).tolist() == ids.tolist() and names["mask"].shape == (50,)
    with pytest.raises(ValueError, match=r"filter: expected shape .*in words of 32 bits, got \(3,\); of ids, make a mask"):
        ak.knn(X, X[:2], 3, filter=ids.astype(np.uint32))


def test_torch_masks():
    torch = pytest.importorskip("torch")
    names = {"torch": torch, "filter": torch.tensor([3, 7])}
    with pytest.raises(TypeError, match="make a mask") as error:
        ak.knn(torch.from_numpy(X), torch.from_numpy(X), 3, filter=names["filter"])
    exec(re.search(r"mask: (mask = .*? = True)", str(error.value))[1], names)
    assert names["mask"].nonzero().ravel().tolist() == [3, 7]


def test_jax():
    jax = pytest.importorskip("jax")
    x = jax.numpy.asarray(X)
    dist, idx = ak.knn(x, x[:3], 4)
    assert idx.dtype == np.int32 and np.array_equal(ak.distances(x, x[:3], idx), dist)
    with pytest.raises(TypeError, match="queries: expected an array, got a JAX tracer, which holds no numbers"):
        jax.jit(lambda x: ak.knn(x, x, 1))(x)
    mask = jax.numpy.zeros(50, bool).at[idx[0]].set(True)
    with pytest.raises(TypeError, match=re.escape("mask = jnp.zeros(50, bool).at[filter].set(True)")):
        ak.knn(x, x[:3], 4, filter=idx[0])
    assert np.array_equal(ak.knn(x, x[:1], 4, filter=mask)[1], idx[:1])


# Metrics.

ALIASES = {"l1": "cityblock", "manhattan": "cityblock", "cos": "cosine", "angular": "cosine", "linf": "chebyshev"}


@pytest.mark.parametrize("alias", ALIASES)
def test_aliases(backend, alias):
    x = backend.array(X)
    for one, other in zip(ak.knn(x, x, 3, alias), ak.knn(x, x, 3, ALIASES[alias]), strict=True):
        assert backend.numpy(one).tobytes() == backend.numpy(other).tobytes()
    assert ak.Index.build(X, "flat,f32", alias).metric == ALIASES[alias]
    assert ak.merge_topk(np.zeros((1, 1, 1), np.float32), np.zeros((1, 1, 1), np.int64), 1, alias)[1].tolist() == [[0]]


@pytest.mark.parametrize(
    ("typo", "meant"), [("euclidian", "euclidean"), ("Cosine", "cosine"), ("innerproduct", "inner_product"), ("L2", "l2")]
)
def test_did_you_mean(typo, meant):
    for call in (lambda: ak.knn(X, X, 1, typo), lambda: ak.compress(X, "lvq8", typo), lambda: ak.build_graph(X, typo)):
        with pytest.raises(ValueError, match=f"metric: expected .*got '{typo}'; did you mean '{meant}'?"):
            call()


# Numbers that are too large or negative.


@pytest.mark.parametrize("threads", [2**31, 2**62, 2**64, -1, 0])
def test_threads(threads):
    graph, store = ak.build_graph(X, degree=4), ak.compress(X, "lvq8")
    calls = [
        lambda: ak.knn(X, X, 1, threads=threads),
        lambda: ak.pairwise(X, X, threads=threads),
        lambda: ak.select_k(X, 1, threads=threads),
        lambda: ak.search_graph(graph, X, X, 1, threads=threads),
        lambda: ak.build_graph(X, threads=threads),
        lambda: ak.compress(X, "lvq8", threads=threads),
        lambda: store.decode(threads=threads),
        lambda: ak.KMeans(2, threads=threads).fit(X),
        lambda: ak.PQ(2, 4, threads=threads).fit(X),
        lambda: ak.OPQ(2, 4, threads=threads).fit(X),
        lambda: ak.LVQ(4, threads=threads).fit(X),
        lambda: ak.LeanVec(4, "lvq4", "lvq8", threads=threads).fit(X),
    ]
    words = f"expected at most {MOST_THREADS}" if threads > 0 else "expected 1 or more"
    for call in calls:
        with pytest.raises(ValueError, match=f"threads: {words}, got {threads}"):
            call()


@pytest.mark.parametrize("k", [2**62, 2**64, MOST_RESULTS + 1])
def test_k(k):
    graph = ak.build_graph(X, degree=4)
    ak.search_graph(graph, X, X, 1)
    three = X[:4, :3].reshape(2, 2, 3).copy()
    calls = [
        lambda: ak.knn(X, X, k),
        lambda: ak.knn(X, X[:0], k),
        lambda: ak.select_k(X, k),
        lambda: ak.search_graph(graph, X, X, k),
        lambda: ak.merge_topk(three, np.zeros((2, 2, 3), np.int64), k),
        lambda: ak.Index.build(X, "flat,f32").search(X, k),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=f"k: expected at most {MOST_RESULTS}, got {k}"):
            call()


# Environment variables.

SEARCH = "import numpy as np, annkern as ak; x = np.ones((4000, 32), np.float32); ak.knn(x, x, 3)"


@pytest.mark.parametrize("value", ["abc", "4,2", "-3", "0", "4 ", "99999999999999999999"])
def test_a_number_of_threads_that_is_none(value):
    status, said = run(SEARCH, ANNKERN_NUM_THREADS=value)
    assert (
        status == 1
        and f"ValueError: ANNKERN_NUM_THREADS: expected a number of threads, 1 to 2147483647, got '{value}'" in said
    )


@pytest.mark.parametrize("value", ["", "1", "007", "100000"])
def test_a_number_of_threads(value):
    assert run(SEARCH, ANNKERN_NUM_THREADS=value) == (0, "")


def test_an_unknown_device(monkeypatch):
    device = backends.Device("cuda", 0)
    monkeypatch.setenv("ANNKERN_DEVICE", "foo")
    with pytest.raises(ValueError, match="ANNKERN_DEVICE: expected emu, cuda or nothing, got 'foo'"):
        backends.backend_of(device)


@pytest.mark.parametrize(
    "environment",
    [{"ANNKERN_NUM_THREADS": "abc"}, {"ANNKERN_DEVICE": "foo"}, {"ANNKERN_ISA": "avx1024"}, {"ANNKERN_NUM_THREADS": "-3"}],
    ids=str,
)
def test_show_config_never_raises(environment):
    status, said = run("import annkern; annkern.show_config()", **environment)
    assert status == 0
    assert all(f"{name}={value}" in said for name, value in environment.items())


def test_config_says_why_there_is_no_cuda(capsys, monkeypatch):
    def load(name):
        if name == "cuda":
            raise ModuleNotFoundError
        return importlib.import_module(f"annkern._{name}")

    monkeypatch.setattr(backends, "load", load)
    if not load("cpu").backend_info()["note"]:
        pytest.skip("this build has CUDA")
    ak.show_config()
    assert re.search(r"cuda  not built: \S", capsys.readouterr().out)


# What is not here.


def test_faiss_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    for kind in ("hnsw", "nsg"):
        with pytest.raises(
            ImportError, match=r"Graph\.to_faiss makes an index of faiss, which is not here .*pip install faiss"
        ):
            ak.build_graph(X, degree=4).to_faiss(X, kind)


def test_subinterpreters_are_refused():
    code = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
script = '''
import sys
sys.path[:] = %r
try:
    import annkern
except ImportError as error:
    print("refused:", error)
'''
interpreters.run_string(interpreters.create(), script % (sys.path,))
"""
    assert "refused: " in run(code)[1]


def test_an_old_compiler_is_named(tmp_path):
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("no cmake")
    lists = tmp_path / "CMakeLists.txt"
    text = (ROOT / "CMakeLists.txt").read_text()
    checks = text[text.index("if((CMAKE_CXX_COMPILER_ID") : text.index("set(CMAKE_CXX_STANDARD 20)")]
    old = "set(CMAKE_CXX_COMPILER_ID GNU)\nset(CMAKE_CXX_COMPILER_VERSION 9.4.0)\n"
    lists.write_text("cmake_minimum_required(VERSION 3.24)\nproject(x LANGUAGES NONE)\n" + old + checks)
    done = subprocess.run([cmake, "-S", tmp_path, "-B", tmp_path / "b"], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and re.search(r"g\+\+ 11 or newer,\s+or\s+clang\s+14 or newer", done.stderr)
    assert "GNU 9.4.0" in done.stderr
