# SPDX-License-Identifier: Apache-2.0
"""Lists: built and searched as the definitions say on every backend, whatever the threads, batches and stores; filters; bad
input."""

from __future__ import annotations

import importlib
import pickle

import numpy as np
import pytest
from conftest import BACKENDS
from test_graph import gaussian, whole_numbers

import annkern as ak
from annkern import reference
from annkern.stores.registry import RULES

building = importlib.import_module("annkern.ivf.build_lists")  # the package has a function of that name
METRICS = ("sqeuclidean", "euclidean", "inner_product", "cosine", "cityblock", "chebyshev")
SPECS = [spec for rule in RULES for spec in rule[2] if spec not in ("i8", "u8")]


@pytest.fixture(params=list(BACKENDS))
def backend(request, monkeypatch):
    if request.param == "emu":
        monkeypatch.setenv("ANNKERN_DEVICE", "emu")
    return BACKENDS[request.param]()


def search(backend, lists, store, queries, k, **options):
    """There, as NumPy arrays; whatever is an array, or has convert, is moved there first."""

    def there(x):
        if backend.on_host:
            return x
        return x.convert(backend.array) if hasattr(x, "convert") else backend.array(x) if isinstance(x, np.ndarray) else x

    moved = {name: there(value) for name, value in options.items()}
    return tuple(backend.numpy(x) for x in ak.search_lists(there(lists), there(store), there(queries), k, **moved))


def same(a, b):
    assert [x.tobytes() for x in a] == [x.tobytes() for x in b]


def members(lists: ak.Lists) -> list[np.ndarray]:
    return np.split(lists.ids, lists.offsets[1:-1])


def defined(lists, x, q, k, probes, metric, filter=None):
    order = ak.knn(lists.coarse, q, lists.shape[0], lists.order_metric)[1]
    return reference.search_lists(members(lists), order, x, q, k, probes, metric, filter)


def uneven(n: int = 400, d: int = 7, metric: str = "sqeuclidean") -> tuple[np.ndarray, ak.Lists]:
    """Rows of which many are equal, in lists of which some are empty."""
    x = whole_numbers(n, d)
    x[::3] = x[0]
    lists = ak.build_lists(x, 40, metric)
    assert lists.sizes.min() == 0
    return x, lists


@pytest.mark.parametrize("soar, weight", [(True, 1.0), (True, 0.0), (True, 9.0), (False, 1.0)])
@pytest.mark.parametrize("near", [2, 16])
def test_rows_go_to_the_lists_that_the_definition_says(monkeypatch, soar, weight, near):
    monkeypatch.setattr(building, "NEAR", near)
    x = whole_numbers(500, 6)
    lists = ak.build_lists(x, 30, soar=soar, soar_lambda=weight)
    for rows, want in zip(members(lists), reference.build_lists(x, lists.centroids, soar, weight), strict=True):
        np.testing.assert_array_equal(rows, want)


@pytest.mark.parametrize("metric", METRICS)
def test_build_gives_the_same_bytes(metric, tmp_path):
    x = gaussian(1500, 12)
    first, again = (ak.build_lists(x, metric=metric, threads=threads) for threads in (1, 7))
    for name, lists in (("a", first), ("b", again), ("c", pickle.loads(pickle.dumps(first)))):
        lists.save(tmp_path / name)
    ak.load(tmp_path / "a").save(tmp_path / "d")
    assert len({(tmp_path / name).read_bytes() for name in "abcd"}) == 1
    assert first.shape == (155, 12) and first.copies == 2 and len(first) == 1500
    assert not any(array.flags.writeable for array in (first.centroids, first.offsets, first.ids))
    if metric == "cosine":
        np.testing.assert_allclose(np.linalg.norm(first.centroids, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k, probes", [(1, 1), (7, 3), (30, 2), (700, 5), (5, 40)])
def test_search_is_the_definition(backend, metric, k, probes):
    x, lists = uneven(metric=metric)
    q = whole_numbers(20, 7, 1)
    dist, ids = search(backend, lists, x, q, k, probes=probes)
    want = defined(lists, x, q, k, probes, metric)
    np.testing.assert_allclose(dist, want[0], rtol=1e-5, atol=1e-6)
    if metric != "cosine":  # whose order hangs on roundings
        np.testing.assert_array_equal(ids, want[1])
    same(search(backend, lists, ak.compress(x, "f32", lists=lists), q, k, probes=probes), (dist, ids))


@pytest.mark.parametrize("k, probes", [(1, 1), (7, 3), (60, 5)])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5])
@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_filters_are_the_definition(backend, k, probes, share, each, packed):
    x, lists = uneven()
    q = whole_numbers(17, 7, 1)
    allowed = np.random.default_rng(2).random((17, 400) if each else 400) < share
    allowed[..., 5] |= share == 0.02
    given = allowed
    if packed:
        given = np.packbits(np.pad(allowed, [(0, 0)] * (allowed.ndim - 1) + [(0, 16)]), axis=-1, bitorder="little")
        given = np.ascontiguousarray(given).view(np.uint32)
    want = defined(lists, x, q, k, probes, "sqeuclidean", allowed)
    for store in (x, ak.compress(x, "f32", lists=lists)):
        ids = search(backend, lists, store, q, k, probes=probes, filter=given)[1]
        np.testing.assert_array_equal(ids, want[1])


def test_a_filter_that_passes_all_is_none(backend):
    x, lists = uneven()
    for allowed in (np.ones(400, bool), np.ones((9, 400), bool)):
        found = search(backend, lists, x, x[:9], 30, probes=3, filter=allowed)
        same(found, search(backend, lists, x, x[:9], 30, probes=3))


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("soar", [False, True])
def test_all_lists_give_what_knn_gives(backend, spec, soar):
    x, q = gaussian(500, 24), gaussian(9, 24, 1)
    lists = ak.build_lists(x, 20, soar=soar)
    store, plain = ak.compress(x, spec, lists=lists), ak.compress(x, spec)
    assert store.arranged == lists.fingerprint and plain.arranged is None
    for level, own in ((store, plain),) if store.primary is None else ((store.primary, plain.primary),):
        level.arranged = lists.fingerprint
        where = own if backend.on_host else own.convert(backend.array)
        want = ak.knn(where, q if backend.on_host else backend.array(q), 10)
        want = tuple(backend.numpy(part) for part in want)
        same(search(backend, lists, level, q, 10, probes=20), want)
        same(search(backend, lists, own, q, 10, probes=20), want)


@pytest.mark.parametrize("spec", ["lvq8", "lvq4", "pq12x4", "pq12x8", "rabitq2", "f16"])
@pytest.mark.parametrize("filtered", [False, True])
def test_neither_batch_nor_threads_show(spec, filtered):
    x, q = gaussian(3000, 24), gaussian(700, 24, 1)
    lists = ak.build_lists(x, 60)
    store = ak.compress(x, spec, lists=lists)
    options = {"probes": 9, "filter": np.arange(3000) % 3 > 0 if filtered else None, "rerank": x, "rerank_k": 40}
    found = ak.search_lists(lists, store, q, 10, threads=1, **options)
    for threads, cut in ((7, 700), (2, 3), (1, 1)):
        parts = [ak.search_lists(lists, store, q[i : i + cut], 10, threads=threads, **options) for i in range(0, 700, cut)]
        same([np.concatenate(part) for part in zip(*parts, strict=True)], found)


@pytest.mark.parametrize("spec", ["lvq4x8", "leanvec12:lvq4,lvq8"])
def test_two_levels(backend, spec):
    """The secondary lies in the lists' order, a finer array of the caller's in its own; distances are the finer form's."""
    x, q = gaussian(900, 24), gaussian(40, 24, 1)
    lists = ak.build_lists(x, 30)
    store = ak.compress(x, spec, lists=lists)
    plain = ak.compress(x, spec)
    want = ak.knn(plain if backend.on_host else plain.convert(backend.array), q if backend.on_host else backend.array(q), 10)
    same(search(backend, lists, store, q, 10, probes=30, rerank_k=42), [backend.numpy(part) for part in want])
    dist, ids = search(backend, lists, store, q, 10, probes=30, rerank=x, rerank_k=60)
    np.testing.assert_allclose(dist, ak.distances(x, q, ids), rtol=1e-5)
    assert len(np.unique(ids[0])) == 10


@pytest.mark.parametrize("n, n_lists", [(0, None), (1, None), (1, 1), (5, 5), (64, 1)])
def test_few_rows(backend, n, n_lists):
    x = gaussian(n, 4)
    lists = ak.build_lists(x, n_lists)
    dist, ids = search(backend, lists, x, gaussian(3, 4, 1), 7, probes=1)
    assert ids.shape == (3, 7) and (ids[:, n:] == -1).all() and np.isinf(dist[:, n:]).all()
    assert all(sorted(row[: min(n, 7)]) == sorted(set(row[: min(n, 7)])) for row in ids.tolist())
    assert search(backend, lists, x, gaussian(0, 4), 7)[1].shape == (0, 7)
    assert search(backend, lists, x, gaussian(3, 4), 0)[1].shape == (3, 0)


@pytest.mark.parametrize("metric", ["sqeuclidean", "cosine"])
def test_rows_that_are_all_equal(metric):
    for row in (np.zeros(5, np.float32), np.ones(5, np.float32)):
        x = np.repeat(row[None], 3000, axis=0)
        lists = ak.build_lists(x, 50, metric)
        ids = ak.search_lists(lists, ak.compress(x, "lvq8", metric, lists=lists), x[:2], 10, probes=1)[1]
        np.testing.assert_array_equal(ids, [np.arange(10)] * 2)


@pytest.mark.parametrize("soar", [True, False])
def test_rerank_lies_as_the_store_does(backend, soar):
    """In the rows' own order or in that of the lists, whose rows are as many without SOAR."""
    x, q = gaussian(600, 16), gaussian(20, 16, 1)
    lists = ak.build_lists(x, 20, soar=soar)
    store, fine = ak.compress(x, "lvq4", lists=lists), ak.compress(x, "f32", lists=lists)
    want = search(backend, lists, store, q, 5, probes=6, rerank=x)
    same(search(backend, lists, store, q, 5, probes=6, rerank=fine), want)
    same(search(backend, lists, ak.compress(x, "lvq4"), q, 5, probes=6, rerank=fine), want)


def test_stores_in_the_order_of_lists_stay_out_of_where_ids_are_made(tmp_path):
    x = gaussian(300, 8)
    lists = ak.build_lists(x, 10)
    store = ak.compress(x, "lvq8", lists=lists)
    for name, make in {
        "store": lambda: ak.Index.of(store),
        "rerank": lambda: ak.Index.of(ak.compress(x, "lvq4"), rerank=store),
        "x": lambda: ak.Index.build(store, "flat,lvq8"),
    }.items():
        with pytest.raises(ValueError, match=f"{name}: expected a store of rows in their own order"):
            make()
    with pytest.raises(ValueError, match="x: expected a store of rows in their own order"):
        ak.build_lists(store)
    index = ak.Index.build(x, "ivf10,lvq8")
    index.lists = None
    index.save(tmp_path / "x")
    with pytest.raises(ValueError, match="store: expected a store of rows in their own order"):
        ak.load(tmp_path / "x")


def test_bad_input(backend):
    x, lists = uneven()
    q, store = x[:3], ak.compress(x, "lvq8", lists=lists)
    other = ak.build_lists(x, 39)
    for options, error, words in [
        ({"probes": 0}, ValueError, "probes: expected"),
        ({"probes": 1.5}, TypeError, "probes: expected"),
        ({"rerank_k": 20}, ValueError, "rerank_k: expected rerank beside it, got rerank=None"),
        ({"rerank": x, "rerank_k": 4}, ValueError, "rerank_k: expected"),
        ({"rerank": x[1:]}, ValueError, "rerank: expected 400 rows, as lists of 400 rows ask for, got 399"),
        ({"filter": np.ones(399, bool)}, ValueError, r"filter: expected shape \(400,\)"),
        ({"metric": "hamming"}, (ValueError, TypeError), "metric"),
    ]:
        with pytest.raises(error, match=words):
            search(backend, lists, store, q, 5, **options)
    with pytest.raises(ValueError, match="store: expected 400 rows, as lists of 400 rows ask for, got 399"):
        search(backend, lists, x[1:], q, 5)
    with pytest.raises(ValueError, match="store: expected one that compress made with these lists"):
        search(backend, other, store, q, 5)
    with pytest.raises(ValueError, match="queries: expected 7 columns"):
        search(backend, lists, store, q[:, 1:].copy(), 5)
    with pytest.raises(ValueError, match="queries: expected finite numbers, got NaN or infinity in row 1"):
        search(backend, lists, store, np.where(np.arange(3)[:, None] == 1, np.nan, q).astype(np.float32), 5)
    with pytest.raises(ValueError, match="rerank: expected one that compress made with these lists"):
        search(backend, lists, store, q, 5, rerank=ak.compress(x, "f32", lists=other))
    with pytest.raises(TypeError, match="lists: expected Lists"):
        ak.search_lists(x, store, q, 5)
    none = ak.build_lists(x[:0])
    with pytest.raises(ValueError, match="probes: expected"):
        search(backend, none, ak.compress(x[:0], "f32", lists=none), q, 5, probes=0)
    same(search(backend, lists, store, q, 5, probes=10**6), search(backend, lists, store, q, 5, probes=40))


def test_rows_with_nan_are_named():
    x, lists = uneven()
    wrong = x.copy()
    wrong[7, 3] = np.nan
    with pytest.raises(ValueError, match="store: expected finite numbers, got NaN or infinity in row 7"):
        ak.search_lists(lists, wrong, x[7:8], 5, probes=40)
    with pytest.raises(ValueError, match="x: expected finite numbers, got NaN or infinity in row 7"):
        ak.build_lists(wrong, 4)
    with pytest.raises(ValueError, match="x: expected finite numbers, got NaN or infinity in row 7"):
        ak.build_lists(wrong, 4, sample=1, seed=3)


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"n_lists": 401}, ValueError, "n_lists: expected at most the 400 rows of x, got 401"),
        ({"n_lists": 0}, ValueError, "n_lists: expected"),
        ({"metric": "jaccard"}, ValueError, "metric: expected one of numbers, got 'jaccard', which takes bits"),
        ({"soar_lambda": -1}, ValueError, "soar_lambda: expected a number from 0 on, got -1"),
        ({"soar_lambda": np.nan}, ValueError, "soar_lambda: expected"),
        ({"sample": 0}, ValueError, "sample: expected"),
        ({"iterations": -1}, ValueError, "iterations: expected"),
    ],
)
def test_build_says_what_is_wrong(options, error, words):
    with pytest.raises(error, match=words):
        ak.build_lists(whole_numbers(400, 7), **options)


def test_lists_are_looked_at_before_kernels_trust_them():
    c, offsets, ids = np.zeros((2, 3), np.float32), np.array([0, 2, 3]), np.array([0, 2, 1], np.int32)
    assert len(ak.Lists(c, offsets, ids, "l2")) == 3
    for wrong, words in [
        ((c, offsets[:2], ids), "lists.offsets: expected 3, one more than centroids, got 2"),
        ((c, offsets + 1, ids), "lists.offsets: expected to ascend from 0 to the 3 ids"),
        ((c, np.array([0, 4, 3]), ids), "lists.offsets: expected to ascend"),
        ((c, offsets, np.array([2, 0, 1], np.int32)), "lists.ids: expected to ascend in each list, got 2 before 0"),
        ((c, offsets, ids - 1), "lists.ids: expected rows from 0 on, got -1"),
        ((c, offsets, ids * 2), "lists.ids: expected each row in a list, got row 4 among 3 members"),
        ((c, offsets, np.array([0, 2, 2], np.int32)), "lists.ids: expected each row in a list, but row 1 is in none"),
        ((c, offsets, ids.astype(np.int64)), "lists.ids: expected a row-major array of 1 dimensions in int32"),
        ((c * np.nan, offsets, ids), "lists.centroids: expected finite numbers, got NaN or infinity in row 0"),
        ((c, offsets, ids, "hamming"), "metric: expected one of numbers"),
        ((c, offsets, ids, "l3"), "metric: expected sqeuclidean"),
    ]:
        with pytest.raises(ValueError, match=words):
            ak.Lists(*wrong)


def test_stores_in_the_order_of_lists_are_kept(tmp_path):
    x, lists = uneven()
    store = ak.compress(x, "lvq4x8", lists=lists)
    store.save(tmp_path / "s")
    again = ak.load(tmp_path / "s")
    assert again.arranged == lists.fingerprint
    same(ak.search_lists(lists, again, x[:5], 4), ak.search_lists(lists, store, x[:5], 4))
    with pytest.raises(TypeError, match="lists: expected Lists, as of build_lists, got list"):
        ak.compress(x, "lvq8", lists=[1])
    with pytest.raises(ValueError, match="lists: expected those of 399 rows, as x has, got 400"):
        ak.compress(x[1:], "lvq8", lists=lists)
