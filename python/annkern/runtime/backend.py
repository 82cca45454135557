# SPDX-License-Identifier: Apache-2.0
"""Which extension module serves which array, and what this installation can do.

Host arrays go to `_cpu`; device arrays to `_cuda`, or to `_emu`, the same kernels run on the CPU, where the environment
variable ANNKERN_DEVICE is "emu". `_cpu` is loaded with the package, the others when first needed.
"""

from __future__ import annotations

import importlib
import os
from functools import cache
from types import ModuleType
from typing import Any

from ..arrays.libraries import Device

NAMES = ("cpu", "cuda", "emu")


@cache
def load(name: str) -> ModuleType:
    """The extension module of backend `name`."""
    return importlib.import_module(f"annkern._{name}")


def check_processor() -> None:
    """Raise ImportError where this processor runs none of the instruction sets that `_cpu` is built for."""
    try:
        load("cpu")
    except ModuleNotFoundError:
        return  # not built: the NumPy definitions can be imported


@cache
def can_run(name: str) -> bool:
    return bool(load(name).backend_info()["available"])


def backend_of(device: Device) -> ModuleType:
    """The extension module that works on arrays of that device."""
    if device.on_host:
        return load("cpu")
    name = "emu" if os.environ.get("ANNKERN_DEVICE") == "emu" else "cuda"
    try:
        if can_run(name):
            return load(name)
    except ImportError as error:
        raise ValueError(
            f"queries: got an array on {device}, but this installation has no {name} backend ({error}); "
            "copy the arrays to host memory, or install annkern where nvcc is found"
        ) from error
    raise ValueError(f"queries: got an array on {device}, but {name} finds no device that it can use here")


def backends() -> dict[str, dict[str, Any]]:
    """The backends that can run here, by name ("cpu", "cuda", "emu").

    Returns
    -------
    dict
        Name -> what the backend says of itself: ``isa`` (the instruction set in use; for CUDA the device's compute
        capability), ``built`` (levels or architectures in this build), ``runnable`` (those that this machine can run),
        ``threads`` (the default number), ``device`` (True where its arrays live in device memory).

    Examples
    --------
    >>> import annkern as ak
    >>> "cpu" in ak.backends()
    True
    """
    found = {}
    for name in NAMES:
        try:
            info = load(name).backend_info()
        except ImportError:
            continue
        if info.pop("available"):
            found[name] = info
    return found


def show_config() -> None:
    """Print version, backends, instruction sets, CUDA architectures and threads: what a bug report needs.

    Examples
    --------
    >>> import annkern as ak
    >>> ak.show_config()  # doctest: +ELLIPSIS
    annkern ...
    """
    from .._version import __version__

    print(f"annkern {__version__}")
    for name in NAMES:
        try:
            info = load(name).backend_info()
        except ImportError as error:
            print(f"  {name:5} not built" if isinstance(error, ModuleNotFoundError) else f"  {name:5} {error}")
            continue
        state = info["isa"] or "no device" if info["available"] or not info["device"] else "no device"
        print(f"  {name:5} {state}; built: {', '.join(info['built'])}; runnable: {', '.join(info['runnable']) or 'none'}")
        if info["threads"]:
            print(f"        {info['threads']} threads")
    for variable in ("ANNKERN_ISA", "ANNKERN_NUM_THREADS", "ANNKERN_DEVICE"):
        print(f"  {variable}={os.environ.get(variable, '')}")
