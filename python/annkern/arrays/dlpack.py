# SPDX-License-Identifier: Apache-2.0
"""What a DLPack capsule says, read without consuming it: the capsule keeps the memory alive."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

CPU, CUDA, CUDA_PINNED, CUDA_MANAGED = 1, 2, 3, 13
KINDS = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex", 6: "bool"}
READ_ONLY = 1  # DLPACK_FLAG_BITMASK_READ_ONLY


class Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class VersionedTensor(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", Tensor),
    )


class Exported(NamedTuple):
    """One array as DLPack describes it; strides in bytes."""

    capsule: object
    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    device_type: int
    device_id: int
    readonly: bool


_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.argtypes = [ctypes.py_object, ctypes.c_char_p]
_is_valid.restype = ctypes.c_int
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
_pointer.restype = ctypes.c_void_p


def export(x: Any, stream: int | None = None) -> Exported:
    """Ask `x` for its capsule, usable on `stream` (a CUDA stream; None on the host), and read it."""
    try:
        capsule = x.__dlpack__(stream=stream, max_version=(1, 0))
    except TypeError:  # a producer older than DLPack 1.0
        capsule = x.__dlpack__(stream=stream)
    readonly = False
    if _is_valid(capsule, b"dltensor_versioned"):
        managed = VersionedTensor.from_address(_pointer(capsule, b"dltensor_versioned"))
        tensor, readonly = managed.tensor, bool(managed.flags & READ_ONLY)
    else:
        tensor = Tensor.from_address(_pointer(capsule, b"dltensor"))

    itemsize = (tensor.bits * tensor.lanes + 7) // 8
    shape = tuple(tensor.shape[: tensor.ndim])
    if tensor.strides:
        strides = tuple(step * itemsize for step in tensor.strides[: tensor.ndim])
    else:
        strides = packed_strides(shape, itemsize)
    return Exported(
        capsule=capsule,
        address=tensor.data + tensor.byte_offset if tensor.data else 0,
        shape=shape,
        strides=strides,
        dtype=_name(tensor.code, tensor.bits, tensor.lanes),
        device_type=tensor.device_type,
        device_id=tensor.device_id,
        readonly=readonly,
    )


def packed_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Byte strides of a row-major array without gaps."""
    strides = []
    step = itemsize
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def _name(code: int, bits: int, lanes: int) -> str:
    kind = KINDS.get(code, f"DLPack type {code} of ")
    name = kind if kind == "bool" else f"{kind}{bits}"
    return name if lanes == 1 else f"{name}x{lanes}"
