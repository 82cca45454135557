# SPDX-License-Identifier: Apache-2.0
"""The array libraries: how each allocates, casts, and says where and on which stream it works.

Results come back in the library of the queries, so every library that can hold queries has a `Space`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from . import driver


class Device(NamedTuple):
    kind: str  # "cpu" or "cuda"
    number: int

    @property
    def on_host(self) -> bool:
        return self.kind == "cpu"

    def __str__(self) -> str:
        return "host memory" if self.on_host else f"cuda:{self.number}"


HOST = Device("cpu", 0)
Scope = contextlib.AbstractContextManager[Any]


class ArrayLibrary:
    """One array library. Dtypes are named as NumPy names them; streams are cudaStream_t as integers."""

    name = "array"
    writable = True  # arrays can be given as out=

    def holds(self, dtype: str) -> bool:
        """Whether there are arrays of such a dtype."""
        return True

    def empty(self, shape: tuple[int, ...], dtype: str, device: Device) -> Any:
        """A new array, not initialised, in the current stream's order."""
        raise TypeError(f"queries: cannot allocate results as {self.name}; convert the queries to NumPy, PyTorch or CuPy")

    def finish(self, array: Any) -> Any:
        """What the caller gets for an array made by `empty`."""
        return array

    def synchronize(self) -> None:
        """Called after device work, before the workspace is freed: waits where the library cannot order the two."""

    def packed(self, array: Any) -> Any:
        """A row-major copy, of the same dtype."""
        raise TypeError(f"cannot copy {self.name}: pass an array whose rows are adjacent in memory")

    def take(self, array: Any, rows: Any) -> Any:
        """array[rows] of a device array."""
        return array[rows]

    def astype(self, array: Any, dtype: str) -> Any:
        return array.astype(dtype)

    def all(self, array: Any) -> bool:
        return bool(array.all())

    def from_numpy(self, array: Any, device: Device) -> Any:
        """A NumPy array as one of this library's, on that device."""
        raise TypeError(f"store: cannot make arrays of {self.name}; encode NumPy arrays, and move the store with convert")

    def current_stream(self, device: Device) -> int:
        return 0

    def scope(self, device: Device, stream: int) -> Scope:
        """Makes device and stream current, so that memory is allocated and freed in the stream's order."""
        return contextlib.nullcontext()

    def integers(self, array: Any) -> list[int]:
        """The elements of a small device array; waits for the stream."""
        return [int(array[i]) for i in range(array.shape[0])]

    def cast(self, argument: str, dtype: str) -> str:
        """The expression that casts `argument`."""
        return f"{argument}.astype({dtype!r})"

    def mask(self, argument: str, n: int) -> str:
        """The statement that makes a filter over n rows of ids."""
        return f"mask = np.zeros({n}, bool); mask[{argument}] = True"


LINE = 64  # bytes of a cache line
SMALLEST_ALIGNED = 1 << 16
_NATIVE = {name: np.dtype(name) for name in ("float32", "int32", "int64")}  # of results


def numpy_dtype(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        try:
            import ml_dtypes  # noqa: F401  gives NumPy the name
        except ImportError:
            raise TypeError("bfloat16: NumPy has no such type by itself; pip install ml_dtypes") from None
    return np.dtype(name)


def aligned(shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    """np.empty, on a cache line's boundary where it is large: NumPy's own large arrays begin 16 bytes behind one, so that
    a row of three lines would touch four."""
    kind = _NATIVE.get(dtype) or numpy_dtype(dtype)
    size = kind.itemsize
    for extent in shape:
        size *= extent
    if size < SMALLEST_ALIGNED:
        return np.empty(shape, kind)
    room = np.empty(size + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    return room[start : start + size].view(kind).reshape(shape)


class NumpyLibrary(ArrayLibrary):
    name = "NumPy"

    def empty(self, shape: tuple[int, ...], dtype: str, device: Device) -> Any:
        return aligned(shape, dtype)

    def packed(self, array: Any) -> Any:
        return np.array(array, order="C")

    def astype(self, array: Any, dtype: str) -> Any:
        return array.astype(numpy_dtype(dtype))

    def from_numpy(self, array: Any, device: Device) -> Any:
        return array

    def cast(self, argument: str, dtype: str) -> str:
        return f"{argument}.astype({'ml_dtypes' if dtype == 'bfloat16' else 'np'}.{dtype})"


class TorchLibrary(ArrayLibrary):
    name = "PyTorch"

    def __init__(self) -> None:
        self.torch: Any = sys.modules["torch"]

    def _device(self, device: Device) -> str:
        return "cpu" if device.on_host else f"cuda:{device.number}"

    def empty(self, shape: tuple[int, ...], dtype: str, device: Device) -> Any:
        return self.torch.empty(shape, dtype=getattr(self.torch, dtype), device=self._device(device))

    def packed(self, array: Any) -> Any:
        return array.detach().clone(memory_format=self.torch.contiguous_format)

    def from_numpy(self, array: Any, device: Device) -> Any:
        return self.torch.from_numpy(array).to(self._device(device))

    def astype(self, array: Any, dtype: str) -> Any:
        return array.to(getattr(self.torch, dtype))

    def current_stream(self, device: Device) -> int:
        return int(self.torch.cuda.current_stream(device.number).cuda_stream)

    @contextlib.contextmanager
    def scope(self, device: Device, stream: int) -> Iterator[None]:
        cuda = self.torch.cuda
        with cuda.device(device.number):
            if stream == cuda.current_stream(device.number).cuda_stream:
                yield
            else:
                with cuda.stream(self._stream(stream, device.number)):
                    yield

    def _stream(self, stream: int, number: int) -> Any:
        # ExternalStream(0) would be a new stream; 0 and 1 are two names of the legacy default stream.
        if stream in (0, 1):
            return self.torch.cuda.default_stream(number)
        return self.torch.cuda.ExternalStream(stream, device=number)

    def integers(self, array: Any) -> list[int]:
        return [int(value) for value in array.tolist()]

    def cast(self, argument: str, dtype: str) -> str:
        return f"{argument}.to(torch.{dtype})"

    def mask(self, argument: str, n: int) -> str:
        return f"mask = torch.zeros({n}, dtype=torch.bool, device={argument}.device); mask[{argument}.long()] = True"


class CupyLibrary(ArrayLibrary):
    name = "CuPy"

    def __init__(self) -> None:
        self.cupy: Any = sys.modules["cupy"]

    def empty(self, shape: tuple[int, ...], dtype: str, device: Device) -> Any:
        return self.cupy.empty(shape, dtype)

    def packed(self, array: Any) -> Any:
        return self.cupy.ascontiguousarray(array)

    def from_numpy(self, array: Any, device: Device) -> Any:
        return self.cupy.asarray(array)

    def current_stream(self, device: Device) -> int:
        return int(self.cupy.cuda.get_current_stream(device.number).ptr)

    @contextlib.contextmanager
    def scope(self, device: Device, stream: int) -> Iterator[None]:
        cuda = self.cupy.cuda
        with cuda.Device(device.number):
            if stream == cuda.get_current_stream(device.number).ptr:
                yield
            else:
                with cuda.ExternalStream(stream, device.number):
                    yield

    def integers(self, array: Any) -> list[int]:
        return [int(value) for value in array.tolist()]

    def cast(self, argument: str, dtype: str) -> str:
        return f"{argument}.astype(cupy.{dtype})"

    def mask(self, argument: str, n: int) -> str:
        return f"mask = cupy.zeros({n}, bool); mask[{argument}] = True"


class JaxLibrary(ArrayLibrary):
    """JAX's arrays cannot be written: on the host NumPy makes the results. On a GPU they are written before they are
    returned, and every call waits, because JAX does not expose its streams."""

    name = "JAX"
    writable = False

    def __init__(self) -> None:
        self.jax: Any = sys.modules["jax"]

    def empty(self, shape: tuple[int, ...], dtype: str, device: Device) -> Any:
        if device.on_host:
            return np.empty(shape, dtype)
        if dtype == "int64" and not self.jax.config.jax_enable_x64:
            raise TypeError("queries: JAX holds int64 indices on a GPU only with jax.config.update('jax_enable_x64', True)")
        where = self.jax.devices("cuda")[device.number]
        return self.jax.numpy.empty(shape, dtype, device=where).block_until_ready()

    def finish(self, array: Any) -> Any:
        if not isinstance(array, np.ndarray):
            return array
        narrow = array.dtype == np.int64 and not self.jax.config.jax_enable_x64
        if narrow and array.size and int(array.max()) > np.iinfo(np.int32).max:
            raise OverflowError("queries: JAX holds indices above 2^31 only with jax_enable_x64")
        return self.jax.numpy.asarray(array.astype(np.int32) if narrow else array)

    def synchronize(self) -> None:
        driver.synchronize()

    def from_numpy(self, array: Any, device: Device) -> Any:
        return self.jax.numpy.asarray(array)

    def packed(self, array: Any) -> Any:
        on_host = all(device.platform == "cpu" for device in array.devices())
        return np.array(array, order="C") if on_host else super().packed(array)

    def take(self, array: Any, rows: Any) -> Any:
        return self.jax.numpy.take(array, rows, axis=0)

    def cast(self, argument: str, dtype: str) -> str:
        wide = dtype in ("int64", "float64") and not self.jax.config.jax_enable_x64  # JAX ignores such a cast
        first = "jax.config.update('jax_enable_x64', True), then " if wide else ""
        return f"{first}{argument}.astype(jnp.{dtype})"

    def mask(self, argument: str, n: int) -> str:
        return f"mask = jnp.zeros({n}, bool).at[{argument}].set(True)"


class StandardLibrary(ArrayLibrary):
    """Any library of the Python array API standard, by the namespace and device of the array it came from."""

    def __init__(self, array: Any) -> None:
        self.xp: Any = array.__array_namespace__()
        self.device: Any = array.device
        self.name = getattr(self.xp, "__name__", "array API")

    def holds(self, dtype: str) -> bool:
        return hasattr(self.xp, dtype)  # float16 and bfloat16 are no part of the standard

    def empty(self, shape: tuple[int, ...], dtype: str, device: Device) -> Any:
        return self.xp.empty(shape, dtype=getattr(self.xp, dtype), device=self.device)

    def packed(self, array: Any) -> Any:
        copy = self.xp.empty(array.shape, dtype=array.dtype, device=array.device)
        copy[...] = array
        return copy

    def from_numpy(self, array: Any, device: Device) -> Any:
        return self.xp.asarray(array, device=self.device)

    def take(self, array: Any, rows: Any) -> Any:
        return self.xp.take(array, rows, axis=0)

    def astype(self, array: Any, dtype: str) -> Any:
        return self.xp.astype(array, getattr(self.xp, dtype))

    def all(self, array: Any) -> bool:
        return bool(self.xp.all(array))

    def cast(self, argument: str, dtype: str) -> str:
        return f"xp.astype({argument}, xp.{dtype})"


class ForeignLibrary(ArrayLibrary):
    """Arrays whose library offers memory and nothing else: good as a base or a filter, or with out= given."""

    def holds(self, dtype: str) -> bool:
        return False

    def __init__(self, array: Any) -> None:
        self.name = f"{type(array).__module__}.{type(array).__qualname__}"


NUMPY = NumpyLibrary()
_named: dict[str, ArrayLibrary] = {"numpy": NUMPY}
_classes = {"torch": TorchLibrary, "cupy": CupyLibrary, "jax": JaxLibrary, "jaxlib": JaxLibrary}


def library_name(x: object) -> str:
    """The top-level module of the type of `x`, or of the library that it derives from."""
    for base in type(x).__mro__:
        root = base.__module__.partition(".")[0]
        if root in _classes or root == "numpy":
            return root
    return type(x).__module__.partition(".")[0]


def library_of(x: object) -> ArrayLibrary:
    """The library of array `x`."""
    root = library_name(x)
    if root in _named:
        return _named[root]
    if root in _classes:
        return _named.setdefault(root, _classes[root]())
    return StandardLibrary(x) if hasattr(x, "__array_namespace__") and hasattr(x, "device") else ForeignLibrary(x)
