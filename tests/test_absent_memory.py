# SPDX-License-Identifier: Apache-2.0
"""Arrays that have a shape and no memory, as PyTorch's FakeTensor or at address 0, are refused by name in every argument."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from emu_array import EmuArray
from test_strides import CALLS, OUTS

import annkern as ak
from annkern import io
from annkern.arrays import dlpack, views


class AtZero(EmuArray):
    """By DLPack and __cuda_array_interface__ at address 0, on the host or on a device; an offset makes it no address."""

    def __init__(self, host, device):
        super().__init__(host)
        self.device_type = device

    @property
    def device(self):
        return self.device_type, 0

    @property
    def __cuda_array_interface__(self):
        if self.device_type == dlpack.CPU:
            raise AttributeError
        return super().__cuda_array_interface__ | {"data": (0, False)}

    def __dlpack__(self, **_):
        capsule = super().__dlpack__()
        self._exported[-1][0].tensor.data = ctypes.c_void_p()
        return capsule


def fake_tensor(x):
    torch = pytest.importorskip("torch")
    with torch._subclasses.FakeTensorMode() as mode:
        return mode.from_tensor(torch.from_numpy(np.concatenate([x, x])))[len(x) :]  # at an offset


def absent(backend, kind):
    if kind == "FakeTensor":
        if not backend.on_host:
            pytest.skip("a fake tensor needs PyTorch with CUDA there")
        return fake_tensor
    return lambda x: AtZero(x, dlpack.CPU if backend.on_host else dlpack.CUDA)


@pytest.mark.parametrize("kind", ["address 0", "FakeTensor"])
@pytest.mark.parametrize("name", CALLS)
def test_every_argument(backend, name, kind):
    x, call = CALLS[name]
    if name.startswith("error_bounds") and not backend.on_host:
        pytest.skip("error_bounds takes stores in host memory alone")
    argument = {"rerank", "filter", "ids", "base", "queries", "learn_queries", "offsets"} & set(name.split(" "))
    with pytest.raises(ValueError, match=f"{''.join(argument)}.*: expected an array whose elements are in memory"):
        call(backend, absent(backend, kind), x)


@pytest.mark.parametrize("name", OUTS)
def test_out(backend, name):
    count, call, shape = OUTS[name]
    dtypes = (np.float32, np.int64)[:count]
    out = tuple(absent(backend, "address 0")(np.zeros(shape, dtype)) for dtype in dtypes)
    with pytest.raises(ValueError, match="expected an array whose elements are in memory"):
        call(backend, out if count == 2 else out[0])


def test_tensors_without_memory():
    torch = pytest.importorskip("torch")
    freed = torch.randn(10, 4)
    freed.untyped_storage().resize_(0)
    with pytest.raises(ValueError, match=r"base: .* got a torch\.Tensor of shape \(10, 4\) without any"):
        ak.knn(freed, torch.randn(2, 4), 1)
    with pytest.raises(ValueError, match="queries: expected an array whose elements are in memory"):
        torch.func.vmap(lambda q: ak.knn(np.zeros((3, 4), np.float32), q, 1)[0])(torch.randn(2, 2, 4))
    assert ak.knn(torch.randn(3, 4), torch.empty(0, 4), 1)[0].shape == (0, 1)  # nothing lies nowhere


@pytest.mark.parametrize("name", ["neighbors", "entries", "x", "ids", "distances"])
def test_what_numpy_reads(tmp_path, name):
    torch = pytest.importorskip("torch")
    freed = torch.zeros(3, 2, dtype=torch.float32 if name in ("x", "distances") else torch.int64)
    row = freed[0]
    freed.untyped_storage().resize_(0)
    calls = {
        "neighbors": lambda: ak.Graph.of(freed),
        "entries": lambda: ak.Graph.of(np.array([[1], [0]]), row),
        "x": lambda: io.write_vectors(tmp_path / "x.fvecs", freed),
        "ids": lambda: io.write_truth(tmp_path / "truth", freed),
        "distances": lambda: io.write_truth(tmp_path / "truth", np.zeros((3, 2), int), freed),
    }
    with pytest.raises(ValueError, match=f"{name}: expected an array whose elements are in memory"):
        calls[name]()


def test_no_elements_need_no_memory():
    assert views.view("x", AtZero(np.zeros((0, 4), np.float32), dlpack.CPU)).empty
