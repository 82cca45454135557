# SPDX-License-Identifier: Apache-2.0
"""A store gives the same bytes on every backend: its codes, and what they decode to."""

from __future__ import annotations

import numpy as np
import pytest

import annkern as ak
from annkern.compress import RULES, codec

SPECS = [spec for rule in RULES for spec in rule[2] if spec not in ("f32", "f16", "bf16", "i8", "u8")]
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
