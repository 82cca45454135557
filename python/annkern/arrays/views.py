# SPDX-License-Identifier: Apache-2.0
"""An array of any library as the kernels see it: an address, a shape, strides, a dtype and a device. Nothing is copied here
except by `with_adjacent_rows` and `row_major`, where kernels could not read the array as it lies.

    NumPy ndarray            its own attributes
    PyTorch, CuPy            their own attributes, on the host and on CUDA devices
    JAX, array API           DLPack
    __cuda_array_interface__ versions 2 and 3
    pandas, pyarrow, polars  columns: columns.py; results come back as NumPy arrays
    buffer protocol          array.array, memoryview, mmap, ...: likewise
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import dlpack, driver
from .columns import column
from .libraries import HOST, NUMPY, ArrayLibrary, Device, library_name, library_of

_NATIVE_NAMES = {
    np.dtype(name): name
    for name in ("float32", "float16", "float64", "int8", "uint8", "int16", "int32", "int64", "uint32", "uint64", "bool")
}
# Of vectors, filters and results; nothing else reaches a kernel.
ITEMSIZES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "uint8": 1}
ITEMSIZES |= {"bool": 1, "uint32": 4, "int32": 4, "int64": 8}
_HOST_TYPES = (dlpack.CPU, dlpack.CUDA_PINNED)
_DEVICE_TYPES = (dlpack.CUDA, dlpack.CUDA_MANAGED)


@dataclass(slots=True)
class View:
    owner: Any  # the array itself
    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # bytes
    dtype: str  # NumPy's name, or a description of what no kernel takes
    device: Device
    library: ArrayLibrary
    readonly: bool = False
    stream: int | None = None  # the stream that the array's owner named, where it named one
    lease: object = None  # what else keeps the memory alive
    spelling: str = "{}"  # what makes an array of the argument, where that is none: "np.stack({})"

    @property
    def itemsize(self) -> int:
        return ITEMSIZES[self.dtype]

    def spelled(self, name: str) -> str:
        """The argument of that name as an array, for the hints of errors."""
        return self.spelling.format(name)

    @property
    def empty(self) -> bool:
        return 0 in self.shape

    @property
    def rows_adjacent(self) -> bool:
        """Each row's elements follow one another, and everything is aligned to the element."""
        size = self.itemsize
        if self.empty:
            return True
        if self.strides[-1] != size and self.shape[-1] != 1:
            return False
        return self.address % size == 0 and all(step % size == 0 for step in self.strides[:-1])

    @property
    def row_major(self) -> bool:
        expected = dlpack.packed_strides(self.shape, self.itemsize)
        return self.empty or all(
            step == want or size == 1 for step, want, size in zip(self.strides, expected, self.shape, strict=True)
        )

    @property
    def place(self) -> tuple[int, tuple[int, ...], tuple[int, ...], str]:
        """Equal for two views of the same elements."""
        return self.address, self.shape, self.strides, self.dtype

    @property
    def extent(self) -> tuple[int, int]:
        """The first byte, and the first after the last."""
        if self.empty:
            return self.address, self.address
        spans = [(size - 1) * step for size, step in zip(self.shape, self.strides, strict=True)]
        low, high = sum(min(span, 0) for span in spans), sum(max(span, 0) for span in spans)
        return self.address + low, self.address + high + self.itemsize


def view(name: str, x: object, stream: int | None = None) -> View:
    """How array `x` lies in memory; `name` is the argument it came as, for errors.

    Where `stream` is given and `x` belongs to a library that orders its work by DLPack, its pending work is made to
    precede what is enqueued on `stream`.
    """
    if type(x) is np.ndarray:  # which is never at address 0
        return _numpy_view(name, x)
    seen = _view(name, x, stream)
    if seen.address == 0 and not seen.empty:
        raise _not_in_memory(name, x, seen.shape)
    return seen


def _view(name: str, x: object, stream: int | None) -> View:
    root = library_name(x)
    if root == "torch":
        return _torch_view(name, x)
    if root == "cupy":
        return _cupy_view(x)
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name}: expected an array without a mask, got a masked array; write {name}.filled(...)")
    if isinstance(x, np.ndarray):
        return view(name, np.asarray(x))
    if root in ("jax", "jaxlib") and any(base.__name__ == "Tracer" for base in type(x).__mro__):
        raise TypeError(
            f"{name}: expected an array, got a JAX tracer, which holds no numbers: call annkern outside of jax.jit, vmap "
            "and grad, or inside by jax.pure_callback"
        )
    if root == "scipy" and hasattr(x, "toarray"):
        raise TypeError(f"{name}: expected a dense array, got {type(x).__name__} of scipy.sparse; write {name}.toarray()")
    interface = None if root in ("jax", "jaxlib") else getattr(x, "__cuda_array_interface__", None)
    if interface is not None and not interface["typestr"].startswith(("<V", "|V")):
        return _interface_view(name, x, interface)
    found = column(name, x)
    if found is not None:
        seen = view(name, found.array)
        seen.spelling = found.spelling
        return seen
    if hasattr(x, "__dlpack__") and hasattr(x, "__dlpack_device__"):
        return _dlpack_view(name, x, stream)
    try:
        buffer = memoryview(x)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            f"{name}: expected an array (NumPy, PyTorch, CuPy, JAX, or anything with DLPack, __cuda_array_interface__ "
            f"or the buffer protocol), got {type(x).__name__}; write np.asarray({name}, dtype=...)"
        ) from None
    return _numpy_view(name, np.asarray(buffer))


def _of_objects(name: str) -> str:
    cast = {"filter": "bool", "ids": "np.int64", "truth": "np.int64", "offsets": "np.int64"}.get(name, "np.float32")
    return f"{name}: expected numbers, got an array of objects; if each is a row, write np.stack({name}).astype({cast})"


def order_after(x: View, stream: int) -> None:
    """Makes what is enqueued on `stream` wait for the work that another library has pending on `x`."""
    if x.device.on_host:
        return
    if hasattr(x.owner, "__dlpack__"):
        owner = x.owner.detach() if hasattr(x.owner, "detach") else x.owner  # PyTorch exports no tensor with a gradient
        owner.__dlpack__(stream=stream or 1)  # 0 is not allowed there: 1 is the same, the legacy default stream
    elif x.stream not in (None, stream):
        driver.synchronize()


def with_adjacent_rows(x: View) -> View:
    """`x`, or a row-major copy of it where the kernels could not read its rows."""
    return x if x.rows_adjacent else _packed(x)


def row_major(x: View) -> View:
    """`x`, or a copy of it where there are gaps between its rows, or they lie in another order."""
    return x if x.row_major else _packed(x)


def as_numpy(x: View) -> np.ndarray[Any, np.dtype[Any]]:
    """The same host memory as a NumPy array; bfloat16, which NumPy lacks, as uint16."""
    dtype = np.dtype(np.uint16 if x.dtype == "bfloat16" else x.dtype)

    return np.empty(x.shape, dtype) if x.empty else np.asarray(_Memory(x, dtype.str))


def asarray(name: str, x: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """np.asarray, which would read arrays that have no memory: these are refused."""
    if hasattr(x, "__dlpack__"):
        view(name, x)
    return np.asarray(x)


def host_copy(x: View) -> np.ndarray[Any, np.dtype[Any]]:
    """The array in host memory: itself, or a copy of a device array, once that is complete."""
    if x.device.on_host:
        return as_numpy(x)
    x = row_major(x)
    here = np.empty(x.shape, np.uint16 if x.dtype == "bfloat16" else x.dtype)
    if not x.empty:
        with x.library.scope(x.device, x.library.current_stream(x.device)):
            driver.copy_to_host(here.ctypes.data, x.address, here.nbytes)
    return here


def _packed(x: View) -> View:
    """A row-major copy by the array's library; by NumPy where it is a library without copies, in host memory."""
    if not x.device.on_host or x.library.holds(x.dtype):
        copied = view("copy", x.library.packed(x.owner))
        copied.library = x.library
        return copied
    copy = as_numpy(x).copy()
    return View(copy, copy.ctypes.data, copy.shape, copy.strides, x.dtype, HOST, x.library)


def _not_in_memory(name: str, x: object, shape: tuple[int, ...]) -> ValueError:
    kind = f"{type(x).__module__}.{type(x).__qualname__}"
    return ValueError(f"{name}: expected an array whose elements are in memory, got a {kind} of shape {shape} without any")


class _Memory:
    """A View, in the form that NumPy imports."""

    def __init__(self, x: View, typestr: str) -> None:
        self.source = x
        self.__array_interface__ = {
            "version": 3,
            "shape": x.shape,
            "strides": x.strides,
            "typestr": typestr,
            "data": (x.address, x.readonly),
        }


def _numpy_view(name: str, x: Any) -> View:
    dtype = _NATIVE_NAMES.get(x.dtype)
    if dtype is None:
        if x.dtype.hasobject:
            raise TypeError(_of_objects(name))
        dtype = x.dtype.name if x.dtype.isnative else f"byte-swapped {x.dtype.name}"
    address, readonly = x.__array_interface__["data"]  # in half the time of x.ctypes.data
    return View(x, address, x.shape, x.strides, dtype, HOST, NUMPY, readonly)


def _torch_view(name: str, x: Any) -> View:
    torch = library_of(x).torch  # type: ignore[attr-defined]
    if x.layout is not torch.strided:
        raise TypeError(f"{name}: expected a dense tensor, got layout {x.layout}; write {name}.to_dense()")
    kind = x.device.type
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"{name}: expected a tensor in host memory or on a CUDA device, got one on {x.device}")
    dtype = str(x.dtype).removeprefix("torch.")
    if x.is_neg():
        x = x.resolve_neg()
    device = HOST if kind == "cpu" else Device("cuda", x.device.index)
    size, shape = x.element_size(), tuple(x.shape)
    strides = tuple([step * size for step in x.stride()])
    try:
        storage = x.untyped_storage()
        absent = storage.device.type == "meta" or storage.data_ptr() == 0  # as a FakeTensor's, or one that was freed
        address = 0 if absent else x.data_ptr()
    except (RuntimeError, NotImplementedError):  # of a wrapper, as under torch.vmap
        raise _not_in_memory(name, x, shape) from None
    return View(x, address, shape, strides, dtype, device, library_of(x))


def _cupy_view(x: Any) -> View:
    return View(x, x.data.ptr, x.shape, x.strides, x.dtype.name, Device("cuda", x.device.id), library_of(x))


def _interface_view(name: str, x: Any, interface: dict[str, Any]) -> View:
    if interface.get("mask") is not None:
        raise TypeError(f"{name}: expected an array without a mask, got one whose __cuda_array_interface__ has a mask")
    kind = np.dtype(interface["typestr"])
    dtype = kind.name if kind.isnative else f"byte-swapped {kind.name}"
    shape = tuple(interface["shape"])
    strides = interface.get("strides") or dlpack.packed_strides(shape, kind.itemsize)
    address, readonly = interface["data"]
    index = x.__dlpack_device__()[1] if hasattr(x, "__dlpack_device__") else 0
    stream = interface.get("stream")
    return View(x, address or 0, shape, tuple(strides), dtype, Device("cuda", index), library_of(x), readonly, stream)


def _dlpack_view(name: str, x: Any, stream: int | None) -> View:
    kind, index = x.__dlpack_device__()
    if kind in _HOST_TYPES:
        device, exported = HOST, dlpack.export(x)
    elif kind in _DEVICE_TYPES:
        if hasattr(x, "block_until_ready"):  # JAX does not say on which stream it works
            x.block_until_ready()
        device, exported = Device("cuda", index), dlpack.export(x, stream or 1)
    else:
        raise ValueError(f"{name}: expected an array in host memory or on a CUDA device, got DLPack device type {kind}")
    library = library_of(x)
    return View(
        x,
        exported.address,
        exported.shape,
        exported.strides,
        exported.dtype,
        device,
        library,
        readonly=exported.readonly or not library.writable,
        lease=exported.capsule,
    )
