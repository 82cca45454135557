# SPDX-License-Identifier: Apache-2.0
"""Default threads obey the quotas of control groups: csrc/core/cgroup.h over folders as the kernel writes them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parent.parent / "csrc"
PROGRAM = """
#include <cstdio>
#include "core/cgroup.h"
int main(int, char** given) { std::printf("%d\\n", annk::cgroup_cpus(given[1], given[2])); }
"""
NONE = 2**31 - 1


@pytest.fixture(scope="module")
def cpus(tmp_path_factory):
    """cpus(memberships, files): what a process sees whose /proc/self/cgroup and /sys/fs/cgroup hold these."""
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no compiler")
    folder = tmp_path_factory.mktemp("cgroup")
    (folder / "main.cpp").write_text(PROGRAM)
    build = [compiler, "-std=c++20", "-I", str(CSRC), str(folder / "main.cpp"), "-o", str(folder / "cpus")]
    subprocess.run(build, check=True)

    def ask(memberships, files):
        shutil.rmtree(folder / "fs", ignore_errors=True)
        for name, text in files.items():
            path = folder / "fs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (folder / "self").write_text(memberships)
        return int(subprocess.check_output([folder / "cpus", folder / "self", folder / "fs"]))

    return ask


V1 = "3:cpu,cpuacct:/a/b\n2:memory:/z\n1:name=systemd:/x\n"


@pytest.mark.parametrize(
    ("memberships", "files", "want"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 3),
        ("0::/\n", {"cpu.max": "5000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "max 100000\n"}, NONE),
        ("0::/\n", {}, NONE),
        ("", {"cpu.max": "200000 100000\n"}, NONE),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "400000 100000\n"}, 4),
        ("0::/a/b\n", {"a/b/cpu.max": "300000 100000\n", "a/cpu.max": "400000 100000\n"}, 3),
        ("0::/a/b\n", {"a/b/cpu.max": "600000 100000\n", "cpu.max": "100000 50000\n"}, 2),
        ("0::/docker/abc\n", {"cpu.max": "200000 100000\n"}, 2),
        (V1, {"cpu,cpuacct/a/b/cpu.cfs_quota_us": "150000", "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000"}, 2),
        (V1, {"cpu,cpuacct/cpu.cfs_quota_us": "100000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 1),
        (V1, {"cpu,cpuacct/a/b/cpu.cfs_quota_us": "-1", "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000"}, NONE),
        ("0::/\n", {"cpu.max": "nonsense"}, NONE),
        ("0::/\n", {"cpu.max": "900000000000000 1"}, NONE),
        ("no colons\n::\n:\n", {"cpu.max": "200000 100000\n"}, 2),
    ],
)
def test_quotas(cpus, memberships, files, want):
    assert cpus(memberships, files) == want
