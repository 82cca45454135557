# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong with a call is told by argument, with what was expected and what came; nothing is written."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import annkern as ak

N, M, D, K = 20, 3, 6, 4


@pytest.fixture
def x():
    return np.random.default_rng(8).standard_normal((N, D)).astype(np.float32)


@pytest.fixture
def search(backend, x):
    """search(base=..., queries=..., ...) with good arguments but those given."""

    def call(op="knn", **changed):
        good = {"base": x, "queries": x[:M], "metric": "sqeuclidean"} | ({"k": K} if op == "knn" else {})
        if op == "radius":
            good["r"] = 1.0
        arguments = good | changed
        there = {name: backend.array(value) if isinstance(value, np.ndarray) else value for name, value in arguments.items()}
        return getattr(ak, op)(**there)

    return call


OPS = ["knn", "pairwise", "radius"]


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("name", ["base", "queries"])
@pytest.mark.parametrize("dtype", ["float64", "int32", "int64", "uint32", "bool"])
def test_dtypes(search, x, op, name, dtype):
    with pytest.raises(TypeError, match=f"{name}: expected .*got {dtype}; cast it: .*{name}.*float32"):
        search(op, **{name: x[:M].astype(dtype)})


def test_complex_and_byte_swapped(x):
    with pytest.raises(TypeError, match=r"base: expected .*got complex64"):
        ak.knn(x.astype(np.complex64), x, 1)
    with pytest.raises(TypeError, match=r"base: expected .*got byte-swapped float32"):
        ak.knn(x.astype(">f4"), x, 1)


@pytest.mark.parametrize("op", OPS)
def test_queries_of_another_dtype_than_base(search, x, op):
    for base, queries in [(np.float32, np.float16), (np.float16, np.int8), (np.int8, np.uint8), (np.uint8, np.int8)]:
        with pytest.raises(TypeError, match=f"queries: expected {np.dtype(base).name}.*got {np.dtype(queries).name}"):
            search(op, base=x.astype(base), queries=x[:M].astype(queries))
    with pytest.raises(TypeError, match="queries: expected float16 or float32, got bfloat16"):
        search(op, base=x.astype(np.float16), queries=x[:M].astype(ml_dtypes.bfloat16))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("metric", ["hamming", "jaccard"])
def test_bit_metrics_take_packed_bits(search, op, metric):
    with pytest.raises(TypeError, match=f"base: metric '{metric}' takes packed bits.*packbits.*got float32"):
        search(op, metric=metric)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("name", ["base", "queries"])
def test_dimensions(search, x, op, name):
    with pytest.raises(ValueError, match=rf"{name}: expected 2 dimensions .*got shape \(6,\); .*{name}\[None\]"):
        search(op, **{name: x[0].copy()})
    with pytest.raises(ValueError, match=rf"{name}: expected 2 dimensions .*got shape \(\)"):
        search(op, **{name: np.zeros((), np.float32)})
    with pytest.raises(ValueError, match=rf"{name}: expected 2 dimensions .*got shape \(1, 20, 6\)"):
        search(op, **{name: x[None].copy()})


@pytest.mark.parametrize("op", OPS)
def test_columns_differ(search, x, op):
    with pytest.raises(ValueError, match=r"queries: expected 6 columns, as base has, got shape \(3, 5\)"):
        search(op, queries=x[:M, :5].copy())


@pytest.mark.parametrize("op", OPS)
def test_not_an_array(x, op):
    extra = {"knn": {"k": 1}, "radius": {"r": 1.0}}.get(op, {})
    for value in ([[1.0, 2.0]], "text", 3.0, None, object()):
        with pytest.raises((TypeError, ValueError), match=r"base: expected"):
            getattr(ak, op)(base=value, queries=x, **extra)
    with pytest.raises(TypeError, match=r"base: expected an array .* got list; write np\.asarray\(base"):
        getattr(ak, op)(base=[[1.0]], queries=x, **extra)
    with pytest.raises(TypeError, match=r"base: expected an array without a mask"):
        getattr(ak, op)(base=np.ma.masked_array(x, x > 0), queries=x, **extra)


@pytest.mark.parametrize("op", OPS)
def test_metrics(search, op):
    with pytest.raises(ValueError, match=r"metric: expected sqeuclidean, .*jaccard, l2, ip, .* or linf, got 'minkowski'"):
        search(op, metric="minkowski")
    with pytest.raises(TypeError, match="metric: expected a name, got int"):
        search(op, metric=2)


@pytest.mark.parametrize("k, error", [(-1, ValueError), (2.0, TypeError), ("4", TypeError), (None, TypeError)])
def test_k(search, backend, x, k, error):
    with pytest.raises(error, match="k: expected"):
        search(k=k)
    with pytest.raises(error, match="k: expected"):
        ak.select_k(backend.array(x), k)
    with pytest.raises(error, match="k: expected"):
        ak.merge_topk(backend.array(x[None]), backend.array(np.zeros((1, N, D), np.int64)), k)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("threads, error", [(0, ValueError), (-2, ValueError), (1.5, TypeError)])
def test_threads(search, op, threads, error):
    with pytest.raises(error, match="threads: expected"):
        search(op, threads=threads)


def test_streams(search, backend):
    if backend.on_host:
        with pytest.raises(ValueError, match="stream: expected None for arrays in host memory"):
            search(stream=0)
    else:
        with pytest.raises(TypeError, match=r"stream: expected an integer .*got str"):
            search(stream="0")
        with pytest.raises(ValueError, match="stream: expected 0 or more, got -1"):
            search(stream=-1)


@pytest.mark.parametrize("r, error", [(np.nan, ValueError), ("far", TypeError), (None, TypeError)])
def test_r(search, r, error):
    with pytest.raises(error, match="r: expected a number"):
        search("radius", r=r)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_rows_that_are_not_finite(search, x, op, value, dtype):
    for metric in ("sqeuclidean", "inner_product", "cosine", "chebyshev"):
        for name, row in (("base", 13), ("base", N - 1), ("queries", 2)):
            arrays = {"base": x.astype(dtype), "queries": x[:M].astype(dtype)}
            arrays[name][row, D - 1] = value
            with pytest.raises(ValueError, match=f"{name}: expected finite numbers, got NaN or infinity in row {row} "):
                search(op, metric=metric, **arrays)
            search(op, metric=metric, check_finite=False, **arrays)


def test_the_smallest_bad_row_is_named(search, backend):
    base = np.zeros((300 if backend.slow else 20_000, 2), np.float32)
    base[[100, 150, len(base) - 1]] = np.nan
    with pytest.raises(ValueError, match="in row 100 "):
        search(base=base, queries=base[:50].copy())
    with pytest.raises(ValueError, match="in row 100 "):
        search(base=base, queries=base[:1].copy())


@pytest.mark.parametrize("op", ["knn", "radius"])
def test_filters(search, op):
    for filter in (np.ones(N - 1, bool), np.ones((M, N + 1), bool), np.ones((M + 1, N), bool), np.ones((1, 1, N), bool)):
        with pytest.raises(ValueError, match=r"filter: expected shape \(20,\) or \(3, 20\) in booleans, got"):
            search(op, filter=filter)
    for filter in (np.ones(2, np.uint32), np.ones((M, 2), np.uint32), np.ones(N, np.uint32)):
        with pytest.raises(ValueError, match=r"filter: expected shape \(1,\) or \(3, 1\) in words of 32 bits, got"):
            search(op, filter=filter)
    for dtype in (np.uint8, np.int64, np.float32):
        with pytest.raises(TypeError, match=f"filter: expected bool or uint32, got {np.dtype(dtype).name}; of ids"):
            search(op, filter=np.ones(N, dtype))


def outputs(distances=np.float32, indices=np.int64, shape=(M, K)):
    return np.full(shape, 77, distances), np.full(shape, 77, indices)


def test_outputs(search, backend, x):
    def refused(error, match, pair):
        there = tuple(backend.array(part) if isinstance(part, np.ndarray) else part for part in pair)
        with pytest.raises(error, match=match):
            search(out=there)
        for part in there:
            if hasattr(part, "shape"):
                assert (backend.numpy(part) == 77).all()

    refused(TypeError, r"out\[0\]: expected dtype float32, got float64", outputs(distances=np.float64))
    refused(TypeError, r"out\[1\]: expected dtype int64, got int32", outputs(indices=np.int32))
    refused(ValueError, r"out\[0\]: expected shape \(3, 4\), got \(3, 5\)", outputs(shape=(M, K + 1)))
    refused(ValueError, r"out\[0\]: expected shape \(3, 4\), got \(12,\)", outputs(shape=(M * K,)))
    with pytest.raises(TypeError, match="out: expected a pair"):
        search(out=backend.array(outputs()[0]))
    with pytest.raises(TypeError, match=r"out\[0\]: expected an array"):
        search(out=([1.0], [2]))

    wide = backend.array(np.full((M, 2 * K), 77, np.float32))
    with pytest.raises(ValueError, match=r"out\[0\]: expected a contiguous row-major array"):
        search(out=(wide[:, ::2], backend.array(outputs()[1])))
    with pytest.raises(ValueError, match=r"out\[0\]: expected a contiguous row-major array"):
        search(out=(wide[:, :K], backend.array(outputs()[1])))
    assert (backend.numpy(wide) == 77).all()


def test_read_only_outputs(search, backend):
    if backend.name == "cuda":
        pytest.skip("torch has no read-only tensors")
    distances, indices = (backend.array(part) for part in outputs())
    backend.numpy(distances).flags.writeable = False
    with pytest.raises(ValueError, match=r"out\[0\]: expected a writable array, got a read-only one"):
        search(out=(distances, indices))
    assert (backend.numpy(indices) == 77).all()


def test_outputs_that_overlap(backend, x):
    """With an input, or with each other."""
    memory = backend.array(np.zeros(4096, np.float32))
    base = memory[: N * D].reshape(N, D) if hasattr(memory, "reshape") else type(memory)(memory.host[: N * D].reshape(N, D))

    def part(start, dtype, count=M * K):
        host = backend.numpy(memory) if backend.name != "cuda" else None
        if host is None:
            import torch

            size = count * (2 if dtype is np.int64 else 1)
            return memory[start : start + size].view(getattr(torch, np.dtype(dtype).name)).reshape(M, K)
        piece = host[start : start + count * np.dtype(dtype).itemsize // 4].view(dtype).reshape(M, K)
        return piece if backend.on_host else type(memory)(piece)

    queries = backend.array(x[:M])
    with pytest.raises(ValueError, match=r"out\[0\]: expected memory of its own, but it overlaps base"):
        ak.knn(base, queries, K, out=(part(N * D - 4, np.float32), part(2048, np.int64)))
    with pytest.raises(ValueError, match=r"out\[0\]: expected memory of its own, but it overlaps out\[1\]"):
        ak.knn(base, queries, K, out=(part(1024, np.float32), part(1024, np.int64)))
    ak.knn(base, queries, K, out=(part(N * D, np.float32), part(2048, np.int64)))


def test_nothing_is_written_on_error(search, backend, x):
    """Bad rows are found while the base is read: by then no result may have been touched."""
    x[N - 1, 0] = np.nan
    for op, shapes in (("knn", ((M, K), (M, K))), ("pairwise", ((M, N),))):
        out = tuple(
            backend.array(np.full(shape, 77, dtype)) for shape, dtype in zip(shapes, (np.float32, np.int64), strict=False)
        )
        with pytest.raises(ValueError, match=f"base: expected finite numbers.* row {N - 1} "):
            search(op, base=x, queries=np.zeros((M, D), np.float32), out=out if len(out) == 2 else out[0])
        for part in out:
            assert (backend.numpy(part) == 77).all()


def test_rerank(search, x):
    with pytest.raises(ValueError, match="rerank_k: expected rerank beside it"):
        search(rerank_k=8)
    with pytest.raises(ValueError, match="rerank_k: expected 4 or more, got 3"):
        search(rerank=x, rerank_k=3)
    with pytest.raises(ValueError, match="rerank: expected 20 rows, as base has, got 19"):
        search(rerank=x[:-1])
    with pytest.raises(TypeError, match=r"rerank: expected .*got float64"):
        search(rerank=x.astype(np.float64))
    with pytest.raises(ValueError, match="queries: expected 5 columns, as rerank has"):
        search(rerank=x[:, :5].copy())
    with pytest.raises(ValueError, match="rerank: not for packed bits"):
        search(base=np.ones((N, 1), np.uint8), queries=np.ones((M, 1), np.uint8), rerank=x, metric="hamming")
    fine = x.copy()
    fine[5] = np.inf
    with pytest.raises(ValueError, match="rerank: expected finite numbers, got NaN or infinity in row 5 "):
        search(rerank=fine, rerank_k=N)


def test_wide_8_bit_vectors():
    x = np.ones((2, 32_769), np.int8)
    with pytest.raises(ValueError, match=r"base: expected at most 32768 columns .*int8, got 32769; .*queries\.astype"):
        ak.knn(x, x, 1)
    assert (ak.knn(x, x.astype(np.float32), 1)[0] == 0).all()


def test_select_k(backend, x):
    values = backend.array(x)
    with pytest.raises(TypeError, match="values: expected float32, got float64; cast it"):
        ak.select_k(backend.array(x.astype(np.float64)), 2)
    with pytest.raises(ValueError, match=r"values: expected 2 dimensions \(m, n\), got shape \(6,\); .*values\[None\]"):
        ak.select_k(backend.array(x[0].copy()), 2)
    with pytest.raises(TypeError, match="ids: expected int64, got int16"):
        ak.select_k(values, 2, ids=backend.array(np.zeros((N, D), np.int16)))
    with pytest.raises(ValueError, match=r"ids: expected shape \(6,\) or \(20, 6\), got \(20,\)"):
        ak.select_k(values, 2, ids=backend.array(np.zeros(N, np.int64)))


def test_merge_topk(backend):
    dists, ids = np.zeros((2, 3, 4), np.float32), np.zeros((2, 3, 4), np.int64)
    with pytest.raises(ValueError, match=r"dists: expected 3 dimensions \(parts, m, width\), got shape \(3, 4\)"):
        ak.merge_topk(backend.array(dists[0]), backend.array(ids), 2)
    with pytest.raises(TypeError, match="dists: expected float32 or int32, got float64"):
        ak.merge_topk(backend.array(dists.astype(np.float64)), backend.array(ids), 2)
    with pytest.raises(ValueError, match=r"ids: expected shape \(2, 3, 4\), as dists has, got \(2, 3, 3\)"):
        ak.merge_topk(backend.array(dists), backend.array(ids[..., :3].copy()), 2)
    with pytest.raises(TypeError, match="ids: expected int64, got float32"):
        ak.merge_topk(backend.array(dists), backend.array(dists), 2)
    with pytest.raises(ValueError, match="metric: expected"):
        ak.merge_topk(backend.array(dists), backend.array(ids), 2, "nearest")
    for offsets, error, message in [
        ([0], ValueError, r"offsets: expected shape \(2,\), one for each part, got \(1,\)"),
        ([0, 1.5], TypeError, r"offsets: expected integers, got \[0, 1.5\]"),
        ([0, 2**63], ValueError, "offsets: expected integers of 64 bits"),
        (np.zeros(2, np.int16), TypeError, "offsets: expected int64, got int16"),
        (3, TypeError, "offsets: expected an array"),
    ]:
        with pytest.raises(error, match=message):
            ak.merge_topk(backend.array(dists), backend.array(ids), 2, offsets=offsets)


def test_arguments_have_the_names_of_their_operation(x):
    """`assign` is `knn` inside, and a build has rows alone."""
    wide, spoilt = x.astype(np.float64), x.copy()
    spoilt[5, 1] = np.nan
    for call, name in [
        (lambda bad: ak.assign(bad, x[:4]), "x"),
        (lambda bad: ak.assign(x, bad), "centroids"),
        (lambda bad: ak.build_graph(bad, degree=4), "store"),
        (lambda bad: ak.build_graph(bad, degree=4, method="nn_descent"), "store"),
    ]:
        with pytest.raises(TypeError, match=f"^{name}: expected float32.*got float64"):
            call(wide)
        with pytest.raises(ValueError, match=f"^{name}: expected finite numbers.* row 5 "):
            call(spoilt)
    with pytest.raises(ValueError, match=r"^x: expected 6 columns, as centroids has"):
        ak.assign(x[:, :5].copy(), x[:4])


def test_unknown_metrics_are_refused_before_work(x):
    neighbors = np.array([[1], [0]])
    for call in (
        lambda metric: ak.compress(x, "lvq4", metric),
        lambda metric: ak.Index.build(x, "flat,lvq4", metric or 3),  # None is the metric of a store
        lambda metric: ak.Index.build(x, "graph4,lvq4", metric or 3),
        lambda metric: ak.KMeans(3, metric=metric).fit(x),
        lambda metric: ak.Graph.of(neighbors, metric=metric or 3),  # None is the metric of the library that built it
    ):
        with pytest.raises(ValueError, match=r"metric: expected sqeuclidean, .*got 'L3'"):
            call("L3")
        for wrong in (None, 3, ["l2"]):
            with pytest.raises(TypeError, match="metric: expected a name, got"):
                call(wrong)


def test_seeds(x):
    seeded = [
        lambda seed, spec=spec: ak.compress(x, spec, seed=seed) for spec in ("rabitq2", "leanvec4:lvq4,lvq8", "opq2x4")
    ]
    estimators = [ak.RaBitQ(2), ak.BinaryQuantizer(rotation=True), ak.PQ(2, 4), ak.LeanVec(4), ak.KMeans(3)]
    seeded += [lambda seed, codec=codec: vars(codec).update(seed=seed) or codec.fit(x) for codec in estimators]
    for call in seeded:
        call(np.int64(3))
        for wrong in (1.5, "a", None):
            with pytest.raises(TypeError, match="seed: expected an integer"):
                call(wrong)
        with pytest.raises(ValueError, match="seed: expected 0 or more, got -1"):
            call(-1)


def test_real_numbers(x):
    store, ids = ak.compress(x, "rabitq2"), np.zeros((N, 1), np.int64)
    for name, call in [
        ("r", lambda value: ak.radius(x, x, value)),
        ("alpha", lambda value: ak.build_graph(x, degree=4, alpha=value)),
        ("e0", lambda value: store.error_bounds(x, ids, e0=value)),
        ("loss", lambda value: ak.LeanVec(loss=value)),
    ]:
        for wrong in ("1", b"1", [1.0]):
            with pytest.raises(TypeError, match=f"^{name}: expected a number, got {type(wrong).__name__}"):
                call(wrong)
        with pytest.raises(ValueError, match=f"^{name}: expected a number, got NaN"):
            call(np.nan)
    with pytest.raises(ValueError, match="e0: expected 0 or more, got -1"):
        store.error_bounds(x, ids, e0=-1)


def test_the_mask_to_write_is_there_in_every_numpy(x):
    with pytest.raises(TypeError, match=r"mask = np\.zeros\(20, bool\)"):
        ak.knn(x, x, K, filter=np.ones(N))
