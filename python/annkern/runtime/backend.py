# SPDX-License-Identifier: Apache-2.0
"""Which extension module serves which array, and what this installation can do.

Host arrays go to `_cpu`; device arrays to `_cuda`, or to `_emu`, the same kernels run on the CPU, where the environment
variable ANNKERN_DEVICE is "emu". `_cpu` is loaded with the package, the others when first needed.
"""

from __future__ import annotations

import ctypes
import importlib
import os
from functools import cache
from types import ModuleType
from typing import Any

from ..arrays.libraries import Device

NAMES = ("cpu", "cuda", "emu")
DEVICES = ("", "cuda", "emu")  # of ANNKERN_DEVICE


@cache
def load(name: str) -> ModuleType:
    """The extension module of backend `name`."""
    return importlib.import_module(f"annkern._{name}")


def check_here() -> None:
    """Raise ImportError in a subinterpreter, and where this processor runs none of the instruction sets that `_cpu` is built
    for."""
    here, main = ctypes.pythonapi.PyInterpreterState_Get, ctypes.pythonapi.PyInterpreterState_Main
    here.restype = main.restype = ctypes.c_void_p
    if here() != main():  # the extension would wait for the lock that its own thread holds
        raise ImportError("annkern cannot be imported in a subinterpreter; import it in the main one, or use processes")
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
    wanted = os.environ.get("ANNKERN_DEVICE", "")
    if wanted not in DEVICES:
        raise ValueError(f"ANNKERN_DEVICE: expected emu, cuda or nothing, got {wanted!r}")
    name = wanted or "cuda"
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
        del info["note"]
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
        print(f"  {name:5} {_described(name)}")
    for variable in ("ANNKERN_ISA", "ANNKERN_NUM_THREADS", "ANNKERN_DEVICE"):
        value = os.environ.get(variable, "")
        unknown = variable == "ANNKERN_DEVICE" and value not in DEVICES
        print(f"  {variable}={value}{' (expected emu, cuda or nothing)' if unknown else ''}")


def _described(name: str) -> str:
    """What a backend says of itself, or why it says nothing: whatever is wrong here is what the caller wants to see."""
    try:
        info = load(name).backend_info()
    except ModuleNotFoundError:
        return f"not built{_why_without_cuda() if name == 'cuda' else ''}"
    except Exception as error:
        return str(error)
    state = info["isa"] or "no device" if info["available"] or not info["device"] else "no device"
    threads = f"; {info['threads']} threads" if info["threads"] else ""
    runnable = ", ".join(info["runnable"]) or "none"
    return f"{state}; built: {', '.join(info['built'])}; runnable: {runnable}{threads}"


def _why_without_cuda() -> str:
    try:
        note = load("cpu").backend_info()["note"]
    except Exception:
        return ""
    return f": {note}" if note else ""
