# SPDX-License-Identifier: Apache-2.0
"""A device array for the emulated CUDA backend: host memory that is only to be had as a CUDA array is.

It exports `__cuda_array_interface__`, DLPack with device type kDLCUDA and a small array-API namespace, and neither the
buffer protocol nor `__array_interface__`: a product that would touch it as host memory fails.
"""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np

from annkern.arrays.dlpack import CUDA, Tensor

ALIGNMENT = 256
CODES = {"i": 0, "u": 1, "f": 2, "b": 6}


class ManagedTensor(ctypes.Structure):
    _fields_ = (("tensor", Tensor), ("manager_ctx", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_new_capsule.restype = ctypes.py_object


class EmuArray:
    """`host` is the memory itself; tests may look into it, the product has no way to."""

    def __init__(self, host: np.ndarray, number: int = 0, stream: int | None = None, readonly: bool = False) -> None:
        self.host = host
        self.number = number
        self.stream = stream
        self.readonly = readonly
        self.streams_asked: list[Any] = []
        self._exported: list[Any] = []

    @property
    def shape(self) -> tuple[int, ...]:
        return self.host.shape

    @property
    def dtype(self) -> np.dtype:
        return self.host.dtype

    @property
    def device(self) -> tuple[int, int]:
        return CUDA, self.number

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        bfloat16 = self.host.dtype == ml_dtypes.bfloat16
        return {
            "version": 3,
            "shape": self.host.shape,
            "strides": None if self.host.flags.c_contiguous else self.host.strides,
            "typestr": "<V2" if bfloat16 else self.host.dtype.str,
            "data": (self.host.ctypes.data, self.readonly or not self.host.flags.writeable),
            "stream": self.stream,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, *, stream: Any = None, **_: Any) -> Any:
        self.streams_asked.append(stream)
        host, rank = self.host, self.host.ndim
        bfloat16 = host.dtype == ml_dtypes.bfloat16
        shape = (ctypes.c_int64 * rank)(*host.shape)
        strides = (ctypes.c_int64 * rank)(*(step // host.itemsize for step in host.strides))
        tensor = Tensor(
            data=host.ctypes.data - ALIGNMENT,  # as where a slice keeps the pointer of the whole
            byte_offset=ALIGNMENT,
            device_type=CUDA,
            device_id=self.number,
            ndim=rank,
            code=4 if bfloat16 else CODES[host.dtype.kind],
            bits=8 * host.itemsize,
            lanes=1,
            shape=shape,
            strides=strides,
        )
        managed = ManagedTensor(tensor=tensor)
        self._exported.append((managed, shape, strides))
        return _new_capsule(ctypes.addressof(managed), b"dltensor", None)

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return NAMESPACE

    def __getitem__(self, key: Any) -> EmuArray:
        key = key.host if isinstance(key, EmuArray) else key
        return EmuArray(np.asarray(self.host[key]), self.number)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.host[key] = value.host if isinstance(value, EmuArray) else value

    def __int__(self) -> int:
        return int(self.host)

    def __bool__(self) -> bool:
        return bool(self.host)

    def __lt__(self, other: Any) -> EmuArray:
        return EmuArray(self.host < other, self.number)

    def __eq__(self, other: Any) -> EmuArray:  # type: ignore[override]
        return EmuArray(self.host == other.host, self.number)

    __hash__ = object.__hash__

    def all(self) -> EmuArray:
        return EmuArray(self.host.all(), self.number)


def to_device(x: np.ndarray, number: int = 0) -> EmuArray:
    """A copy in aligned memory; the strides of rows are kept, as a device slice would have them."""
    memory = empty(x.shape, dtype=x.dtype, device=(CUDA, number))
    memory.host[...] = x
    return memory


def empty(shape: tuple[int, ...], *, dtype: Any, device: Any = (CUDA, 0)) -> EmuArray:
    """As cudaMalloc aligns; filled with a pattern, because device memory is not zeroed either."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    memory = np.full(size + ALIGNMENT, 0xA5, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return EmuArray(memory[start : start + size].view(dtype).reshape(shape), device[1])


def asarray(x: np.ndarray, *, device: Any) -> EmuArray:
    return to_device(x, device[1])


def astype(x: EmuArray, dtype: Any) -> EmuArray:
    with np.errstate(invalid="ignore"):
        return EmuArray(x.host.astype(dtype), x.number)


def take(x: EmuArray, rows: EmuArray, *, axis: int) -> EmuArray:
    return EmuArray(np.take(x.host, rows.host, axis=axis), x.number)


NAMESPACE = SimpleNamespace(
    __name__="emu_array",
    empty=empty,
    asarray=asarray,
    astype=astype,
    take=take,
    all=lambda x: x.all(),
    bfloat16=np.dtype(ml_dtypes.bfloat16),
    **{name: np.dtype(name) for name in ("float32", "float16", "int8", "uint8", "int32", "int64", "uint32", "bool")},
)
