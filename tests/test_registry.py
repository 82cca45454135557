# SPDX-License-Identifier: Apache-2.0
"""The lists of metrics and element types agree between C++, the Python layer and the reference."""

from __future__ import annotations

import ast
import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import BACKENDS

import annkern as ak
from annkern import reference
from annkern.runtime import backend, context
from annkern.stores import store
from annkern.stores.registry import RULES, codec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
import stubs


@pytest.mark.parametrize("name", [name for name in backend.NAMES if name in ak.backends()])
def test_metrics(name):
    module = backend.load(name)
    want = {
        metric.name: {"bits": metric.bits, "integer": metric.integer, "similarity": metric.similarity}
        for metric in reference.METRICS.values()
    }
    assert {name: row | {"from_dot": module.metrics[name]["from_dot"]} for name, row in want.items()} == module.metrics
    assert list(module.metrics) == list(want)


def test_functions_of_a_dot_product_are_those_that_rotations_keep():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((10, 6))
    turned = rows @ np.linalg.qr(rng.standard_normal((6, 6)))[0]
    for metric in reference.METRICS.values():
        kept = not metric.bits and np.allclose(metric.distance(rows[0], rows[1:]), metric.distance(turned[0], turned[1:]))
        assert backend.load("cpu").metrics[metric.name]["from_dot"] == kept, metric.name


def test_aliases():
    assert backend.load("cpu").metric_aliases == reference.ALIASES


def test_dtypes():
    assert backend.load("cpu").dtypes == [*context.KERNEL_DTYPES.values(), "bits"]


def test_stores():
    """The kinds that the kernels know are registered; "array" and "leanvec" are made of others."""
    assert {*backend.load("cpu").stores, "array", "leanvec"} == store.KINDS.keys()
    assert {codec(rule.examples[0]).kind for rule in RULES} == store.KINDS.keys()


def test_stubs_are_those_of_the_extension():
    module = backend.load("cpu")
    for path, text in stubs.stubs(module).items():
        assert path.read_text() == text, f"{path.name}: python tools/stubs.py --write"
    stub = ast.parse((stubs.PACKAGE / "_cpu.pyi").read_text())
    variables = {node.target.id for node in stub.body if isinstance(node, ast.AnnAssign)}
    named = {node.name for node in stub.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    public = {name for name in vars(module) if not name.startswith("_")}
    assert public == variables | {name for name in named if not name.startswith("_")}


@pytest.mark.parametrize("name", [name for name in backend.NAMES if name != "cpu" and name in ak.backends()])
def test_all_modules_have_the_same_functions(name):
    """What one stub says of _cpu holds for the others: their text is an import of it."""
    host, module = vars(backend.load("cpu")), vars(backend.load(name))
    functions = [name for name, value in module.items() if callable(value) and not isinstance(value, type)]
    assert "knn_workspace" in functions
    for function in functions:
        assert stubs.signatures(module[function]) == stubs.signatures(host[function])


def test_version():
    try:
        assert importlib.metadata.version("annkern") == ak.__version__
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("annkern is not installed")


def test_backends():
    info = ak.backends()["cpu"]
    assert info["name"] == "cpu" and not info["device"] and info["threads"] >= 1
    assert info["isa"] in info["runnable"] and set(info["runnable"]) <= set(info["built"])
    assert set(BACKENDS) <= {*ak.backends(), "emu"}


def test_config_is_printed(capsys):
    ak.show_config()
    text = capsys.readouterr().out
    assert ak.__version__ in text
    assert all(name in text for name in backend.NAMES)
