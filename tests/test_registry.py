# SPDX-License-Identifier: Apache-2.0
"""The lists of metrics and element types agree between C++, the Python layer and the reference."""

from __future__ import annotations

import pytest
from conftest import BACKENDS

import annkern as ak
from annkern import _backend, _call, reference


@pytest.mark.parametrize("name", [name for name in _backend.NAMES if name in ak.backends()])
def test_metrics(name):
    module = _backend.load(name)
    want = {
        metric.name: {"bits": metric.bits, "integer": metric.integer, "similarity": metric.similarity}
        for metric in reference.METRICS.values()
    }
    assert module.metrics == want
    assert list(module.metrics) == list(want)


def test_aliases():
    assert reference.ALIASES == _call.ALIASES


def test_dtypes():
    assert _backend.load("cpu").dtypes == [*_call.KERNEL_DTYPES.values(), "bits"]


def test_backends():
    info = ak.backends()["cpu"]
    assert info["name"] == "cpu" and not info["device"] and info["threads"] >= 1
    assert info["isa"] in info["runnable"] and set(info["runnable"]) <= set(info["built"])
    assert set(BACKENDS) <= {*ak.backends(), "emu"}


def test_config_is_printed(capsys):
    ak.show_config()
    text = capsys.readouterr().out
    assert ak.__version__ in text
    assert all(name in text for name in _backend.NAMES)
