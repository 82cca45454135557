# SPDX-License-Identifier: Apache-2.0
"""What the harnesses bring: modules put in place."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import annkern as ak

HARNESS = Path(__file__).resolve().parent.parent / "bench" / "harness"


@pytest.fixture
def modules(monkeypatch):
    """Packages that the harnesses would bring."""

    def put(name, **contents):
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            path = ".".join(parts[:end])
            if path not in sys.modules:
                module = types.ModuleType(path)
                module.__path__ = []
                monkeypatch.setitem(sys.modules, path, module)
        vars(sys.modules[name]).update(contents)

    return put


def loaded(name, path, monkeypatch):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def recall(found, base, queries, metric, k=10):
    truth = ak.knn(base, queries, k, metric)[1]
    return np.mean([len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True)]) / k
