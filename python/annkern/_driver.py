# SPDX-License-Identifier: Apache-2.0
"""The one call into the CUDA driver that Python makes: waiting, for producers that cannot order streams themselves."""

from __future__ import annotations

import ctypes
import os


def synchronize(stream: int) -> None:
    """Wait until everything enqueued on `stream` is done. The emulator runs in order: nothing to wait for."""
    if os.environ.get("ANNKERN_DEVICE") == "emu":
        return
    code = ctypes.CDLL("libcuda.so.1").cuStreamSynchronize(ctypes.c_void_p(stream))
    if code != 0:
        raise RuntimeError(f"stream: cuStreamSynchronize failed with CUDA error {code}")
