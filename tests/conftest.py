# SPDX-License-Identifier: Apache-2.0
"""The backends that can run here, each with the arrays that lead to it."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

sys.path.insert(0, os.path.dirname(__file__))

from direct_calls import indirect, taken  # noqa: F401

import progress
from annkern.runtime.backend import backends

# A shell's background jobs begin with Ctrl-C ignored, and Python then leaves it so.
signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("annkern", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("annkern")


def pytest_configure(config: pytest.Config) -> None:
    progress.register(config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    return len(os.sched_getaffinity(0))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first: several cores then end together."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@dataclass(frozen=True)
class Backend:
    """Where a test runs: `array` takes a NumPy array there, `numpy` brings a result back."""

    name: str
    array: Callable[[np.ndarray], Any]
    numpy: Callable[[Any], np.ndarray]

    @property
    def slow(self) -> bool:
        return self.name == "emu"

    @property
    def on_host(self) -> bool:
        return self.name == "cpu"


def _cuda_backend() -> Backend:
    import torch

    def array(x: np.ndarray) -> Any:
        if x.dtype.name == "bfloat16":
            return torch.from_numpy(x.view(np.int16)).cuda().view(torch.bfloat16)
        return torch.from_numpy(np.ascontiguousarray(x)).cuda()

    return Backend("cuda", array, lambda x: x.cpu().numpy())


def _emu_backend() -> Backend:
    import emu_array

    return Backend("emu", emu_array.to_device, lambda x: x.host)


def _host(x: np.ndarray) -> np.ndarray:
    return x


def found() -> dict[str, Callable[[], Backend]]:
    here: dict[str, Callable[[], Backend]] = {"cpu": lambda: Backend("cpu", _host, _host)}
    if importlib.util.find_spec("annkern._emu"):
        here["emu"] = _emu_backend
    if "cuda" in backends() and importlib.util.find_spec("torch"):
        import torch

        if torch.cuda.is_available():
            here["cuda"] = _cuda_backend
    return here


BACKENDS = found()


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    if request.param == "emu":
        monkeypatch.setenv("ANNKERN_DEVICE", "emu")
    return BACKENDS[request.param]()


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where tests keep the programs that they compile: one folder for all processes of a run."""
    given = os.environ.get("ANNKERN_BUILD_DIR")  # stays for the next run
    base = tmp_path_factory.getbasetemp()
    return Path(given) if given else (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "compiled"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)
