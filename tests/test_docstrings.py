# SPDX-License-Identifier: Apache-2.0
"""Examples in docstrings run, and every argument is described."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import sys

import pytest

import annkern as ak
from annkern import io

FUNCTIONS = [name for name in ak.__all__ if inspect.isfunction(getattr(ak, name))]
PUBLIC = {name: getattr(ak, name) for name in ak.__all__}
PUBLIC |= {f"io.{name}": getattr(io, name) for name in io.__all__ if callable(getattr(io, name))}


@pytest.mark.parametrize("name", PUBLIC)
def test_examples(name):
    """Of each public name there is one, and those of its methods run, too."""
    thing = PUBLIC[name]
    if "h5py" in thing.__doc__:
        pytest.importorskip("h5py")
    found = doctest.DocTestFinder().find(thing, name, sys.modules[thing.__module__], globs={})
    assert any(test.examples for test in found if test.name == name)
    for test in found:
        assert not doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test).failed


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_is_described(name):
    function = getattr(ak, name)
    text = inspect.getdoc(function)
    for argument in inspect.signature(function).parameters:
        assert any(argument in line.split(" :")[0].split(", ") for line in text.splitlines()), argument


INSIDE = ("array_views", "native", "array_names", "layout", "direct")  # methods that other modules call
METHODS = [
    (name, method)
    for name in ak.__all__
    if inspect.isclass(getattr(ak, name)) and getattr(ak, name) is not ak.Tuned
    for method, found in inspect.getmembers(getattr(ak, name), inspect.isroutine)
    if (not method.startswith("_") or method == "__init__") and method not in INSIDE
]


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_every_argument_of_a_method_is_named(name, method):
    """Those of __init__ in the text of the class."""
    owner = getattr(ak, name)
    function = getattr(owner, method)
    text = inspect.getdoc(owner if method == "__init__" else function)
    assert text
    for argument in inspect.signature(function).parameters:
        assert argument == "self" or re.search(rf"\b{argument}\b", text), argument


def test_the_reference_mirrors_the_operations():
    """One stem in every layer."""
    for name in FUNCTIONS:
        if name not in ("backends", "compress", "load", "show_config", "tune"):
            assert callable(getattr(importlib.import_module("annkern.reference"), name))
