# SPDX-License-Identifier: Apache-2.0
"""The CUDA kernels under the emulator: results in many orders of threads and blocks, bounds, undefined behaviour, races."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from build import build
from modes import compiler, run

pytestmark = [pytest.mark.long, pytest.mark.skipif(compiler() is None, reason="needs g++ (Debian: apt install g++)")]
# More queries than one launch takes: seconds each, and the kernels are those of the other cases.
LARGE = "m=4100"


def check(compiled, mode, seed, words):
    status, output = run(build(compiled / "device", mode), "1", str(seed), words, timeout=1800)
    assert status == 0 and output.rstrip().endswith("1 seeds: all right"), output[-6000:]


@pytest.mark.parametrize(
    ("mode", "seed"), [("asan", 0), ("race", 0), ("race", 1), ("fast", 0), ("fast", 1), ("fast", 2), ("fast", 3)]
)
def test_device_kernels(compiled, mode, seed):
    check(compiled, mode, seed, f"-{LARGE}")


def test_more_queries_than_a_launch_takes(compiled):
    check(compiled, "fast", 1, LARGE)
