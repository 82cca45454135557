# SPDX-License-Identifier: Apache-2.0
"""The CUDA kernels under the emulator: results in many orders of threads and blocks, bounds, undefined behaviour, races."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from build import build
from modes import compiler, run

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs g++ (Debian: apt install g++)")


@pytest.mark.parametrize(("mode", "seeds"), [("fast", 10), ("asan", 3), ("race", 5)])
def test_device_kernels(tmp_path_factory, mode, seeds):
    folder = os.environ.get("ANNKERN_BUILD_DIR")
    program = build(Path(folder) / "device" if folder else tmp_path_factory.mktemp("device"), mode)
    status, output = run(program, str(seeds), "1", timeout=600)
    assert status == 0 and output.rstrip().endswith(f"{seeds} seeds: all right"), output[-6000:]
