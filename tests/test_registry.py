# SPDX-License-Identifier: Apache-2.0
"""The lists of metrics and element types agree between C++, the Python layer and the reference."""

from __future__ import annotations

import ast
import importlib.metadata
from pathlib import Path

import pytest
from conftest import BACKENDS

import annkern as ak
from annkern import reference
from annkern.runtime import backend, context
from annkern.stores import store
from annkern.stores.registry import RULES, codec


@pytest.mark.parametrize("name", [name for name in backend.NAMES if name in ak.backends()])
def test_metrics(name):
    module = backend.load(name)
    want = {
        metric.name: {"bits": metric.bits, "integer": metric.integer, "similarity": metric.similarity}
        for metric in reference.METRICS.values()
    }
    assert module.metrics == want
    assert list(module.metrics) == list(want)


def test_aliases():
    assert reference.ALIASES == context.ALIASES


def test_dtypes():
    assert backend.load("cpu").dtypes == [*context.KERNEL_DTYPES.values(), "bits"]


def test_stores():
    """The kinds that the kernels know are registered; "array" and "leanvec" are made of others."""
    assert {*backend.load("cpu").stores, "array", "leanvec"} == store.KINDS.keys()
    assert {codec(rule.examples[0]).kind for rule in RULES} == store.KINDS.keys()


@pytest.mark.parametrize("name", [name for name in backend.NAMES if name in ak.backends()])
def test_stubs_name_what_the_extension_has(name):
    stub = ast.parse(Path(ak.__file__).with_name("_cpu.pyi").read_text())
    told = {node.name: node for node in stub.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    variables = {node.target.id for node in stub.body if isinstance(node, ast.AnnAssign)}
    module = backend.load(name)
    public = {name for name in vars(module) if not name.startswith("_")}
    if name != "cpu":  # direct calls are of the host alone
        told = {one: node for one, node in told.items() if one != "GraphPlan" and not one.endswith("_direct")}
    assert public == variables | {name for name in told if not name.startswith("_")}
    for function, node in told.items():
        if isinstance(node, ast.FunctionDef):
            signature = getattr(module, function).__doc__.partition("(")[2]
            positions = [signature.find(f"{argument.arg}: ") for argument in node.args.args]
            assert positions == sorted(positions) and -1 not in positions, function


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
