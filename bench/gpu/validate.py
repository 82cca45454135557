# SPDX-License-Identifier: Apache-2.0
"""usage: validate FOLDER [--dry-run] [--only STAGE,...] [--again]    What a machine with an NVIDIA GPU runs after a clone.

Builds with nvcc, runs the tests on the cuda backend, streams and CUDA graphs, the sanitizers of the CUDA toolkit, and each
kernel beside its peers. FOLDER gets validate.json and validate.html, and a log for each stage. A stage takes 8 minutes at
most; one that fails is written down, and the next begins. The same command goes on where it was stopped; --again forgets
what was done. --dry-run runs the same stages with the emulator, on the annkern of this Python, where there is no GPU.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "bench" / "gpu"
STAGE_SECONDS = 480
TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
SUITES = ("knn", "pairwise", "radius", "select_k", "merge_topk", "arrays", "bad_input", "determinism")


@dataclass
class Stage:
    name: str
    command: Sequence[str]
    needs: str = ""  # a program without which the stage is left out
    environment: dict[str, str] = field(default_factory=dict)


def stages(dry: bool, folder: Path) -> list[Stage]:
    python = sys.executable if dry else str(ROOT / ".venv" / "bin" / "python")
    device = "emu" if dry else "cuda"
    exercise = [python, str(HERE / "exercise.py")]
    bench = folder / "bench.json"
    if dry:
        build = Stage("build", [python, "-c", "import annkern._emu, annkern._cpu; print('the emulator is built')"])
    else:
        build = Stage("build", ["make", ".venv/test", f"PYTHON={sys.executable}", "TORCH=1"], "make")
    found = [Stage("gpu", ["nvidia-smi", "-q"], "nvidia-smi"), build]
    for suite in SUITES:
        arguments = ["tests/test_" + suite + ".py", "-q", "-k", device, "-p", "no:cacheprovider"]
        arguments += ["-x", "--maxfail=1", "--collect-only"] if dry else []
        found.append(Stage(f"test {suite}", [python, "-m", "pytest", *arguments]))
    found.append(Stage("streams and graphs", [*exercise, "streams", "--device", device]))
    found.append(Stage("smoke", [*exercise, "smoke", "--device", device]))
    for tool in TOOLS:
        sanitizer = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "9"]
        command = [*exercise, "smoke", "--device", device]
        found.append(Stage(tool, command if dry else [*sanitizer, *command], "" if dry else "compute-sanitizer"))
    found.append(Stage("bench", [*exercise, "bench", "--device", device, "--json", str(bench)]))
    return found


def run(stage: Stage, folder: Path, seconds: float) -> dict[str, object]:
    """What happened, and the end of what it printed; its whole output is in its log."""
    log = folder / f"{stage.name.replace(' ', '-')}.log"
    if stage.needs and shutil.which(stage.needs) is None:
        return {"stage": stage.name, "status": "left out", "why": f"no {stage.needs}", "seconds": 0.0}
    paths = [str(ROOT / "python")] if not (ROOT / ".venv").exists() else []
    environment = os.environ | stage.environment
    environment["PYTHONPATH"] = os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])])
    start = time.monotonic()
    with open(log, "wb") as out:
        process = subprocess.Popen(
            stage.command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            code: int | str = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = f"longer than {seconds:.0f} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    lines = log.read_text(errors="replace").splitlines()
    status = "passed" if code == 0 else "failed"
    facts = {"stage": stage.name, "status": status, "seconds": round(time.monotonic() - start, 1)}
    return facts | {"why": "" if code == 0 else f"status {code}", "command": " ".join(stage.command), "end": lines[-12:]}


def page(state: dict, bench: dict | None) -> str:
    rows = ""
    for row in state["stages"]:
        end = "\n".join(row.get("end", [])[-3:])
        rows += f"<tr class='{row['status'].replace(' ', '')}'><td>{html.escape(row['stage'])}<td>{row['status']}"
        rows += f"<td>{row['seconds']}<td>{html.escape(row['why'])}<td><pre>{html.escape(end)}</pre>"
    parts = [f"<h1>annkern on {html.escape(state['machine'])}</h1><p>{html.escape(state['commit'])}</p>"]
    parts.append(f"<table><tr><th>stage<th>status<th>seconds<th>why<th>end</tr>{rows}</table>")
    if bench:
        ceilings = ", ".join(f"{name} {value:,.1f}" for name, value in bench["ceilings"].items()) or "not measured"
        parts.append(f"<h2>Kernels, {bench['n']:,} x {bench['d']}</h2><p>ceilings: {ceilings}</p><table>")
        parts.append("<tr><th>what<th>milliseconds<th>GB/s<th>TFLOP/s<th>of memory<th>of tensor cores</tr>")
        for row in bench["rows"]:
            times = ", ".join(
                f"{n} {1e3 * t:.3f}" if isinstance(t, float) else f"{n}: {t}" for n, t in row["seconds"].items()
            )
            shares = "".join(f"<td>{row[key]:.0%}" if key in row else "<td>" for key in ("of_memory", "of_tensor_f16"))
            speeds = "".join(f"<td>{row[key]:,.2f}" if key in row else "<td>" for key in ("gbs", "tflops"))
            parts.append(f"<tr><td>{html.escape(row['what'])}<td>{html.escape(times)}{speeds}{shares}")
        parts.append("</table>")
    style = "body{font:15px sans-serif;margin:2em}td,th{padding:.3em .8em;border-bottom:1px solid #ddd;text-align:left}"
    style += ".failed{background:#fdd}.leftout{color:#777}pre{margin:0;font-size:11px}"
    return f"<!doctype html><meta charset=utf-8><title>annkern on a GPU</title><style>{style}</style>" + "\n".join(parts)


def output(*command: str) -> str:
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def save(folder: Path, state: dict) -> None:
    bench_file = folder / "bench.json"
    bench = json.loads(bench_file.read_text()) if bench_file.exists() else None
    temporary = folder / ".validate.json"
    temporary.write_text(json.dumps(state | {"bench": bench}, indent=1))
    os.replace(temporary, folder / "validate.json")
    (folder / "validate.html").write_text(page(state, bench), encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--only", help="stages, by name")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--seconds", type=float, default=STAGE_SECONDS, help="for a stage, at most")
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    known = stages(options.dry_run, folder)
    wanted = options.only.split(",") if options.only else [stage.name for stage in known]
    unknown = set(wanted) - {stage.name for stage in known}
    if unknown:
        parser.error(f"--only: no stage {', '.join(sorted(unknown))}; stages are {', '.join(s.name for s in known)}")
    machine = output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()
    commit = output("git", "describe", "--always", "--dirty") or "no git"
    state = {"machine": "the emulator" if options.dry_run else (machine or [platform.node()])[0], "commit": commit}
    state["stages"] = []
    earlier = folder / "validate.json"
    if earlier.exists() and not options.again:
        before = json.loads(earlier.read_text())
        if (before["machine"], before["commit"]) == (state["machine"], commit):
            state["stages"] = before["stages"]
    done = {row["stage"] for row in state["stages"] if row["status"] == "passed"}
    for stage in known:
        if stage.name not in wanted:
            continue
        if stage.name in done:
            print(f"{stage.name}: passed before", flush=True)
            continue
        print(f"{stage.name} ...", end=" ", flush=True)
        row = run(stage, folder, options.seconds)
        print(f"{row['status']} in {row['seconds']} s {row['why']}", flush=True)
        state["stages"] = [r for r in state["stages"] if r["stage"] != stage.name] + [row]
        save(folder, state)
    failed = [row["stage"] for row in state["stages"] if row["status"] == "failed"]
    print(f"{folder / 'validate.html'}: {len(failed)} stages failed" + (f": {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
