# SPDX-License-Identifier: Apache-2.0
"""The parent's end of a worker: requests with limits of time and memory, and the reason where it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

# The first slows OpenBLAS down on newer processors where somebody set it, the others would pin or split a peer's threads.
HINDERING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "ANNKERN_DEVICE")
LOOK_SECONDS = 0.2  # between two looks at the memory: 50 us each


class Failed(Exception):
    """A method that raised, crashed, hung or took too much memory; the message says which. `limits` holds the limit that
    ended it, by the name of the option: a larger one may be tried."""

    def __init__(self, reason: str, **limits: float) -> None:
        super().__init__(reason)
        self.limits = limits


def environment(threads: int) -> dict[str, str]:
    """What workers run under; libraries read it when they are loaded."""
    kept = {name: value for name, value in os.environ.items() if name not in HINDERING}
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "ANNKERN_NUM_THREADS")
    package = str(Path(__file__).absolute().parents[2])  # a link stays one: extensions may lie beside it
    paths = [path for path in kept.get("PYTHONPATH", "").split(os.pathsep) if path]
    # The worker runs the very package that started it.
    return kept | dict.fromkeys(names, str(threads)) | {"PYTHONPATH": os.pathsep.join([package, *paths])}


class WorkerProcess:
    def __init__(self, threads: int, memory_limit: int) -> None:
        self.memory_limit = memory_limit
        self.log = tempfile.TemporaryFile()  # noqa: SIM115
        ours, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "annkern.bench.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=environment(threads),
            start_new_session=True,
        )
        theirs.close()
        self.connection = Connection(ours.detach())

    def ask(self, request: dict[str, Any], time_limit: float) -> dict[str, Any]:
        """The worker's answer. Where none comes, the worker is ended and `Failed` says why."""
        try:
            self.connection.send(request)
            until = time.monotonic() + time_limit
            while not self.connection.poll(LOOK_SECONDS):
                if self.process.poll() is not None:
                    raise EOFError
                if self.resident() > self.memory_limit:
                    reason = f"took more than {self.memory_limit / 2**30:.1f} GiB of memory"
                    raise Failed(reason, memory_limit=self.memory_limit)
                if time.monotonic() > until:
                    raise Failed(f"took more than {time_limit:g} s", time_limit=time_limit)
            answer: dict[str, Any] = self.connection.recv()
        except (EOFError, OSError):
            reason = self.epitaph()
            self.end()
            raise Failed(reason) from None
        except BaseException:
            self.end()
            raise
        if "error" in answer:
            self.end()
            raise Failed(answer["error"])
        return answer

    def resident(self) -> int:
        """Bytes that are its own: mapped vectors are shared by all."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return 0
        return sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon:"))

    def epitaph(self) -> str:
        try:
            code = self.process.wait(10)
        except subprocess.TimeoutExpired:
            return "stopped answering"
        name = f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
        self.log.seek(max(0, self.log.seek(0, os.SEEK_END) - 2000))
        said = self.log.read().decode(errors="replace").strip().splitlines()
        return f"its process ended with {name}" + (f": {said[-1][:200]}" if said else "")

    def end(self) -> None:
        """It and all that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.connection.close()
        self.log.close()
