# SPDX-License-Identifier: Apache-2.0
"""The calls into the CUDA driver that Python makes: waiting, for libraries that do not expose their streams, and copying
to the host, for any library."""

from __future__ import annotations

import ctypes
import os


def synchronize() -> None:
    """Wait until everything enqueued on the current device is done. The emulator runs in order: nothing to wait for."""
    if os.environ.get("ANNKERN_DEVICE") == "emu":
        return
    code = ctypes.CDLL("libcuda.so.1").cuCtxSynchronize()
    if code != 0:
        raise RuntimeError(f"stream: cuCtxSynchronize failed with CUDA error {code}")


def copy_to_host(to: int, address: int, size: int) -> None:
    """Device memory into host memory, after all that is enqueued on the current device."""
    synchronize()
    if os.environ.get("ANNKERN_DEVICE") == "emu":
        ctypes.memmove(to, address, size)
        return
    code = ctypes.CDLL("libcuda.so.1").cuMemcpyDtoH_v2(ctypes.c_void_p(to), ctypes.c_uint64(address), ctypes.c_size_t(size))
    if code != 0:
        raise RuntimeError(f"array: cuMemcpyDtoH failed with CUDA error {code}")
