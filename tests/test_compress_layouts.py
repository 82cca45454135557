# SPDX-License-Identifier: Apache-2.0
"""Arrays whose rows must be copied, of any library and type: compress gives the codes of a row-major NumPy array, in the
library of the array; in NumPy's where the library lacks a type that the store needs."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import annkern as ak

X = np.random.default_rng(3).integers(0, 100, (60, 24)).astype(np.float32)
SPECS = ["f32", "f16", "bf16", "i8", "u8", "sq8", "sq4", "lvq8", "lvq4x8", "leanvec8:lvq8,f16", "pq4x8", "opq4x4"]
SPECS += ["rabitq1", "rabitq4", "bin"]
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "uint8": np.uint8}
LAYOUTS = {
    "transposed": lambda x: x.T.copy().T,
    "every other column": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape),
}


def tensor(x):
    torch = pytest.importorskip("torch")
    memory = x if x.base is None else x.base
    bits = torch.from_numpy(np.ascontiguousarray(memory).view(np.uint16) if x.dtype.itemsize == 2 else memory.copy())
    whole = bits.view(getattr(torch, x.dtype.name)) if x.dtype.itemsize == 2 else bits
    steps = [step // x.itemsize for step in x.strides]
    return whole.as_strided(x.shape, steps)


def strict(x):
    xp = pytest.importorskip("array_api_strict")
    if x.dtype.itemsize == 2:
        pytest.skip("the standard has no 16-bit floats")
    return xp.asarray(x.T.copy()).T


LIBRARIES = {"NumPy": lambda x: x, "PyTorch": tensor, "strict": strict}


def values(store):
    """All its arrays, by name."""
    levels = [store] if store.primary is None else [store.primary, store.secondary]
    return {(place, name): to_numpy(x) for place, level in enumerate(levels) for name, x in level.arrays.items()}


def to_numpy(x):
    if type(x).__module__ == "torch" and str(x.dtype) == "torch.bfloat16":
        import torch

        return x.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return np.asarray(x)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_codes_and_library(tmp_path, dtype, library, layout):
    x = LAYOUTS[layout](X.astype(DTYPES[dtype]))
    given = LIBRARIES[library](x)
    for spec in SPECS:
        want, got = ak.compress(x.copy(), spec), ak.compress(given, spec)
        assert repr(got) == repr(want)
        expected, found = values(want), values(got)
        assert expected.keys() == found.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, err_msg=f"{spec} {name}")
        decoded = type(got.decode())
        needs_float16 = any(array.dtype in (np.float16, ml_dtypes.bfloat16) for array in expected.values())
        assert decoded is (np.ndarray if library == "strict" and needs_float16 else type(given)), spec
        got.save(tmp_path / "store")
        np.testing.assert_array_equal(ak.load(tmp_path / "store").decode(), want.decode())


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("spec", SPECS)
def test_blocks_of_an_iterator(library, spec):
    dtype = np.float32 if library == "strict" else ml_dtypes.bfloat16
    x = LAYOUTS["transposed"](X.astype(dtype))
    estimator = ak.stores.registry.codec(spec, "sqeuclidean").fit(x)
    given = LIBRARIES[library](x)
    got = estimator.encode(part for part in (given[:7, :], given[7:, :]))
    np.testing.assert_array_equal(got.decode(), estimator.encode(x.copy()).decode())


@pytest.mark.parametrize("spec", SPECS)
def test_devices(backend, spec):
    if backend.name == "cpu":
        pytest.skip("host arrays: test_codes_and_library")
    x = np.repeat(X, 2, axis=1)
    got = ak.compress(backend.array(x)[:, ::2], spec).decode()
    np.testing.assert_array_equal(backend.numpy(got), ak.compress(X, spec).decode())


def test_signs_are_no_whole_numbers_of_uint8():
    with pytest.raises(ValueError, match="expected whole numbers that uint8 holds"):
        ak.compress(np.full((4, 4), -1, np.int8), "u8")
