# SPDX-License-Identifier: Apache-2.0
"""Columns of data frames and of Arrow are arrays; what is none says how to make one, and the hint runs."""

from __future__ import annotations

import re

import numpy as np
import pytest

import annkern as ak

X = np.random.default_rng(3).standard_normal((40, 6), dtype=np.float32)
WANT = ak.knn(X, X[:3], 4)


def assert_same(found, want=WANT):
    for got, expected in zip(found, want, strict=True):
        assert type(got) is np.ndarray and got.tobytes() == expected.tobytes()


def hint_of(error):
    return re.search(r"(?:write|cast it:) (.*)$", str(error.value))[1]


@pytest.fixture
def pa():
    return pytest.importorskip("pyarrow")


@pytest.fixture
def pd():
    return pytest.importorskip("pandas")


def lists(pa, x, kind="fixed"):
    flat = pa.array(x.ravel())
    if kind == "fixed":
        return pa.FixedSizeListArray.from_arrays(flat, x.shape[1])
    offsets = np.arange(0, x.size + 1, x.shape[1])
    if kind == "large":
        return pa.LargeListArray.from_arrays(offsets, flat)
    return pa.ListArray.from_arrays(offsets.astype(np.int32), flat)


@pytest.mark.parametrize("kind", ["fixed", "list", "large"])
def test_arrow_lists_are_matrices(pa, kind):
    base = lists(pa, X, kind)
    assert_same(ak.knn(base, lists(pa, X[:3], kind), 4))
    assert_same(ak.knn(base, X[:3], 4))
    assert_same(ak.knn(lists(pa, np.concatenate([X[:5], X, X[:1]]), kind).slice(5, 40), X[:3], 4))
    assert_same(ak.knn(pa.chunked_array([base[:7], base[7:]]), X[:3], 4))
    assert_same(ak.knn(pa.table({"v": base})["v"], X[:3], 4))
    assert len(ak.compress(base, "lvq8")) == len(ak.Index.build(base, "graph4,lvq4x8")) == len(ak.build_graph(base)) == 40
    assert ak.KMeans(2).fit(base).centroids_.tobytes() == ak.KMeans(2).fit(X).centroids_.tobytes()


def test_arrow_numbers_are_not_copied(pa):
    flat = pa.array(X.ravel())
    store = ak.compress(pa.FixedSizeListArray.from_arrays(flat, 6), "f32")
    assert store.arrays["data"].ctypes.data == flat.buffers()[1].address


def test_arrow_booleans_and_ids(pa):
    allowed = np.arange(40) % 3 == 0
    assert_same(ak.knn(X, X[:3], 4, filter=pa.array(allowed)), ak.knn(X, X[:3], 4, filter=allowed))
    ids = pa.FixedSizeListArray.from_arrays(pa.array(WANT[1].ravel()), 4)
    assert ak.distances(X, X[:3], ids).tobytes() == WANT[0].tobytes()


def test_arrow_that_is_no_matrix(pa):
    wrong = {
        r"expected a column without nulls, got 1 in 2 cells": pa.array([[1.0], None], pa.list_(pa.float32(), 1)),
        r"expected lists without nulls, got 1 in 2 cells": pa.array([[1.0], [None]], pa.list_(pa.float32())),
        r"expected lists of equal length, got 2 in row 1": pa.array([[1.0], [1.0, 2.0]], pa.list_(pa.float32())),
        r"expected numbers, or lists of equally many, got a pyarrow column of string": pa.array(["a"]),
        r"expected a column, got a pyarrow Table; write base\['its name'\]": pa.table({"v": lists(pa, X)}),
    }
    for words, base in wrong.items():
        with pytest.raises((TypeError, ValueError), match=f"base: {words}"):
            ak.knn(base, X, 1)


def test_the_hints_for_arrow_run(pa):
    base = pa.array(X.tolist())  # list<double>
    with pytest.raises(TypeError, match=r"base: expected .*got float64; cast it: ") as error:
        ak.knn(base, X[:3], 4)
    assert_same(ak.knn(eval(hint_of(error), {"np": np, "base": base}), X[:3], 4))
    single = pa.array(X[0])
    with pytest.raises(ValueError, match="queries: expected 2 dimensions") as error:
        ak.knn(X, single, 4)
    assert_same(ak.knn(X, eval(hint_of(error), {"queries": single}), 4), ak.knn(X, X[:1], 4))


def test_pandas_columns(pd):
    frame = pd.DataFrame({"v": list(X), "keep": np.arange(40) % 3 == 0, "id": np.arange(40)})
    assert_same(ak.knn(frame["v"], frame["v"][:3], 4))
    assert_same(ak.knn(pd.DataFrame(X), X[:3], 4))
    assert_same(ak.knn(X, X[:3], 4, filter=frame["keep"]), ak.knn(X, X[:3], 4, filter=np.arange(40) % 3 == 0))
    assert len(ak.Index.build(frame["v"], "graph4,f32")) == 40
    graph = ak.build_graph(frame["v"].sample(frac=1, random_state=1), degree=4)  # whose labels are not places
    assert len(graph) == 40


def test_pandas_columns_of_arrow(pd, pa):
    series = pd.Series(pd.arrays.ArrowExtensionArray(lists(pa, X, "list")))
    assert_same(ak.knn(series, X[:3], 4))


def test_the_hints_for_pandas_run(pd):
    names = {"np": np}
    for base in (pd.Series(X.tolist()), pd.DataFrame(X.astype(np.float64))):
        with pytest.raises(TypeError, match=r"base: expected .*got float64; cast it: ") as error:
            ak.knn(base, X[:3], 4)
        assert_same(ak.knn(eval(hint_of(error), names | {"base": base}), X[:3], 4))
    queries = pd.Series(X[0])
    with pytest.raises(ValueError, match="queries: expected 2 dimensions") as error:
        ak.knn(X, queries, 4)
    assert_same(ak.knn(X, eval(hint_of(error), names | {"queries": queries}), 4), ak.knn(X, X[:1], 4))
    with pytest.raises(ValueError, match="base: expected rows of equal length in all cells, got 5 numbers in row 1"):
        ak.knn(pd.Series([X[0], X[1, :5]]), X, 1)
    with pytest.raises(TypeError, match="base: expected numbers, or a list of them in each cell, got Series"):
        ak.knn(pd.Series([object(), None]), X, 1)


def test_polars_columns(pa):
    pl = pytest.importorskip("polars")
    for kind in (pl.List(pl.Float32), pl.Array(pl.Float32, 6)):
        assert_same(ak.knn(pl.Series(X.tolist(), dtype=kind), X[:3], 4))


def test_objects_of_arrow_s_interface(pa):
    class Other:
        def __init__(self, array):
            self.array = array

        def __arrow_c_array__(self, requested_schema=None):
            return self.array.__arrow_c_array__(requested_schema)

    assert_same(ak.knn(Other(lists(pa, X)), X[:3], 4))


def test_arrays_of_objects_name_np_stack():
    base = np.empty(40, object)
    base[:] = list(X)
    with pytest.raises(TypeError, match=r"base: expected numbers, got an array of objects; .*np\.stack\(base\)") as error:
        ak.knn(base, X[:3], 4)
    assert_same(ak.knn(eval(hint_of(error), {"np": np, "base": base}), X[:3], 4))
    for name in ("ids", "filter"):
        with pytest.raises(TypeError, match=rf"{name}: expected numbers, got an array of objects; .*np\.stack\({name}\)"):
            ak.distances(X, X, base) if name == "ids" else ak.knn(X, X, 1, filter=base)


def test_sparse_matrices_are_refused():
    sparse = pytest.importorskip("scipy.sparse")
    for base in (sparse.csr_matrix(X), sparse.coo_array(X)):
        with pytest.raises(
            TypeError, match=rf"base: expected a dense array, got {type(base).__name__} of scipy.sparse"
        ) as error:
            ak.knn(base, X[:3], 4)
        assert_same(ak.knn(eval(hint_of(error), {"base": base}), X[:3], 4))
