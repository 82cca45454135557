# SPDX-License-Identifier: Apache-2.0
"""The one call into the CUDA driver that Python makes: waiting, for libraries that do not tell their streams."""

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
