# SPDX-License-Identifier: Apache-2.0
"""The rules of tools/mutations.py find their places in a kernel that they have never seen, and nothing else."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from mutations import mutations

SOURCE = """
// A comment with __syncthreads(); and values[i].
struct Args {
  int rows = 0;
};
__global__ void kernel(const Args a, float* out) {
  ANNK_SHARED(float, tile, [32]);
  float sum = 0.0f;
  float held[2];
  for (int i = 0; i < 2; ++i) held[i] = 0;
  tile[threadIdx.x] = sum;
  ptx::cp_async_wait<1>();
  __syncthreads();
  sum = __shfl_sync(kAllLanes, sum, lane + 1);
  atomicAdd(&out[a.rows], f(sum, 1));
}
void run(const Args& a, float* out, void* stream) {
  ANNK_LAUNCH((kernel), a.rows, 32, a.rows * 4, stream, a, out);
}
"""
EXPECTED = {
    ("shared array one short", "32", "(32) > 1 ? (32) - 1 : 1"),
    ("uninitialised", " = 0.0f", ""),
    ("delete initial store", "held[i] = 0", "(void)0"),
    ("index + 1", "i", "(i) + 1"),
    ("index + 1", "threadIdx.x", "(threadIdx.x) + 1"),
    ("index + 1", "a.rows", "(a.rows) + 1"),
    ("delete cp_async_wait", "ptx::cp_async_wait<1>()", "(void)0"),
    ("wait one group less", "1", "(1) + 1"),
    ("delete __syncthreads", "__syncthreads()", "(void)0"),
    ("mask without lane 31", "kAllLanes", "(kAllLanes) >> 1"),
    ("other lane", " lane + 1", " (lane + 1) ^ 1"),
    ("dynamic shared 4 bytes short", " a.rows * 4", " ((a.rows * 4) >= 4 ? (a.rows * 4) - 4 : 0)"),
}


def test_rules():
    found = mutations(SOURCE)
    plain = [m for m in found if m.rule == "plain atomic"]
    assert {(m.rule, SOURCE[m.start : m.end], m.text) for m in found if m not in plain} == EXPECTED
    assert [SOURCE[m.start : m.end] for m in plain] == ["atomicAdd(&out[a.rows], f(sum, 1))"]
    assert "*p_ = " in plain[0].text and "f(sum, 1)" in plain[0].text


def test_lines_are_those_of_the_source():
    lines = SOURCE.splitlines()
    for m in mutations(SOURCE):
        assert SOURCE[m.start : m.end].strip() in lines[m.line - 1]


def test_host_code_is_left_alone():
    assert mutations("int f(int* p) {\n  int sum = 0;\n  return p[sum];\n}\n") == []
