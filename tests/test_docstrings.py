# SPDX-License-Identifier: Apache-2.0
"""Examples in docstrings run, and every argument is described."""

from __future__ import annotations

import doctest
import importlib
import inspect
import sys

import pytest

import annkern as ak

FUNCTIONS = [name for name in ak.__all__ if inspect.isfunction(getattr(ak, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_examples(name):
    module = sys.modules[getattr(ak, name).__module__]
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.attempted and not result.failed


CLASSES = sorted({getattr(ak, name).__module__ for name in ak.__all__ if inspect.isclass(getattr(ak, name))})


@pytest.mark.parametrize("module", CLASSES)
def test_examples_of_classes(module):
    assert not doctest.testmod(sys.modules[module], optionflags=doctest.ELLIPSIS).failed


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_is_described(name):
    function = getattr(ak, name)
    text = inspect.getdoc(function)
    for argument in inspect.signature(function).parameters:
        assert any(argument in line.split(" :")[0].split(", ") for line in text.splitlines()), argument


def test_the_reference_mirrors_the_operations():
    """One stem in every layer."""
    for name in FUNCTIONS:
        if name not in ("backends", "compress", "load", "show_config", "tune"):
            assert callable(getattr(importlib.import_module("annkern.reference"), name))
