# SPDX-License-Identifier: Apache-2.0
"""The CUDA sources as text: what would escape the emulator stays inside the two wrapper headers. Needs no compiler."""

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "csrc/cuda"
SOURCES = sorted(path for path in FOLDER.rglob("*") if path.suffix in (".cu", ".cuh", ".h"))
WRAPPERS = {"device.cuh", "ptx.cuh"}
# A word or sign that only a wrapper may hold, and what to write instead.
FENCED = {
    r"<<<": "ANNK_LAUNCH",
    r"\b__shared__\b": "ANNK_SHARED or ANNK_DYN_SHARED",
    r"\basm\b": "a wrapper in ptx.cuh with a host twin",
    r"\b__CUDA_ARCH__\b": "a policy that is data",
    r"\bcudaLaunch\w*": "ANNK_LAUNCH",
    r"\bemu::": "a wrapper in ptx.cuh",
}
# What no file may hold: the operations are stream-ordered and own no memory, and the toolkit's libraries are not needed.
FORBIDDEN = r"\bcuda(Malloc|Free|HostAlloc|\w*Synchronize|Memcpy)\w*|<(cub|thrust|torch)/"


def code(text: str) -> str:
    """Without comments; the texts of this project's strings hold none of the words above."""
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


def offences(name: str, text: str) -> list[str]:
    signs = {FORBIDDEN: "nothing of the kind"} | ({} if name in WRAPPERS else FENCED)
    text = code(text)
    return [f"{match[0]!r}: use {instead}" for sign, instead in signs.items() for match in re.finditer(sign, text)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_escapes_the_wrappers(path):
    assert offences(path.name, path.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "kernel<<<1, 32>>>(x);",
        "__shared__ float tile[32];",
        'asm volatile("bar.sync 0;");',
        "#if __CUDA_ARCH__ >= 900",
        "cudaLaunchKernelEx(&config, kernel);",
        "emu::cp_async<16>(a, b);",
        "cudaMalloc(&memory, 16);",
        "cudaStreamSynchronize(stream);",
        "#include <cub/cub.cuh>",
    ],
)
def test_the_lint_sees(line):
    assert len(offences("kernel.cu", f"// comment\n{line}\n")) == 1
    assert offences("kernel.cu", f"// {line}\n") == []


def test_every_assembly_has_a_host_twin():
    text = code((FOLDER / "device/ptx.cuh").read_text())
    bodies = re.split(r"__device__ __forceinline__", text)[1:]
    assert bodies
    for body in bodies:
        twin, real = body.split("#else") if "#else" in body else (body, "")
        assert "ANNK_EMULATED" in twin and "asm" in real, body.strip().splitlines()[0]


def test_names_are_unique():
    """Objects, mutants and reports are named by a file alone, without its room."""
    names = [path.name for path in SOURCES]
    assert len(names) == len(set(names))


def test_vendor_is_known_to_the_device_room_alone():
    """A build for another vendor's GPUs then replaces headers of csrc/cuda/device, and copies no kernel."""
    wrong = [
        path.name
        for path in SOURCES
        if path.parent.name != "device" and re.search(r"#include <(cu\w*|hip)", path.read_text())
    ]
    assert not wrong


def test_every_operation_has_its_source():
    operations = set(re.findall(r'#include "ops/(\w+)\.h"', (ROOT / "csrc/ops/ops.h").read_text()))
    assert "knn" in operations
    assert operations <= {path.stem for path in SOURCES if path.suffix == ".cu"}


def test_kernels_have_budgets():
    """Each kernel's name leads to a budget, and no budget is for a kernel that is gone."""
    budgets = json.loads((ROOT / "bench/gpu/budgets.json").read_text())["kernels"]
    text = "".join(code(path.read_text()) for path in SOURCES)
    names = set(re.findall(r"__global__ void(?: __launch_bounds__\((?:[^()]|\([^()]*\))*\))?\s+(\w+)\(", text))
    assert names
    for name in names:
        assert any(fnmatchcase(name, b["kernel"].split("<")[0]) for b in budgets), name
    for budget in budgets[:-1]:
        assert any(fnmatchcase(name, budget["kernel"].split("<")[0]) for name in names), budget["kernel"]
