# SPDX-License-Identifier: Apache-2.0
"""Calls by chance: shapes, types, metrics, layouts, filters, threads. Rows of small whole numbers have distances that are
exact, so that every operation gives the bits of the definition, or refuses with the name of an argument."""

from __future__ import annotations

import os
import re

import ml_dtypes
import numpy as np
import pytest

import annkern as ak
from annkern import reference
from annkern.reference.knn import allowed_rows as allowed_rows

# Of each test; .ci/run asks for ten times as many, 10^5 in all.
CASES = 2 * int(os.environ.get("ANNKERN_FUZZ_CASES", "500"))
NUMBERS = ["sqeuclidean", "inner_product", "cityblock", "chebyshev"]
DTYPES = [np.float32, np.float16, ml_dtypes.bfloat16, np.int8, np.uint8]
SPECS = ["f32", "f16", "bf16", "i8"]


class Draw:
    """One case, and how it may be drawn again."""

    def __init__(self, name: str, number: int) -> None:
        self.rng = np.random.default_rng([number, *name.encode()])

    def below(self, most: int) -> int:
        """Mostly small."""
        return int(self.rng.integers(0, self.rng.integers(0, most + 1) + 1))

    def one(self, of):
        return of[int(self.rng.integers(0, len(of)))]

    def rows(self, n: int, d: int, dtype) -> np.ndarray:
        low = 0 if dtype is np.uint8 else -4
        return self.laid(self.rng.integers(low, 5, (n, d)).astype(dtype))

    def laid(self, x: np.ndarray) -> np.ndarray:
        """The same elements in another layout."""
        match int(self.rng.integers(0, 6)):
            case 0:
                return np.asfortranarray(x)
            case 1:
                return np.concatenate([x, x], axis=-1)[..., : x.shape[-1]]
            case 2:
                return x[::-1].copy()[::-1]
            case 3:
                return np.repeat(x, 2, axis=-1)[..., ::2]
        return x

    def pair(self) -> tuple[np.ndarray, np.ndarray, str]:
        """base, queries and a metric."""
        n, m, d = self.below(70), self.below(9), self.below(40)
        if self.rng.random() < 0.15:
            bits = self.rng.integers(0, 256, (n + m, d), dtype=np.uint8)
            return self.laid(bits[:n]), self.laid(bits[n:]), "hamming"
        dtype = self.one(DTYPES)
        return self.rows(n, d, dtype), self.rows(m, d, self.one([dtype, np.float32])), self.one(NUMBERS)

    def filter(self, m: int, n: int) -> np.ndarray | None:
        allowed = self.rng.random(self.one([(n,), (m, n)])) < self.rng.random()
        match int(self.rng.integers(0, 3)):
            case 0:
                return None
            case 1:
                return self.laid(allowed)
        width = -(-n // 32)
        packed = np.zeros((*allowed.shape[:-1], 4 * width), np.uint8)
        packed[..., : -(-n // 8)] = np.packbits(allowed, axis=-1, bitorder="little")
        return packed.view(np.uint32)

    def threads(self):
        return self.one([None, 1, 2, 3])


def same(got, want) -> None:
    got, want = (x if isinstance(x, tuple) else (x,) for x in (got, want))
    for a, b in zip(got, want, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_array_equal(a, b)


def knn(draw: Draw) -> None:
    base, queries, metric = draw.pair()
    n, m = len(base), len(queries)
    k, allowed = draw.below(n + 3), draw.filter(m, n)
    found = ak.knn(base, queries, min(k, n), metric, filter=allowed, threads=draw.threads())
    same(found, reference.knn(base, queries, min(k, n), metric, filter=allowed))


def radius(draw: Draw) -> None:
    base, queries, metric = draw.pair()
    allowed, r = draw.filter(len(queries), len(base)), float(draw.rng.integers(-5, 60))
    found = ak.radius(base, queries, r, metric, filter=allowed, threads=draw.threads())
    same(found, reference.radius(base, queries, r, metric, filter=allowed))


def pairwise(draw: Draw) -> None:
    base, queries, metric = draw.pair()
    same(ak.pairwise(queries, base, metric, threads=draw.threads()), reference.pairwise(queries, base, metric))


def distances(draw: Draw) -> None:
    base, queries, metric = draw.pair()
    width = draw.below(12) if len(base) else 0
    ids = draw.laid(draw.rng.integers(-1, max(len(base), 1), (len(queries), width)))
    found = ak.distances(base, queries, ids, metric, threads=draw.threads())
    same(found, reference.distances(base, queries, ids, metric))


def assign(draw: Draw) -> None:
    centroids, x, metric = draw.pair()
    if len(centroids) == 0:
        return
    found, near = ak.assign(x, centroids, metric, threads=draw.threads())
    want, want_ids = reference.knn(centroids, x, 1, metric)
    same((near, found), (want[:, 0], want_ids[:, 0]))


def select_k(draw: Draw) -> None:
    m, n, largest = draw.below(6), draw.below(90), bool(draw.rng.integers(2))
    values = draw.laid(draw.rng.integers(-9, 9, (m, n)).astype(np.float32))
    ids = draw.one([None, draw.rng.permutation(n), np.argsort(draw.rng.random((m, n)), axis=1)])
    k = draw.below(n)
    found = ak.select_k(values, k, largest=largest, ids=ids, threads=draw.threads())
    same(found, reference.select_k(values, k, largest=largest, ids=ids))


def merge_topk(draw: Draw) -> None:
    parts, m, width = draw.below(4) + 1, draw.below(5), draw.below(12)
    metric = draw.one([*NUMBERS, "hamming"])
    dtype = np.int32 if metric == "hamming" else np.float32
    found = draw.laid(draw.rng.integers(0, 9, (parts, m, width)).astype(dtype))
    ids = draw.laid(draw.rng.integers(-1, 40, (parts, m, width)))
    offsets = draw.one([None, draw.rng.integers(0, 1000, parts)])
    k = draw.below(parts * width)
    got = ak.merge_topk(found, ids, k, metric, offsets=offsets, threads=draw.threads())
    same(got, reference.merge_topk(found, ids, k, metric, offsets=offsets))


def stores(draw: Draw) -> None:
    """A store holds these rows without loss, so that it is searched as they are."""
    n, m, d = draw.below(50) + 1, draw.below(6), draw.below(30)
    x, metric = draw.rows(n, d, draw.one([np.float32, np.float16, np.int8])), draw.one(NUMBERS)
    store, queries = ak.compress(x, draw.one(SPECS), metric), draw.rows(m, d, np.float32)
    k, allowed = draw.below(n), draw.filter(m, n)
    same(store.decode(), np.ascontiguousarray(x, np.float32))
    same(ak.knn(store, queries, k, filter=allowed), reference.knn(x, queries, k, metric, filter=allowed))


def graphs(draw: Draw) -> None:
    """What a search finds, it finds at its distance, in order, each row once, none that a filter excludes."""
    n, m, d, k = draw.below(60) + 1, draw.below(5), draw.below(8), draw.below(8) + 1
    x, metric, allowed = draw.rows(n, d, np.float32), draw.one(NUMBERS), draw.filter(m, n)
    queries, k = draw.rows(m, d, np.float32), min(k, n)
    graph = ak.Graph.of(draw.rng.integers(-1, n, (n, draw.below(6) + 1)), [0], metric=metric)
    found, ids = ak.search_graph(graph, x, queries, k, window=k + draw.below(20), filter=allowed, threads=draw.threads())
    same(found, reference.distances(x, queries, ids, metric))
    is_allowed = allowed_rows(allowed, m, n)
    for row, own in enumerate(ids):
        kept = own[own >= 0]
        assert len(set(kept.tolist())) == len(kept)
        assert is_allowed[row, kept].all()
        keys = reference.METRICS[metric].key(found[row].astype(np.float64))
        assert (np.diff(keys[: len(kept)]) >= 0).all()


WRONG = {
    "base": [None, "text", np.float64(1), np.zeros((3, 4)), np.zeros(4, np.float32), np.zeros((2, 2, 2), np.float32), {}],
    "k": [-1, 2**62, 1.5, "3", None, np.inf],
    "metric": ["", "l3", 7, b"cosine"],
    "filter": [np.zeros(3, bool), np.zeros((2, 2), np.int64), "all"],
    "threads": [0, -3, 2**40, "two", 1.5],
    "out": [1, np.zeros((2, 3)), (np.zeros((1, 1), np.float32),)],
}


def refusals(draw: Draw) -> None:
    """Wrong arguments, several at a time, are named."""
    x = draw.rows(6, 3, np.float32)
    names = [name for name in WRONG if draw.rng.random() < 0.4] or ["k"]
    wrong = {name: draw.one(WRONG[name]) for name in names}
    arguments = {"base": x, "queries": x[:2], "k": 2, "metric": "sqeuclidean"} | wrong
    arguments["queries"] = wrong.get("base", x[:2]) if draw.rng.random() < 0.2 else x[:2]
    with pytest.raises((TypeError, ValueError, OverflowError)) as raised:
        ak.knn(**arguments)
    assert re.match(rf"(?:{'|'.join((*names, 'queries'))})\b", str(raised.value)), raised.value


KINDS = (knn, radius, pairwise, distances, assign, select_k, merge_topk, stores, graphs, refusals)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_cases(kind):
    for number in range(CASES):
        try:
            kind(Draw(kind.__name__, number))
        except Exception as error:
            raise AssertionError(f"case {number} of {kind.__name__}") from error
