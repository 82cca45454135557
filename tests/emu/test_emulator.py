# SPDX-License-Identifier: Apache-2.0
"""The emulator on kernels that are right (silent on every seed, in every mode) and on kernels that are each wrong in one way
(reported, with the right words and the right line)."""

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

from modes import MODES, Builder, compiler, run

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(compiler() is None, reason="needs g++ (Debian: apt install g++)")

EVERY = ("fast", "asan", "race")
# case of wrong.cu: what the report says, in which modes. The other modes need not see it.
REPORTS = {
    "divergent_barrier": {EVERY: "BARRIER: divergent __syncthreads"},
    "exit_before_barrier": {EVERY: "BARRIER: .*(exits while|have exited)"},
    "deadlock": {EVERY: r"DEADLOCK: .*\[t0-15 in __shfl_sync at wrong.cu:\d+.*\] \[t16-63 in barrier at LINE\]"},
    "named_counts_differ": {EVERY: "BARRIER: barrier 1 expects (64|96) threads .* and (64|96)"},
    "named_zero": {EVERY: "BARRIER: id 0"},
    "named_part_of_a_warp": {EVERY: "BARRIER: 80 threads"},
    "named_arrives_twice": {EVERY: "BARRIER: warp 0 arrives at barrier 1 twice"},
    "named_divergent": {EVERY: "MASK: .* bar.sync"},
    "named_one_short": {EVERY: r"DEADLOCK: .*\[t0-63 in barrier at LINE\] \[t64-95 exited\]"},
    "named_orders_others": {("race",): r"RACE: read-after-write on box|RACE: write-after-read on box"},
    "write_after_arrive": {("race",): r"RACE: (read-after-write|write-after-read) on box"},
    "mask_without_caller": {EVERY: "MASK: lane 31 calls __shfl_sync at LINE, but is not in mask 0x7fffffff"},
    "mask_of_exited": {EVERY: "MASK: .*exit"},
    "masks_differ": {EVERY: "MASK: .* meets lane"},
    "shuffle_from_outside": {EVERY: r"SHFL: lane \d+ reads lane \d+, which is not in mask 0x0000ffff of __shfl_xor_sync"},
    "shuffle_width": {EVERY: "SHFL: width 12"},
    "operations_differ": {EVERY: "MASK: __(any|all)_sync .* meets"},
    "misaligned_vector": {("asan",): "runtime error: .*misaligned address", ("race",): "ALIGN: 16-byte access"},
    "misaligned_atomic": {EVERY: "ALIGN: 4-byte atomic"},
    "misaligned_copy": {EVERY: "ALIGN: cp.async of 16 bytes"},
    "copy_never_waited_for": {EVERY: "CP_ASYNC: the thread exits with copies on their way"},
    "copy_to_global": {EVERY: "SMEM: destination of cp.async"},
    "copy_waited_one_short": {("fast", "asan"): "WRONG-RESULT", ("race",): "RACE: UNINITIALISED read of box"},
    "copy_issued_too_early": {("race",): "RACE: (write-after-read|read-after-write) on box"},
    "past_static": {("asan",): "use-after-poison", ("race",): r"OUT-OF-BOUNDS access of 4 bytes at fixed\+128"},
    "past_dynamic": {("asan",): "use-after-poison", ("race",): r"OUT-OF-BOUNDS .* at dynamic shared memory\+128 of 128"},
    "past_global": {("asan",): "heap-buffer-overflow"},
    "null_pointer": {("fast",): "CRASH: signal 11", ("asan",): "null pointer|SEGV", ("race",): "NULL: access"},
    "stack_overflow": {("fast", "race"): r"CRASH: signal 11 .*\(stack overflow\)", ("asan",): "stack-overflow"},
    "static_too_large": {EVERY: "SMEM: box brings static shared memory to 52000 bytes"},
    "dynamic_not_asked_for": {EVERY: "LAUNCH: 50000 bytes of dynamic shared memory"},
    "block_too_large": {EVERY: r"LAUNCH: block \(1025,1,1\)"},
    "grid_empty": {EVERY: r"LAUNCH: grid \(0,1,1\)"},
    "grid_too_high": {EVERY: r"LAUNCH: grid \(1,65536,1\)"},
    "never_written": {("fast", "asan"): "WRONG-RESULT", ("race",): "RACE: UNINITIALISED read of box"},
    "no_barrier": {("race",): "RACE: (write-after-read|read-after-write) on box"},
    "no_syncwarp": {("race",): "RACE: (write-after-read|read-after-write) on box"},
    "plain_counter": {("race",): "RACE: (write-after-read|read-after-write) on box"},
    "atomic_and_plain": {("race",): "RACE: (write-after-read|read-after-write) on box"},
    "local_of_another_thread": {("race",): "LOCAL: access to a local variable of thread"},
    "global_within_a_block": {("race",): "RACE: (write-after-read|read-after-write) on global memory"},
    "global_between_blocks": {("race",): r"RACE: write-after-write on global memory .* other thread \d+ of block"},
    "global_plain_counter": {("race",): "RACE: .* on global memory"},
    "no_writer_fence": {("race",): "RACE: read-after-write on global memory"},
    "no_reader_fence": {("race",): "RACE: read-after-write on global memory"},
    "fence_of_block_scope": {("race",): "RACE: read-after-write on global memory"},
    "fence_without_barrier": {("race",): "RACE: read-after-write on global memory"},
    "livelock": {EVERY: r"LIVELOCK suspected: .*LINE; \[t0-31 ready"},
    "endless_syncwarp": {EVERY: r"LIVELOCK suspected: .*LINE"},
}
# Modes that see a mistake see it on every seed; the sanitizers are slow to start and to report.
SEEDS = {"fast": range(3), "asan": range(1, 2), "race": range(3)}


@pytest.fixture(scope="session")
def program(compiled):
    """(name, mode) -> the program, compiled when first asked for."""
    builder = Builder(compiled / "emu")
    return cache(lambda name, mode: builder.program(name, mode, [HERE / f"{name}.cu"]))


def marked_line(case: str) -> str | None:
    for number, line in enumerate((HERE / "wrong.cu").read_text().splitlines(), 1):
        comment = re.search(r"// here(, next line)?: (.*)", line)
        if comment and case in comment[2].split():
            return f"wrong.cu:{number + bool(comment[1])}"
    return None


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["right", "tensor"])
def test_right_kernels_are_silent(program, name, mode):
    settings = [{"EMU_SEED": seed} for seed in range(5)] + [{"EMU_SEED": 9, "EMU_THREADS": 2, "EMU_PREEMPT": 1}]
    for setting in settings:
        status, output = run(program(name, mode), "all", **setting)
        assert status == 0, f"{setting}\n{output}"
        assert output.count("nothing to report") == len(output.splitlines()) > 5


def test_the_table_is_complete(program):
    assert run(program("wrong", "fast"))[1].split() == list(REPORTS)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", REPORTS)
def test_wrong_kernels_are_reported(program, case, mode):
    expected = next((text for modes, text in REPORTS[case].items() if mode in modes), None)
    if expected is None:
        return
    line = marked_line(case)
    wrong = program("wrong", mode)
    with ThreadPoolExecutor(2) as pool:
        outputs = list(pool.map(lambda seed: run(wrong, case, EMU_SEED=seed, EMU_BUDGET=20_000), SEEDS[mode]))
    for seed, (status, output) in zip(SEEDS[mode], outputs, strict=True):
        assert status != 0 and re.search(expected.replace("LINE", line or ""), output), output
        if "WRONG-RESULT" in output:
            continue
        assert re.search(rf"kernel \w+ (block \(\d+,0,0\) thread \(\d+,0,0\) warp \d lane \d+ )?seed {seed}", output), output
        if line:
            assert line in output, output


def test_reports_repeat(program):
    """The same seed gives the same report, another seed another order."""
    first, again, other = (run(program("wrong", "race"), "no_barrier", EMU_SEED=s)[1] for s in (5, 5, 6))
    assert first == again != other


@pytest.mark.skipif(
    shutil.which("aarch64-linux-gnu-g++") is None or shutil.which("qemu-aarch64") is None,
    reason="needs a compiler and an emulator of aarch64 (Debian: apt install g++-aarch64-linux-gnu qemu-user)",
)
def test_aarch64(compiled):
    """The other stack switch, run by qemu."""
    builder = Builder(compiled / "emu", compiler="aarch64-linux-gnu-g++", link="-static")
    program = builder.program("right-aarch64", "fast", [HERE / "right.cu"])
    for seed in range(2):
        status, output = run("qemu-aarch64", str(program), "all", EMU_SEED=seed)
        assert status == 0 and output.count("nothing to report") == len(output.splitlines()) > 5, output
