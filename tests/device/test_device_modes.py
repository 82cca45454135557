# SPDX-License-Identifier: Apache-2.0
"""The CUDA kernels under the emulator: results in many orders of threads and blocks, bounds, undefined behaviour, races."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from build import build
from modes import compiler, run

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs g++ (Debian: apt install g++)")
# More queries than one launch takes: seconds each, and the kernels are those of the other cases.
LARGE = "m=4100"


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    given = os.environ.get("ANNKERN_BUILD_DIR")
    return Path(given) / "device" if given else tmp_path_factory.mktemp("device")


def check(program, seed, words):
    status, output = run(program, "1", str(seed), words, timeout=600)
    assert status == 0 and output.rstrip().endswith("1 seeds: all right"), output[-6000:]


@pytest.mark.parametrize(("mode", "seeds"), [("fast", 4), ("asan", 1), ("race", 2)])
def test_device_kernels(folder, mode, seeds):
    program = build(folder, mode)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda seed: check(program, seed, f"-{LARGE}"), range(seeds)))


def test_more_queries_than_a_launch_takes(folder):
    check(build(folder, "fast"), 1, LARGE)
