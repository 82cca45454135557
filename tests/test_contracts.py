# SPDX-License-Identifier: Apache-2.0
"""What a template or a distance computer asks of its caller is held by the compiler: a mistake stands beside the code that
is right, and must not compile, for the reason that is named."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parent.parent / "csrc"
FLAGS = ["-std=c++20", "-fsyntax-only", f"-I{CSRC}", "-x", "c++"]
CPU = ["-DANNK_ISA=baseline", *(["-march=x86-64-v2"] if platform.machine() == "x86_64" else [])]
DEVICE = ["-DANNK_EMULATED", f"-I{CSRC / 'emu'}", "-Wno-unknown-pragmas"]

PACKED = """
#include "cpu/graph/beam_search.h"
using namespace annk;
using namespace annk::baseline;
void score(const DistanceComputer& computer, BeamSearch& search, char* room, float* keys, NearRows* near) {
  [[maybe_unused]] const RowList rows{nullptr, 0, 8};
  %s
}
"""
EPILOGUE = """
#include "cuda/distance/scan.cuh"
using namespace annk;
using namespace annk::cuda;
struct Ignore {
  static constexpr bool kBySplits = false;
  static int64_t shared_bytes(const ScanShape&) { return 0; }
  Ignore part(const ScanArgs&, int64_t, int64_t) const { return *this; }
  template <class, ScanShape kShape>
  struct OfWarp {
    OfWarp(const Ignore&, const ScanWarp<kShape>&, unsigned char*) {}
    void take(const WarpKeys<kShape>&, int) {}
    %s
  };
};
void run(const ScanArgs& a) { launch_scan<FloatArith<SqEuclidean, float>, true>(a, Ignore{}, nullptr); }
"""

# name: flags, the source, what stands in it where it is right, and where it is wrong, and what the compiler then says.
CASES = {
    "rows are scored for packed queries": (
        CPU,
        PACKED,
        "computer.score_rows(computer.pack_query(0, 1, room), 1, rows, keys, 8);",
        "computer.score_rows(room, 1, rows, keys, 8);",
        "Packed",
    ),
    "a pointer does not become a packed query": (
        CPU,
        PACKED,
        "const PackedQueries query = computer.pack_query(0, 1, room); computer.score_rows(query, 1, rows, keys, 8);",
        "const PackedQueries query(room); computer.score_rows(query, 1, rows, keys, 8);",
        "private",
    ),
    "limits want queries that were packed for them": (
        CPU,
        PACKED,
        "computer.score_rows_below(computer.pack_query_below(0, 1, room), 1, rows, keys, near);",
        "computer.score_rows_below(computer.pack_query(0, 1, room), 1, rows, keys, near);",
        "Packed",
    ),
    "a search begins with a packed query": (
        CPU,
        PACKED,
        "search.begin(computer.pack_query(0, 1, search.query_room()), 10, nullptr);",
        "search.begin(search.query_room(), 10, nullptr);",
        "Packed",
    ),
    "a search does not begin without one": (
        CPU,
        PACKED,
        "search.begin(computer.pack_query(0, 1, search.query_room()), 10, nullptr);",
        "search.begin(10, nullptr);",
        "begin",
    ),
    "an epilogue ends": (DEVICE, EPILOGUE, "void finish() {}", "", "Epilogue"),
}


def compiled(flags: list[str], source: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["c++", *FLAGS, *flags, "-"], input=source, capture_output=True, text=True, check=False)


@pytest.mark.skipif(shutil.which("c++") is None, reason="no compiler")
@pytest.mark.parametrize("name", CASES)
def test_contract(name):
    flags, source, right, wrong, reason = CASES[name]
    done = compiled(flags, source % right)
    assert done.returncode == 0, done.stderr[-4000:]
    done = compiled(flags, source % wrong)
    assert done.returncode != 0 and reason in done.stderr, done.stderr[-4000:]
