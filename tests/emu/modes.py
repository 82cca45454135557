# SPDX-License-Identifier: Apache-2.0
"""Compiling against the emulator in its three modes, incrementally: for tests/emu, tests/device, tools/mutate.py."""

import fcntl
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EMULATOR = ROOT / "csrc/emu"

# Kernels fuse nothing by themselves; a register that is not set holds a pattern, so that the result shows it; no tail calls,
# so that a return address lies where the call was.
COMMON = (
    "-std=c++20 -g1 -ffp-contract=off -fno-math-errno -fno-trapping-math -fno-strict-aliasing"
    " -ftrivial-auto-var-init=pattern -fno-optimize-sibling-calls -Wall -Wextra -Wno-unknown-pragmas -DANNK_EMULATED"
)
# Null pointers and object sizes fault or meet poison anyway; leaving their checks out saves a third of the compile time.
SANITIZE = (
    "-O1 -fno-tree-fre -fsanitize=address,undefined -fno-sanitize=null,object-size,pointer-overflow"
    " -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
)


# The least that the library's SIMD headers want.
BASELINE = "-march=x86-64-v2" if platform.machine() == "x86_64" else ""


@dataclass(frozen=True)
class Mode:
    emulator: str  # flags for csrc/emu
    kernels: str  # flags for sources with device code
    host: str  # flags for other sources
    link: str


# -fno-tree-fre: with it g++ 12 takes for a variable that is set in one branch alone that branch's value, not the pattern.
# race: kernels call the hooks of the thread sanitizer, which the emulator defines; libtsan is not linked.
MODES = {
    "fast": Mode("-O2", "-O2", f"-O2 {BASELINE}", ""),
    "asan": Mode(SANITIZE, SANITIZE, f"{SANITIZE} {BASELINE}", "-fsanitize=address,undefined"),
    "race": Mode("-O2", "-O1 -fno-tree-fre -fsanitize=thread", f"-O2 {BASELINE}", ""),
}


def compiler() -> str | None:
    """g++: the hooks and the flags above are its own."""
    return shutil.which("g++")


class Builder:
    """Builds into `folder`; what is up to date by its time, its headers' and its command stays. Processes may share the
    folder: each file is made by one of them, and the others wait for it."""

    def __init__(self, folder: Path, includes: list[Path] = (), compiler: str = "g++", link: str = ""):
        self.folder = folder
        self.includes = [EMULATOR, *includes]
        self.compiler = compiler
        self.link_flags = link
        self.jobs = len(os.sched_getaffinity(0))

    def program(self, name: str, mode: str, kernels: list[Path], host: list[Path] = ()) -> Path:
        return self.link(self.folder / f"{name}-{mode}", mode, self.objects(mode, kernels, host))

    def objects(self, mode: str, kernels: list[Path], host: list[Path] = ()) -> list[Path]:
        flags = MODES[mode]
        wanted = [(source, flags.emulator) for source in sorted(EMULATOR.glob("*.cpp"))]
        wanted += [(source, f"{flags.kernels} -x c++") for source in kernels]
        wanted += [(source, flags.host) for source in host]
        with ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(lambda job: self.object(*job), wanted))

    def object(self, source: Path, flags: str) -> Path:
        includes = " ".join(f"-I{shlex.quote(str(i))}" for i in self.includes)
        command = f"{self.compiler} {COMMON} {includes} {flags} -c {shlex.quote(str(source))}"
        key = hashlib.sha256(command.encode()).hexdigest()[:16]
        out = self.folder / f"{source.stem}-{key}.o"
        with made_once(out) as part:
            if not self.current(out):
                run_or_raise(f"{command} -MMD -MF {shlex.quote(str(out.with_suffix('.d')))} -o {shlex.quote(str(part))}")
                part.replace(out)
        return out

    def link(self, out: Path, mode: str, objects: list[Path]) -> Path:
        with made_once(out) as part:
            if not out.exists() or any(o.stat().st_mtime_ns > out.stat().st_mtime_ns for o in objects):
                paths = " ".join(shlex.quote(str(o)) for o in objects)
                flags = f"{MODES[mode].link} {self.link_flags}"
                run_or_raise(f"{self.compiler} {flags} {paths} -o {shlex.quote(str(part))} -lpthread -ldl")
                part.replace(out)
        return out

    @staticmethod
    def current(out: Path) -> bool:
        if not out.exists() or not out.with_suffix(".d").exists():
            return False
        made = out.stat().st_mtime_ns
        return all(need.exists() and need.stat().st_mtime_ns <= made for need in needs(out))


@contextmanager
def made_once(out: Path) -> Iterator[Path]:
    """Holds the lock of the file `out`; yields where to write it, to be renamed when it is complete."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(out.with_name(f"{out.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield out.with_name(f"{out.name}.part")


def needs(out: Path) -> list[Path]:
    """The source and the headers that an object was made from."""
    return [Path(n) for n in out.with_suffix(".d").read_text().replace("\\\n", " ").split(":", 1)[1].split()]


def run_or_raise(command: str) -> None:
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command}\n{done.stderr[-4000:]}")


def run(program: Path | str, *arguments: str, timeout: float = 300, **environment: object) -> tuple[int, str]:
    """Exit status (124 where the time ran out) and what the program wrote."""
    env = {**os.environ, **{k: str(v) for k, v in environment.items()}}
    try:
        command = [str(program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=env, errors="replace")
    except subprocess.TimeoutExpired as expired:
        return 124, (expired.stdout or b"").decode(errors="replace")
    return done.returncode, done.stdout + done.stderr
