# SPDX-License-Identifier: Apache-2.0
"""A store gives the same bytes on every backend: its codes, what they decode to, and, where its kernel is of integers, the
distances. Where rows are decoded to float32 first, distances agree as those of arrays do: bit for bit at levels that have
fused multiply-add."""

from __future__ import annotations

import numpy as np
import pytest

import annkern as ak
from annkern.runtime.backend import load
from annkern.stores.registry import RULES, codec

SPECS = [spec for rule in RULES for spec in rule[2] if spec not in ("f32", "f16", "bf16", "i8", "u8")]
INTEGERS = [spec for spec in SPECS if spec.startswith(("lvq", "rabitq", "bin")) and "x" not in spec]
METRICS = ["sqeuclidean", "euclidean", "inner_product", "cosine", "cityblock", "chebyshev"]
FUSED = load("cpu").backend_info()["isa"] != "baseline"
DIMS = [1, 33, 130]


def rows(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return (rng.standard_normal((n, d)) + 0.5).astype(np.float32)


def same(backend, here: object, there: object) -> None:
    assert np.asarray(here).tobytes() == backend.numpy(there).tobytes()


def levels(store: ak.Store) -> list[ak.Store]:
    """Each level as a store of its own."""
    if store.primary is None:
        return [store]
    fine = store.secondary
    return [store.primary, ak.Store(fine.kind, fine.spec, fine.shape, fine.arrays, fine.numbers, fine.metric)]


def fitted(spec: str, x: np.ndarray) -> ak.Store:
    try:
        return codec(spec).fit(x)
    except ValueError:
        pytest.skip("too few dimensions for this spec")


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("d", DIMS)
@pytest.mark.parametrize("spec", SPECS)
def test_codes(backend, rng, spec, d, dtype):
    x = (3 * rows(rng, 70, d)).astype(dtype)
    x[3] = 0
    x[4] = x[4, 0]
    x[5, ::2] = -0.0
    made = fitted(spec, x)
    here, there = made.encode(x), made.encode(backend.array(x))
    for mine, theirs in zip(here._all_arrays(), there._all_arrays(), strict=True):
        same(backend, mine, theirs)


@pytest.mark.parametrize("spec", SPECS)
def test_codes_of_large_and_small_numbers(backend, rng, spec):
    for magnitude in (1e6, 1e-8):
        x = (rows(rng, 70, 19) * magnitude).astype(np.float32)
        made = fitted(spec, x)
        here, there = made.encode(x), made.encode(backend.array(x))
        for mine, theirs in zip(here._all_arrays(), there._all_arrays(), strict=True):
            same(backend, mine, theirs)
        same(backend, here.decode(), there.decode())


@pytest.mark.parametrize("d", DIMS)
@pytest.mark.parametrize("spec", SPECS)
def test_decoded_rows(backend, rng, spec, d):
    x = rows(rng, 70, d)
    store = fitted(spec, x).encode(x)
    ids = np.array([3, 69, 0, 3])
    for level in levels(store):
        there = level.convert(backend.array)
        same(backend, level.decode(), there.decode())
        same(backend, level.decode(ids), there.decode(backend.array(ids)))


@pytest.mark.parametrize("spec", SPECS)
def test_rows_that_cannot_be_encoded(backend, rng, spec):
    x = rows(rng, 70, 24)
    made = fitted(spec, x)
    x[[40, 17, 63], [0, 23, 5]] = np.nan, np.inf, -np.inf
    with pytest.raises(ValueError, match="x: row 17"):
        made.encode(backend.array(x))


@pytest.mark.skipif(not FUSED, reason="two roundings a step at this level")
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("spec", SPECS)
def test_distances(backend, rng, spec, metric):
    """Few and many queries, dimensions that fill no block."""
    for d, n, m in ((33, 150, 3), (130, 140, 18)):
        x, q = rows(rng, n, d), rows(rng, m, d)
        q[1] = 0
        ids = rng.integers(-1, n, (m, 9))
        store = fitted(spec, x).encode(x)
        for level in levels(store):
            if level.projection is not None and metric in ("cityblock", "chebyshev"):
                continue  # refused: projections keep inner products and L2 alone
            there, queries = level.convert(backend.array), backend.array(q)
            same(backend, ak.pairwise(q, level, metric), ak.pairwise(queries, there, metric))
            here = ak.distances(level, q, ids, metric)
            same(backend, here, ak.distances(there, queries, backend.array(ids), metric))
            for mine, theirs in zip(ak.knn(level, q, 10, metric), ak.knn(there, queries, 10, metric), strict=True):
                same(backend, mine, theirs)


@pytest.mark.skipif(not FUSED, reason="two roundings a step at this level")
@pytest.mark.parametrize("spec", SPECS)
def test_filter_and_radius(backend, rng, spec):
    x, q = rows(rng, 300, 40), rows(rng, 5, 40)
    store = fitted(spec, x).encode(x)
    passes = rng.random((5, 300)) < 0.5
    for level in levels(store):
        there, queries = level.convert(backend.array), backend.array(q)
        r = float(np.quantile(ak.pairwise(q, level), 0.2))
        for options in ({}, {"filter": passes}):
            moved = {name: backend.array(value) for name, value in options.items()}
            for k in (10, 70):
                found = ak.knn(level, q, k, **options), ak.knn(there, queries, k, **moved)
                for mine, theirs in zip(*found, strict=True):
                    same(backend, mine, theirs)
            near = ak.radius(level, q, r, **options), ak.radius(there, queries, r, **moved)
            for mine, theirs in zip(*near, strict=True):
                same(backend, mine, theirs)


@pytest.mark.skipif(not FUSED, reason="two roundings a step at this level")
@pytest.mark.parametrize("dtype", ["float16", "int8"])
@pytest.mark.parametrize("spec", SPECS)
def test_queries_of_other_types(backend, rng, spec, dtype):
    x, q = 3 * rows(rng, 130, 20), (3 * rows(rng, 3, 20)).astype(dtype)
    store = fitted(spec, x).encode(x)
    there = store.convert(backend.array)
    for metric in ("sqeuclidean", "cosine"):
        same(backend, ak.pairwise(q, store, metric), ak.pairwise(backend.array(q), there, metric))


@pytest.mark.parametrize("spec", INTEGERS)
def test_rows_of_several_chunks(backend, rng, spec):
    """More of a row than the stages of a ring hold, in rows that begin at multiples of 8 bytes and of 16."""
    for d, m in ((703, 2), (768, 17)):
        x, q = rows(rng, 131, d), rows(rng, m, d)
        store = fitted(spec, x).encode(x)
        there, queries = store.convert(backend.array), backend.array(q)
        ids = rng.integers(0, 131, (m, 3))
        same(backend, ak.pairwise(q, store, "inner_product"), ak.pairwise(queries, there, "inner_product"))
        here = ak.distances(store, q, ids, "cosine")
        same(backend, here, ak.distances(there, queries, backend.array(ids), "cosine"))


@pytest.mark.parametrize("metric", ["euclidean", "inner_product", "cosine"])
def test_bits_with_terms_of_their_own(backend, rng, metric):
    x, q = rows(rng, 150, 70), rows(rng, 20, 70)
    store = ak.BinaryQuantizer(rotation=True).fit(x).encode(x)
    there = store.convert(backend.array)
    same(backend, ak.pairwise(q, store, metric), ak.pairwise(backend.array(q), there, metric))


@pytest.mark.parametrize("spec", ["pq96x8", "pq100x8", "pq70x8", "pq100x4", "pq70x4"])
def test_tables_of_many_parts(backend, rng, spec):
    """More rows than a tile has, and more parts than a stage, in rows that begin at multiples of 16, 4 and 2 bytes."""
    for n, m in ((1100, 2), (150, 17)):
        x, q = rows(rng, n, 203), rows(rng, m, 203)
        store = codec(spec).fit(x[:100]).encode(x)
        there, queries = store.convert(backend.array), backend.array(q)
        ids = rng.integers(0, n, (m, 3))
        for metric in ("euclidean", "inner_product"):
            same(backend, ak.pairwise(q, store, metric), ak.pairwise(queries, there, metric))
        here = ak.distances(store, q, ids, "sqeuclidean")
        same(backend, here, ak.distances(there, queries, backend.array(ids), "sqeuclidean"))
        for mine, theirs in zip(ak.knn(store, q, 20), ak.knn(there, queries, 20), strict=True):
            same(backend, mine, theirs)


@pytest.mark.parametrize("spec", ["pq5x4", "pq5x8", "opq5x4"])
def test_tables_with_norms(backend, rng, spec):
    x, q = rows(rng, 270, 23), rows(rng, 20, 23)
    x[7] = 0
    store = ak.compress(x, spec, metric="cosine")
    there, queries = store.convert(backend.array), backend.array(q)
    same(backend, ak.pairwise(q, store), ak.pairwise(queries, there))
    for mine, theirs in zip(ak.knn(store, q[:2], 100), ak.knn(there, queries[:2], 100), strict=True):
        same(backend, mine, theirs)


@pytest.mark.parametrize("spec", ["pq2x4", "pq2x8", "rabitq2"])
def test_keys_of_several_chunks(backend, rng, spec):
    """Neighbours beyond those that lists hold, of more rows than wait as keys at a time."""
    x, q = rows(rng, 66_000, 4), rows(rng, 2, 4)
    store = codec(spec).fit(x[:1000]).encode(x)
    for mine, theirs in zip(ak.knn(store, q, 70), ak.knn(store.convert(backend.array), backend.array(q), 70), strict=True):
        same(backend, mine, theirs)
