# SPDX-License-Identifier: Apache-2.0
"""The rules of tools/mutations.py find their places in a kernel that they have never seen, and nothing else."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from mutations import apply, mutations

SOURCE = """
// A comment with __syncthreads(); and values[i].
struct Args {
  int rows = 0;
};
__global__ void kernel(const Args a, float* out) {
  ANNK_SHARED(float, tile, [32]);
  float sum = 0.0f;
  float some[2] = {};
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
# What stands in place of what, where nothing else is broken.
EXPECTED = {
    ("shared array one short", "32", "(32) > 1 ? (32) - 1 : 1"),
    ("uninitialised", "0.0f", "::mutant::first(true, 0.0f)"),
    ("uninitialised", "", " ::mutant::spoil(true, some);"),
    ("delete initial store", "held[i] = 0", "(true ? (void)0 : (void)(held[i] = 0))"),
    ("index + 1", "i", "(i) + true"),
    ("index + 1", "threadIdx.x", "(threadIdx.x) + true"),
    ("index + 1", "a.rows", "(a.rows) + true"),
    ("delete cp_async_wait", "ptx::cp_async_wait<1>()", "(true ? (void)0 : (void)(ptx::cp_async_wait<1>()))"),
    ("wait one group less", "ptx::cp_async_wait<1>()", "(true ? ptx::cp_async_wait<(1) + 1>() : ptx::cp_async_wait<1>())"),
    ("delete __syncthreads", "__syncthreads()", "(true ? (void)0 : (void)(__syncthreads()))"),
    ("mask without lane 31", "kAllLanes", "(kAllLanes) >> true"),
    ("other lane", " lane + 1", "( lane + 1) ^ true"),
    ("dynamic shared 4 bytes short", " a.rows * 4", "::mutant::less(true,  a.rows * 4)"),
}


def broken(mutation):
    before, after = mutation.condition(None)
    return before + SOURCE[mutation.start : mutation.end] + after


def test_rules():
    found = mutations(SOURCE)
    plain = [m for m in found if m.rule == "plain atomic"]
    assert {(m.rule, SOURCE[m.start : m.end], broken(m)) for m in found if m not in plain} == EXPECTED
    assert [SOURCE[m.start : m.end] for m in plain] == ["atomicAdd(&out[a.rows], f(sum, 1))"]
    assert "*p_ = " in broken(plain[0]) and "f(sum, 1)" in broken(plain[0])


def test_one_mutation():
    m = next(m for m in mutations(SOURCE) if m.rule == "index + 1")
    assert apply(SOURCE, {m: None}) == SOURCE[: m.start] + broken(m) + SOURCE[m.end :]


def test_mutations_side_by_side():
    numbers = {m: i for i, m in enumerate(m for m in mutations(SOURCE) if m.switched)}
    lines = apply(SOURCE, numbers).splitlines()
    assert len(lines) == len(SOURCE.splitlines()) and "  ANNK_SHARED(float, tile, [32]);" in lines

    def on(rule, line):
        return next(f"::mutant::on({i})" for m, i in numbers.items() if m.rule == rule and lines[m.line - 1] == line)

    # An index within an atomic; two that stand around the same piece; one behind a statement.
    atomic = next(line for line in lines if "atomicAdd" in line)
    assert atomic.startswith(f"  ({on('plain atomic', atomic)} ? [&] {{")
    assert atomic.endswith(f" : atomicAdd(&out[(a.rows) + {on('index + 1', atomic)}], f(sum, 1)));")
    wait = next(line for line in lines if "cp_async_wait" in line)
    less = f"({on('wait one group less', wait)} ? ptx::cp_async_wait<(1) + 1>() : ptx::cp_async_wait<1>())"
    assert wait == f"  ({on('delete cp_async_wait', wait)} ? (void)0 : (void)({less}));"
    some = next(line for line in lines if "some" in line)
    assert some == f"  float some[2] = {{}}; ::mutant::spoil({on('uninitialised', some)}, some);"


def test_lines_are_those_of_the_source():
    lines = SOURCE.splitlines()
    for m in mutations(SOURCE):
        assert SOURCE[m.start : m.end].strip() in lines[m.line - 1]


def test_host_code_is_left_alone():
    assert mutations("int f(int* p) {\n  int sum = 0;\n  return p[sum];\n}\n") == []
