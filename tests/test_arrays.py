# SPDX-License-Identifier: Apache-2.0
"""Anybody's arrays in, the same library's arrays out, without copies where the kernels can read them."""

from __future__ import annotations

import array
import contextlib
import importlib.util
import mmap
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest
from emu_array import EmuArray, to_device

import annkern as ak
from annkern.arrays import dlpack, libraries, views
from annkern.runtime import context

X = np.random.default_rng(5).standard_normal((30, 8)).astype(np.float32)
WANT, WANT_IDS = ak.knn(X, X[:3], 4)

needs_emu = pytest.mark.skipif(not importlib.util.find_spec("annkern._emu"), reason="the emulated backend is not built")


@pytest.fixture
def emu(monkeypatch):
    monkeypatch.setenv("ANNKERN_DEVICE", "emu")


def assert_right(distances, indices):
    np.testing.assert_array_equal(np.asarray(distances), WANT)
    np.testing.assert_array_equal(np.asarray(indices), WANT_IDS)


# Host libraries.


def test_numpy_and_its_kin(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for base in (X, mapped, np.asfortranarray(X), X.view(np.matrix)):
        distances, indices = ak.knn(base, base[:3], 4)
        assert type(distances) is type(indices) is np.ndarray
        assert_right(distances, indices)


def test_buffer_protocol():
    flat = array.array("f", X.ravel())
    memory = memoryview(flat).cast("B").cast("f", X.shape)
    distances, indices = ak.knn(memory, memoryview(X[:3]), 4)
    assert type(distances) is np.ndarray
    assert_right(distances, indices)
    with mmap.mmap(-1, X.nbytes) as pages:
        pages[:] = X.tobytes()
        bits = memoryview(pages).cast("B", (30, 32))
        assert (ak.knn(bits, bits, 1, "hamming")[0] == 0).all()
        del bits


def test_torch():
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(X)
    for base in (x, x.clone().requires_grad_(), torch.nn.Parameter(x), x.t().contiguous().t(), x[:, :]):
        distances, indices = ak.knn(base, x[:3], 4)
        assert type(distances) is type(indices) is torch.Tensor
        assert distances.dtype == torch.float32 and indices.dtype == torch.int64
        assert_right(distances, indices)
    for dtype, name in ((torch.float16, np.float16), (torch.bfloat16, ml_dtypes.bfloat16), (torch.int8, np.int8)):
        base = (x * 20).to(dtype)
        same = X * 20
        got = ak.knn(base, base[:3], 4, "ip")
        want = ak.knn(same.astype(name), same[:3].astype(name), 4, "ip")
        np.testing.assert_array_equal(got[0].numpy(), want[0])
        np.testing.assert_array_equal(got[1].numpy(), want[1])


def test_torch_out_filter_and_mixed():
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(X)
    out = torch.empty(3, 4), torch.empty(3, 4, dtype=torch.int64)
    assert ak.knn(X, x[:3], 4, out=out)[0] is out[0]
    assert_right(*out)
    distances, _ = ak.knn(x, X[:3], 4, filter=torch.ones(30, dtype=torch.bool))
    assert type(distances) is np.ndarray
    assert_right(*ak.knn(x, x[:3], 4, rerank=X))
    lims, distances, indices = ak.radius(x, x[:3], 1e9)
    assert all(type(part) is torch.Tensor for part in (lims, distances, indices))
    merged = ak.merge_topk(
        torch.tensor([[[4, 9]], [[1, 3]]], dtype=torch.int32), torch.arange(4).reshape(2, 1, 2), 3, "hamming"
    )
    assert merged[0].tolist() == [[1, 3, 4]] and merged[1].tolist() == [[2, 3, 0]]
    assert merged[0].dtype == torch.int32


def test_array_api_strict():
    xp = pytest.importorskip("array_api_strict")
    x = xp.asarray(X)
    distances, indices = ak.knn(x, x[:3, :], 4)
    assert distances.__array_namespace__() is xp
    assert distances.dtype == xp.float32 and indices.dtype == xp.int64
    assert_right(distances, indices)
    values, _ids = ak.select_k(x, 2)
    np.testing.assert_array_equal(np.asarray(values), np.sort(X, axis=1)[:, :2])
    parts = ak.merge_topk(xp.asarray([[[1, 2]]], dtype=xp.int32), xp.asarray([[[5, -1]]]), 2, "hamming")
    assert np.asarray(parts[0]).tolist() == [[1, 2**31 - 1]]
    with pytest.raises(TypeError, match=r"base: .*float64.*xp\.astype\(base, xp\.float32\)"):
        ak.knn(xp.asarray(X.astype(np.float64)), x[:3, :], 4)


def test_jax():
    jax = pytest.importorskip("jax")
    x = jax.numpy.asarray(X)
    distances, indices = ak.knn(x, x[:3], 4)
    assert isinstance(distances, jax.Array) and isinstance(indices, jax.Array)
    assert_right(distances, indices)
    assert_right(*ak.knn(x.astype(jax.numpy.float32), X[:3], 4, rerank=x))
    half = ak.pairwise(x[:2].astype(jax.numpy.bfloat16), x.astype(jax.numpy.bfloat16))
    want = ak.pairwise(X[:2].astype(ml_dtypes.bfloat16), X.astype(ml_dtypes.bfloat16))
    np.testing.assert_array_equal(np.asarray(half), want)
    with pytest.raises(ValueError, match=r"out\[0\]: arrays of JAX cannot be written"):
        ak.knn(x, x[:3], 4, out=(jax.numpy.zeros((3, 4)), jax.numpy.zeros((3, 4), int)))


def test_dlpack_alone():
    """A producer that knows nothing but DLPack, of the older and of the newer kind."""

    class Old:
        def __init__(self, x):
            self.x = x

        def __dlpack_device__(self):
            return self.x.__dlpack_device__()

        def __dlpack__(self, stream=None):
            return self.x.__dlpack__(stream=stream)

    class New(Old):
        def __dlpack__(self, stream=None, max_version=None):
            return self.x.__dlpack__(stream=stream, max_version=max_version)

    for kind in (Old, New):
        assert_right(*ak.knn(kind(X), X[:3], 4))
        with pytest.raises(TypeError, match=r"queries: cannot allocate results as .*; convert the queries"):
            ak.knn(X, kind(X[:3]), 4)
        out = np.empty((3, 4), np.float32), np.empty((3, 4), np.int64)
        ak.knn(X, kind(X[:3].copy()), 4, out=out)
        assert_right(*out)


# Memory.


@pytest.mark.parametrize("form", [np.s_[:], np.s_[::2], np.s_[::-1], np.s_[:, :5], np.s_[3:4, 2:]])
def test_rows_with_adjacent_elements_are_not_copied(form):
    part = X[form]
    seen = views.view("x", part)
    assert views.with_adjacent_rows(seen).address == part.ctypes.data
    torch = pytest.importorskip("torch")
    if part.strides[0] > 0:
        tensor = torch.from_numpy(part)
        assert views.with_adjacent_rows(views.view("x", tensor)).address == tensor.data_ptr()


def test_other_rows_are_copied_once_and_the_source_left_alone():
    before = X.copy()
    for part in (X[:, ::2], X.T, X[::-1, ::-1]):
        seen = views.with_adjacent_rows(views.view("x", part))
        assert seen.row_major and not np.shares_memory(seen.owner, X)
        np.testing.assert_array_equal(seen.owner, part)
    np.testing.assert_array_equal(X, before)


def test_misaligned_rows_are_copied():
    raw = np.zeros(X.nbytes + 1, np.uint8)
    raw[1:] = np.frombuffer(X.tobytes(), np.uint8)
    shifted = raw[1:].view(np.float32).reshape(X.shape)
    assert not shifted.flags.aligned
    assert views.with_adjacent_rows(views.view("x", shifted)).address % 4 == 0
    assert_right(*ak.knn(shifted, shifted[:3], 4))


def test_read_only_inputs_are_fine():
    base = X.copy()
    base.flags.writeable = False
    assert_right(*ak.knn(base, base[:3], 4, filter=np.broadcast_to(True, 30)))


def test_a_shared_filter_by_broadcasting():
    passes = np.arange(30) % 2 == 0
    got = ak.knn(X, X[:3], 4, filter=np.broadcast_to(passes, (3, 30)))
    want = ak.knn(X, X[:3], 4, filter=passes)
    np.testing.assert_array_equal(got[1], want[1])


def test_extent():
    assert views.view("x", X[::-1]).extent == views.view("x", X).extent
    first, end = views.view("x", X[2:5, 1:3]).extent
    assert (first, end) == (X[2:, 1:].ctypes.data, X[4:, 3:].ctypes.data)


# Device arrays, through the emulator.


@needs_emu
def test_results_are_device_arrays_of_the_same_kind(emu):
    distances, indices = ak.knn(to_device(X), to_device(X[:3]), 4)
    assert type(distances) is type(indices) is EmuArray
    np.testing.assert_array_equal(indices.host, WANT_IDS)
    lims, _, indices = ak.radius(to_device(X), to_device(X[:3]), 0.0)
    assert lims.host.tolist() == [0, 1, 2, 3] and indices.host.tolist() == [0, 1, 2]


@needs_emu
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.int8, np.uint8])
def test_device_dtypes(emu, dtype):
    x = np.abs(X * 20).astype(dtype)
    _distances, indices = ak.knn(to_device(x), to_device(x[:3]), 4)
    np.testing.assert_array_equal(indices.host, ak.knn(x, x[:3], 4)[1])


@needs_emu
def test_host_and_device_are_not_mixed(emu):
    device, host = to_device(X), X
    with pytest.raises(ValueError, match="base: expected an array in host memory, where queries is, got one in cuda:0"):
        ak.knn(device, host[:3], 4)
    with pytest.raises(ValueError, match="base: expected an array in cuda:0, where queries is, got one in host memory"):
        ak.knn(host, to_device(X[:3]), 4)
    with pytest.raises(ValueError, match=r"base: expected an array in cuda:0.* got one in cuda:1"):
        ak.knn(to_device(X, 1), to_device(X[:3]), 4)
    with pytest.raises(ValueError, match="filter: expected an array in cuda:0"):
        ak.knn(device, to_device(X[:3]), 4, filter=np.ones(30, bool))
    with pytest.raises(ValueError, match=r"out\[0\]: expected an array in cuda:0"):
        ak.knn(device, to_device(X[:3]), 4, out=(np.empty((3, 4), np.float32), np.empty((3, 4), np.int64)))


@needs_emu
def test_device_arrays_without_an_emulator_or_gpu(monkeypatch):
    monkeypatch.delenv("ANNKERN_DEVICE", raising=False)
    if "cuda" in ak.backends():
        pytest.skip("a GPU is here")
    with pytest.raises((ValueError, RuntimeError), match="cuda"):
        ak.knn(to_device(X), to_device(X[:3]), 4)


class Recorder:
    """Stands before a backend and notes what its calls are given."""

    def __init__(self, module):
        self.module = module
        self.streams = set()

    def __getattr__(self, name):
        return getattr(self.module, name)

    def Exec(self, threads=0, stream=0, workspace=0, workspace_bytes=0):
        self.streams.add(stream)
        assert workspace % 256 == 0
        return self.module.Exec(threads, 0, workspace, workspace_bytes)


@pytest.fixture
def recorder(emu, monkeypatch):
    from annkern.runtime import backend

    recorder = Recorder(backend.load("emu"))
    monkeypatch.setattr(context, "backend_of", lambda device: recorder)
    return recorder


@needs_emu
@pytest.mark.parametrize(
    "stream",
    [7, SimpleNamespace(ptr=7), SimpleNamespace(cuda_stream=7), SimpleNamespace(__cuda_stream__=lambda: (0, 7))],
    ids=["int", "cupy", "torch", "protocol"],
)
def test_the_stream_asked_for_is_used(recorder, stream):
    base = to_device(X)
    ak.knn(base, to_device(X[:3]), 4, stream=stream)
    ak.select_k(base, 2, stream=stream)
    assert recorder.streams == {7}
    assert set(base.streams_asked) == {7}  # and what is pending on the other array comes first


@needs_emu
def test_the_stream_of_the_queries_is_the_default(recorder):
    queries = EmuArray(to_device(X[:3]).host, stream=5)
    ak.knn(to_device(X), queries, 4)
    assert recorder.streams == {5}


class FakeTorch:
    """torch.cuda, as far as TorchLibrary asks it; `log` tells what was made current."""

    def __init__(self, current):
        self.log = []
        self.cuda = SimpleNamespace(
            current_stream=lambda number: SimpleNamespace(cuda_stream=current),
            default_stream=lambda number: f"default of {number}",
            ExternalStream=lambda stream, device: f"{stream} of {device}",
            device=lambda number: self.entered(f"device {number}"),
            stream=lambda stream: self.entered(stream),
        )

    @contextlib.contextmanager
    def entered(self, what):
        self.log.append(what)
        yield


@pytest.mark.parametrize(
    "current, asked, made",
    [(5, 5, []), (5, 0, ["default of 3"]), (5, 1, ["default of 3"]), (0, 7, ["7 of 3"]), (0, 0, [])],
)
def test_torch_works_on_the_stream_asked_for(current, asked, made):
    space = libraries.TorchLibrary.__new__(libraries.TorchLibrary)
    space.torch = FakeTorch(current)
    device = libraries.Device("cuda", 3)
    assert space.current_stream(device) == current
    with space.scope(device, asked):
        assert space.torch.log == ["device 3", *made]


def test_dlpack_reads_what_numpy_writes():
    for x in (X, X[::2, 1:3], X[:0], np.zeros(()), X.astype(np.int64), X > 0):
        seen = dlpack.export(x)
        assert (seen.shape, seen.dtype, seen.device_type) == (x.shape, x.dtype.name, dlpack.CPU)
        assert x.size == 0 or seen.address == x.ctypes.data
        assert x.ndim == 0 or x.size == 0 or seen.strides == x.strides


def test_spaces_are_told_by_type():
    assert libraries.library_of(X) is libraries.NUMPY
    assert isinstance(libraries.library_of(to_device(X)), libraries.StandardLibrary)
    assert isinstance(libraries.library_of(object()), libraries.ForeignLibrary)
