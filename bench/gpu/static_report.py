# SPDX-License-Identifier: Apache-2.0
"""What the compiler made of the kernels, without a GPU: registers, spills, shared memory, blocks on an SM, instructions.

``python bench/gpu/static_report.py [ARCH...]`` compiles csrc/cuda for each architecture (80 90 100 120), reads ptxas and
the machine code, prints a table and ends with status 1 where a kernel breaks its budget in budgets.json, spills, or touches
local memory. ``--markdown FILE`` writes the table between the marks in that file, docs/generated/kernel-budgets.md. Needs
nvcc and nvdisasm, from a toolkit or from the wheels nvidia-cuda-nvcc and nvidia-cuda-nvdisasm. What was compiled is kept by
a hash of the sources.
"""

import argparse
import concurrent.futures
import dataclasses
import fnmatch
import hashlib
import json
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "csrc/cuda"
BUDGETS = Path(__file__).with_name("budgets.json")
FLAGS = ["-std=c++20", "-O3", "-fmad=false", "--expt-relaxed-constexpr", f"-I{ROOT / 'csrc'}"]
ARCHITECTURES = ("80", "90", "100", "120")
# Threads, blocks and KiB of shared memory of an SM (CUDA programming guide, compute capabilities).
SM = {"80": (2048, 32, 164), "90": (2048, 32, 228), "100": (2048, 32, 228), "120": (1536, 24, 100)}
# Arithmetic of the steps, by which the main loop is found, and what belongs to it: differences, combined bits, widening.
STEPS = ("FFMA", "FADD", "FMNMX", "FSETP", "IDP", "POPC", "HMMA", "IMMA")
MATH = (*STEPS, "FMUL", "FSEL", "LOP3", "IADD3", "IMAD.IADD", "VIADD", "HADD2", "PRMT")


@dataclasses.dataclass
class Kernel:
    arch: str
    name: str
    registers: int
    spilled: int
    shared: int
    wide_loads: int
    local: int
    math: float
    budget: dict = dataclasses.field(default_factory=dict)

    def blocks(self) -> int:
        """Blocks that fit on an SM: registers come in 256 a warp, shared memory in 128 bytes and 1 KiB a block more."""
        threads, blocks, kib = SM[self.arch]
        warps = -(-self.budget["threads"] // 32)
        warp_registers = -(-self.registers * 32 // 256) * 256
        shared = -(-(self.shared + self.budget.get("shared", 0) + 1024) // 128) * 128
        return min(threads // 32 // warps, blocks, 65536 // 4 // warp_registers * 4 // warps, kib * 1024 // shared)

    def occupancy(self) -> float:
        return self.blocks() * -(-self.budget["threads"] // 32) * 32 / SM[self.arch][0]

    def broken(self) -> list[str]:
        budget, problems = self.budget, []
        blocks = budget["blocks"]
        least = blocks[self.arch] if isinstance(blocks, dict) else blocks
        if self.spilled > budget.get("spilled", 0) or self.local > budget.get("local", 0):
            problems.append(f"{self.spilled} bytes spilled, {self.local} accesses to local memory")
        if self.registers > budget["registers"]:
            problems.append(f"{self.registers} registers, budget {budget['registers']}")
        if self.blocks() < least:
            problems.append(f"{self.blocks()} blocks on an SM, budget {least}")
        if self.wide_loads < budget.get("wide_loads", 0):
            problems.append(f"{self.wide_loads} loads of 16 bytes in loops, budget {budget['wide_loads']}")
        if self.math < budget.get("math", 0):
            problems.append(f"{self.math:.0%} arithmetic in the main loop, budget {budget['math']:.0%}")
        return problems


def tool(name: str) -> str:
    wheels = sorted(Path(sysconfig.get_path("purelib")).glob(f"nvidia/cu*/bin/{name}"))
    found = shutil.which(name) or (str(wheels[-1]) if wheels else None)
    if found is None:
        sys.exit(f"no {name}: install a CUDA toolkit, or: pip install nvidia-cuda-{'nvcc' if name == 'nvcc' else name}")
    return found


def output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout + done.stderr


def sources_hash() -> str:
    digest = hashlib.sha256(json.dumps([FLAGS[:-1], output(tool("nvcc"), "--version")]).encode())
    for path in sorted((ROOT / "csrc").rglob("*")):
        if path.suffix in (".cu", ".cuh", ".h") and "emu" not in path.parts and "cpu" not in path.parts:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def compiled(source: Path, arch: str, cache: Path) -> tuple[str, str]:
    """What ptxas said of a source, and its machine code."""
    stem = cache / f"{source.stem}.{arch}"
    said, sass = stem.with_suffix(f".{arch}.txt"), stem.with_suffix(f".{arch}.sass")
    if not sass.exists():
        cubin = stem.with_suffix(f".{arch}.cubin")
        options = (f"-arch=sm_{arch}", "-cubin", "-Xptxas", "-v")
        said.write_text(output(tool("nvcc"), *FLAGS, *options, str(source), "-o", str(cubin)))
        text = output(tool("nvdisasm"), "-c", str(cubin))
        cubin.unlink()
        sass.write_text(text)
    return said.read_text(), sass.read_text()


def readable(symbols: list[str]) -> dict[str, str]:
    """Kernel names as they are written, without namespaces and arguments."""
    names = {}
    for symbol, name in zip(symbols, output("c++filt", *symbols).splitlines(), strict=True):
        short = re.sub(r"\(anonymous namespace\)::|\b(?:annk|cuda|generic)::|^void ", "", name.strip())
        short = short.split("(")[0].replace(" >", ">")
        if short.startswith("scan_kernel<"):
            short = short.replace(", true, ", ", wide, ").replace(", false, ", ", narrow, ")
        names[symbol] = short.replace("unsigned char", "uint8").replace("signed char", "int8")
    return names


def instructions(section: str) -> tuple[list[str], list[tuple[int, int]]]:
    """The opcodes of a kernel, and the ranges of its loops: what lies between a label and a later branch to it."""
    codes, labels, loops = [], {}, []
    for line in section.splitlines():
        if label := re.match(r"\s*(\.L_x_\d+):", line):
            labels[label[1]] = len(codes)
        elif code := re.match(r"\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]+)(.*)", line):
            codes.append(code[1])
            target = re.search(r"`\((\.L_x_\d+)\)", code[2])
            if code[1].startswith("BRA") and target and labels.get(target[1], len(codes)) < len(codes) - 1:
                loops.append((labels[target[1]], len(codes)))
    return codes, loops


def starts(codes: list[str], prefixes: tuple[str, ...]) -> int:
    return sum(code.startswith(prefixes) for code in codes)


def main_loop_math(codes: list[str], loops: list[tuple[int, int]]) -> float:
    """The share of arithmetic in the innermost loop with most of it. Additions count where they belong to a step."""
    inner = [a for a in loops if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in loops)]
    bodies = [codes[begin:end] for begin, end in inner]
    body = max(bodies, key=lambda b: starts(b, STEPS), default=[])
    return starts(body, MATH) / len(body) if body else 0.0


def kernels_of(source: Path, arch: str, cache: Path) -> list[Kernel]:
    said, sass = compiled(source, arch, cache)
    pattern = (
        r"Function properties for (\S+)\s+\d+ bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\s+"
        r".*?Used (\d+) registers(.*)"
    )
    facts = {m[1]: (int(m[4]), int(m[2]) + int(m[3]), m[5]) for m in re.finditer(pattern, said)}
    if not facts:
        return []
    names, found = readable(list(facts)), []
    for section in re.split(r"\.section\s+\.text\.", sass)[1:]:
        symbol = re.match(r"([\w$.]+)", section)[1]
        registers, spilled, rest = facts[symbol]
        shared = re.search(r"(\d+) bytes smem", rest)
        codes, loops = instructions(section)
        inside = [codes[i] for i in sorted({i for begin, end in loops for i in range(begin, end)})]
        wide = sum(code.startswith("LDG") and (".128" in code or ".256" in code) for code in inside)
        local = starts(codes, ("STL", "LDL"))
        math = main_loop_math(codes, loops)
        found.append(Kernel(arch, names[symbol], registers, spilled, int(shared[1]) if shared else 0, wide, local, math))
    return found


def report(architectures: list[str], cache: Path, jobs: int) -> list[Kernel]:
    cache = cache / sources_hash()
    cache.mkdir(parents=True, exist_ok=True)
    budgets = json.loads(BUDGETS.read_text())["kernels"]
    tasks = [(source, arch) for source in sorted(SOURCES.rglob("*.cu")) for arch in architectures]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        kernels = [k for found in pool.map(lambda task: kernels_of(*task, cache), tasks) for k in found]
    for kernel in kernels:
        kernel.budget = next(b for b in budgets if fnmatch.fnmatchcase(kernel.name, b["kernel"]))
    return kernels


def table(kernels: list[Kernel], architectures: list[str]) -> list[str]:
    """A row a kernel; cells of several architectures are joined in their order."""
    rows = [
        f"| kernel | registers ({', '.join('sm_' + a for a in architectures)}) | shared KiB | blocks on an SM | occupancy "
        "| 16-byte loads in loops | arithmetic in the main loop |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(k.name for k in kernels):
        same = [k for k in kernels if k.name == name]
        shared = (same[0].shared + same[0].budget.get("shared", 0)) / 1024

        def cells(values) -> str:
            values = [str(v) for v in values]
            return values[0] if len(set(values)) == 1 else " ".join(values)

        math = cells(f"{k.math:.0%}" for k in same) if "math" in same[0].budget else ""
        rows.append(
            f"| `{name}` | {cells(k.registers for k in same)} | {shared:.1f} | {cells(k.blocks() for k in same)} "
            f"| {cells(f'{k.occupancy():.0%}' for k in same)} | {cells(k.wide_loads for k in same)} | {math} |"
        )
    return rows


def write_markdown(path: Path, rows: list[str]) -> None:
    begin, end = "<!-- table: static_report.py -->", "<!-- end of table -->"
    before, rest = path.read_text().split(begin)
    path.write_text(f"{before}{begin}\n" + "\n".join(rows) + f"\n{end}" + rest.split(end)[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architectures", nargs="*", default=list(ARCHITECTURES), metavar="ARCH")
    parser.add_argument("--cache", type=Path, default=ROOT / "build/gpu-static")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    kernels = report(options.architectures, options.cache, options.jobs)
    rows = table(kernels, options.architectures)
    print("\n".join(rows))
    problems = [f"sm_{k.arch} {k.name}: {problem}" for k in kernels for problem in k.broken()]
    print(f"\n{len(kernels)} kernels, {len(problems)} broken budgets", *problems, sep="\n")
    if options.markdown:
        write_markdown(options.markdown, rows)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
