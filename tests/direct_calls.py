# SPDX-License-Identifier: Apache-2.0
"""Direct calls beside the same calls through the checks of the Python layer."""

from __future__ import annotations

import numpy as np
import pytest

import annkern as ak
from annkern.runtime.backend import load

CPU = load("cpu")
NAMES = [name for name in vars(CPU) if name.endswith("_direct")]
DTYPES = ["float32", "float16", "int8", "uint8"]


@pytest.fixture
def indirect(monkeypatch):
    """f(call): the result of call() where no call is direct."""

    def run(call):
        with monkeypatch.context() as patch:
            for name in NAMES:
                patch.setattr(CPU, name, lambda *_: None)
            return call()

    return run


@pytest.fixture
def taken(monkeypatch):
    """The operations that were called directly, in order."""
    found = []

    def counted(name, direct):
        def call(*arguments):
            result = direct(*arguments)
            found.extend([name.removesuffix("_direct")] * (result is not None))
            return result

        return call

    for name in NAMES:
        monkeypatch.setattr(CPU, name, counted(name, getattr(CPU, name)))
    return found


def numbers(seed, n, d, dtype="float32"):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind in "iu":
        return rng.integers(0, 100, (n, d)).astype(dtype)
    return rng.standard_normal((n, d)).astype(dtype)


def same(a, b):
    a, b = (x if isinstance(x, tuple) else (x,) for x in (a, b))
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert type(x) is type(y) and x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()


def calls(base, queries, metric):
    """One call of each operation over them."""
    ids = np.random.default_rng(0).integers(-1, len(base), (len(queries), 7))
    near = ak.pairwise(queries[:1], base, metric)
    return {
        "knn": lambda: ak.knn(base, queries, 5, metric),
        "assign": lambda: ak.assign(queries, base, metric),
        "pairwise": lambda: ak.pairwise(queries, base, metric),
        "distances": lambda: ak.distances(base, queries, ids, metric),
        "radius": lambda: ak.radius(base, queries, float(np.median(near)), metric),
    }
