# SPDX-License-Identifier: Apache-2.0
"""What the harnesses bring and a build may lack: modules put in place, an index that is exact."""

from __future__ import annotations

import importlib.util
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import annkern as ak

HARNESS = Path(__file__).resolve().parent.parent / "bench" / "harness"


class Exactly:
    """Stands in for `annkern.Index` where the build has none: exact, with the same signatures."""

    def __init__(self, base, metric):
        self.base, self.metric, self.nbytes, self.windows = base, metric, base.nbytes, []

    @classmethod
    def build(cls, x, spec, *, metric, threads=None, learn_queries=None):
        assert spec.startswith("graph")
        return cls(np.array(x), metric)

    def search(self, queries, k, *, window=64, filter=None, threads=None):
        self.windows.append(window)
        return ak.knn(self.base, queries, k, self.metric, filter=filter, threads=threads)

    def save(self, path):
        Path(path).write_bytes(pickle.dumps(self))


@pytest.fixture
def index(monkeypatch):
    monkeypatch.setattr(ak, "Index", Exactly, raising=False)
    monkeypatch.setattr(ak, "load", lambda path: pickle.loads(Path(path).read_bytes()), raising=False)


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
