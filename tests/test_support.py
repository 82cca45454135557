# SPDX-License-Identifier: Apache-2.0
"""docs/support.md says which store works where: what tools/support.py finds by trying it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))


@pytest.mark.skipif(not importlib.util.find_spec("annkern._emu"), reason="what works on CUDA is tried through the emulator")
@pytest.mark.long
def test_the_page_says_what_works(monkeypatch):
    import support

    monkeypatch.setenv("ANNKERN_DEVICE", "emu")
    assert support.on_page()[1] == support.rendered(support.registry()), "python tools/support.py --write puts it right"
