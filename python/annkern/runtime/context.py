# SPDX-License-Identifier: Apache-2.0
"""What every operation does around its kernel: finds the backend and the stream, allocates results and workspace, runs."""

from __future__ import annotations

import contextlib
import ctypes
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from ..arrays.libraries import ArrayLibrary, Device, Scope
from ..arrays.views import View, as_numpy, order_after, view, with_adjacent_rows
from .backend import backend_of

MOST_THREADS = 2**31 - 1
MOST_RESULTS = 2**40  # of a query: 12 TiB
KERNEL_DTYPES = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "int8": "i8", "uint8": "u8"}
WORKSPACE_ALIGNMENT = 256
_nowhere = contextlib.nullcontext()


def whole_number(name: str, value: Any, least: int, most: int | None = None) -> int:
    """`value` as an integer of at least `least`, and at most `most`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}") from None
    if number < least:
        raise ValueError(f"{name}: expected {least} or more, got {number}")
    if most is not None and number > most:
        raise ValueError(f"{name}: expected at most {most}, got {number}")
    return number


def thread_count(threads: Any) -> int:
    """The argument of that name as kernels take it: 0 is the default."""
    return 0 if threads is None else whole_number("threads", threads, 1, MOST_THREADS)


def result_count(k: Any) -> int:
    """The argument `k`."""
    return whole_number("k", k, 0, MOST_RESULTS)


def real_number(name: str, value: Any) -> float:
    """`value` as a float that is not NaN."""
    try:
        number = float(value) if not isinstance(value, (str, bytes)) else None
    except OverflowError:
        raise ValueError(f"{name}: expected a number that a float can hold, got a larger one") from None
    except (TypeError, ValueError):
        number = None
    if number is None:
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    if number != number:
        raise ValueError(f"{name}: expected a number, got NaN")
    return number


def stream_handle(stream: Any) -> int:
    """A cudaStream_t out of an integer, a PyTorch or CuPy stream, or an object of the __cuda_stream__ protocol."""
    for attribute in ("cuda_stream", "ptr"):
        if hasattr(stream, attribute):
            return int(getattr(stream, attribute))
    protocol = getattr(stream, "__cuda_stream__", None)
    if protocol is not None:
        return int((protocol() if callable(protocol) else protocol)[1])
    if isinstance(stream, bool) or not hasattr(stream, "__index__"):
        raise TypeError(
            "stream: expected an integer (a cudaStream_t) or an object with .cuda_stream, .ptr or __cuda_stream__, "
            f"got {type(stream).__name__}"
        )
    return whole_number("stream", stream, 0, 2**64 - 1)


@dataclass(slots=True)
class Context:
    """Where one call of an operation runs: the backend, device and stream of its leading array."""

    backend: ModuleType
    library: ArrayLibrary
    device: Device
    threads: int
    stream: int

    @classmethod
    def at(cls, lead: View, threads: Any, stream: Any) -> Context:
        count = thread_count(threads)
        device = lead.device
        if not device.on_host:
            default = lead.library.current_stream(device) if lead.stream is None else lead.stream
            handle = default if stream is None else stream_handle(stream)
            return cls(backend_of(device), lead.library, device, count, handle)
        if stream is not None:
            raise ValueError("stream: expected None for arrays in host memory, where nothing runs on a stream")
        return cls(backend_of(device), lead.library, device, count, 0)

    def scope(self) -> Scope:
        """Allocate and run in here."""
        return _nowhere if self.device.on_host else self.library.scope(self.device, self.stream)

    def require_same_device(self, name: str, x: View, lead: str) -> View:
        """Checks that `x` is on the call's device, and makes the call wait for work that its library has pending on it."""
        if x.device != self.device:
            raise ValueError(
                f"{name}: expected an array in {self.device}, where {lead} is, got one in {x.device}; copy it there first"
            )
        if not self.device.on_host and x.library is not self.library:
            order_after(x, self.stream)
        return x

    def executor(self) -> Any:
        """The backend's Exec, without a workspace."""
        return self.backend.Exec(self.threads, self.stream)

    def cells(self, count: int = 1) -> Cells:
        """Numbers that kernels write where the call works."""
        return Cells(self, count)

    def run(self, op: str, *args: Any) -> None:
        """backend.op(*args, exec), with the workspace that it needs from the caller's allocator."""
        backend = self.backend
        if self.device.on_host:
            getattr(backend, op)(*args, self.executor())
            return
        size = getattr(backend, f"{op}_workspace")(*args, self.executor())
        room = self.library.empty((size + WORKSPACE_ALIGNMENT,), "uint8", self.device)
        start = -(-view("workspace", room).address // WORKSPACE_ALIGNMENT) * WORKSPACE_ALIGNMENT
        getattr(backend, op)(*args, backend.Exec(self.threads, self.stream, start, size))
        self.library.synchronize()

    def result(self, name: str, given: Any, shape: tuple[int, ...], dtype: str) -> View:
        """Memory for a result: a new array of the caller's library, or the one given as `name`."""
        if given is None:
            return view(name, self.library.empty(shape, dtype, self.device))
        x = view(name, given)
        if x.dtype != dtype:
            raise TypeError(f"{name}: expected dtype {dtype}, got {x.dtype}")
        if x.shape != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {x.shape}")
        if not x.library.writable:
            raise ValueError(f"{name}: arrays of {x.library.name} cannot be written; leave it out")
        if x.readonly:
            raise ValueError(f"{name}: expected a writable array, got a read-only one")
        if not x.row_major or x.address % x.itemsize:
            raise ValueError(f"{name}: expected a contiguous row-major array, got strides {x.strides}")
        return self.require_same_device(name, x, "queries")

    def to_caller(self, result: View, given: Any) -> Any:
        return self.library.finish(result.owner) if given is None else given


# ctypes keeps no type of array alive: a type for each length would be created and collected at every call.
HostCells = ctypes.c_int64 * 4


class Cells:
    """At most 4 int64 numbers that kernels write, such as the first row with NaN; -1 before, on the host."""

    def __init__(self, context: Context, count: int) -> None:
        self.context, self.count = context, count
        self.memory: Any
        if context.device.on_host:
            self.memory = HostCells(-1, -1, -1, -1)
            self.start = ctypes.addressof(self.memory)
        else:
            self.memory = context.library.empty((count,), "int64", context.device)
            self.start = view("cells", self.memory).address

    def address(self, place: int = 0) -> int:
        return self.start + 8 * place

    def read(self) -> list[int]:
        """Their values; on a device this waits for the stream."""
        if self.context.device.on_host:
            return [*self.memory[: self.count]]
        self.context.library.synchronize()
        return self.context.library.integers(self.memory)


def matrix_of(
    backend: ModuleType, x: View, bits: bool = False, first: int = 0, count: int | None = None, dims: int | None = None
) -> Any:
    """Rows [first, first + count) of a view with adjacent rows, or their first `dims` columns, as the backend's Matrix."""
    rows, columns = x.shape
    stride = x.strides[0] if rows > 1 else columns * x.itemsize
    address, count = x.address + first * stride, rows if count is None else count
    if bits:
        return backend.Matrix(address, count, 8 * columns, stride, "bits")
    return backend.Matrix(address, count, columns if dims is None else dims, stride, KERNEL_DTYPES[x.dtype])


def pair(out: Any) -> tuple[Any, Any]:
    """out= of the operations that return (distances, indices)."""
    if out is None:
        return None, None
    if not isinstance(out, (tuple, list)) or len(out) != 2:
        raise TypeError(f"out: expected a pair (distances, indices), got {type(out).__name__}")
    return out[0], out[1]


def refuse_overlap(results: Sequence[tuple[str, View]], inputs: Sequence[tuple[str, View]]) -> None:
    """No result may share memory with an input or with another result."""
    for position, (name, result) in enumerate(results):
        low, high = result.extent
        for other_name, other in [*results[position + 1 :], *inputs]:
            other_low, other_high = other.extent
            if low < other_high and other_low < high:
                raise ValueError(f"{name}: expected memory of its own, but it overlaps {other_name}")


def described(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def refuse_dtype(name: str, x: View, allowed: Sequence[str]) -> None:
    if x.dtype not in allowed:
        cast = x.library.cast(x.spelled(name), allowed[0])
        raise TypeError(f"{name}: expected {described(allowed)}, got {x.dtype}; cast it: {cast}")


def ids_of(name: str, given: Any, stream: int | None = None) -> View:
    """An array of ids. int32, which is what JAX has without jax_enable_x64, is widened to int64."""
    seen = view(name, given, stream)
    if seen.dtype != "int32":
        return seen
    if not seen.device.on_host:
        return view(name, seen.library.astype(seen.owner, "int64"))
    wide = view(name, as_numpy(seen).astype("int64", order="C"))  # "K" would keep Fortran's order
    return replace(wide, owner=seen.owner, library=seen.library, lease=wide.owner)


def shaped(name: str, seen: View, dimensions: str, allowed: Sequence[str]) -> View:
    """The array, of such dtypes and of dimensions named like "m, n", its rows readable by the kernels."""
    count = dimensions.count(",") + 1
    if len(seen.shape) != count:
        hint = f"; for a single one write {seen.spelled(name)}[None]" if len(seen.shape) == count - 1 else ""
        raise ValueError(f"{name}: expected {count} dimensions ({dimensions}), got shape {seen.shape}{hint}")
    refuse_dtype(name, seen, allowed)
    return with_adjacent_rows(seen)
