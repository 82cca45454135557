# SPDX-License-Identifier: Apache-2.0
"""The command line: run, plot, table, report, peers."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

try:
    import typer
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Table
except ImportError:  # pragma: no cover
    sys.exit("annkern-bench needs more than annkern: pip install '.[bench]' in a clone of annkern")

from . import checks, datasets, journal, page, tables
from .curves import Comparison, comparisons, stems
from .peers import PEERS
from .runner import Listener, Options, Run, chosen_peers

app = typer.Typer(help="annkern beside its peers, on the same vectors in the same run.", no_args_is_help=True)
console = Console(soft_wrap=True)
Files = Annotated[list[Path], typer.Argument(help="Results of run, one file or several.", show_default=False)]


def stop(error: object) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(f"annkern-bench: {error}", style="red", markup=False, highlight=False)
    raise typer.Exit(2)


@contextlib.contextmanager
def writing(option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        stop(f"{option}: expected a place to write to, got {error}")
    except ValueError as error:
        stop(error)


def say(text: str) -> None:
    console.print(text, markup=False, highlight=False)


class Bars(Listener):
    """A bar where someone looks; plain lines otherwise."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.task = self.progress.add_task("", total=None)

    def say(self, text: str) -> None:
        self.progress.console.print(text, markup=False, highlight=False)

    def total(self, steps: int) -> None:
        self.progress.update(self.task, total=steps)

    def step(self, what: str, done: int = 0) -> None:
        self.progress.update(self.task, description=what[:60], advance=done)
        if not console.is_terminal and not done and what.startswith("build "):
            self.say(what)


@app.command()
def run(
    out: Annotated[Path, typer.Option(help="JSON lines; a file that exists is continued.")] = Path("bench.jsonl"),
    dataset: Annotated[str, typer.Option(help="A name, LAW:ROWSxDIMENSIONS, a .hdf5 file, or 'files'.")] = "glosses",
    peers: Annotated[str, typer.Option(help=f"all, none, or some of {', '.join(PEERS)}.")] = "all",
    k: Annotated[list[int] | None, typer.Option("-k", help="Neighbours of each query, 10; repeatable.", min=1)] = None,
    quick: Annotated[bool, typer.Option(help="Fewer methods, settings and repeats.")] = False,
    only: Annotated[str, typer.Option(help="Methods whose names match a pattern; several between semicolons.")] = "*",
    data: Annotated[Path | None, typer.Option(help="Folder of wordnet's base.f16.npy and q_id.f16.npy.")] = None,
    base: Annotated[Path | None, typer.Option(help="With --dataset files: base vectors.")] = None,
    queries: Annotated[Path | None, typer.Option(help="With --dataset files: queries.")] = None,
    truth: Annotated[Path | None, typer.Option(help="With --dataset files: ground truth, to compare.")] = None,
    metric: Annotated[str | None, typer.Option(help=f"With --dataset files: {', '.join(datasets.METRICS)}.")] = None,
    repeats: Annotated[int | None, typer.Option(help="Turns of each measurement; 3, or 2 with --quick.")] = None,
    seconds: Annotated[float | None, typer.Option(help="About so long each; 0.7, or 0.2 with --quick.")] = None,
    threads: Annotated[int, typer.Option(help="All threads, which are measured beside one.")] = len(os.sched_getaffinity(0)),
    time_limit: Annotated[float, typer.Option(help="Seconds for a build, or for one measurement.")] = 900,
    memory_limit: Annotated[float, typer.Option(help="GiB for a method; 0: half of what is free.")] = 0,
    retry_failed: Annotated[bool, typer.Option(help="Try again what failed before.")] = False,
    cache: Annotated[Path | None, typer.Option(help="Where prepared sets are kept.")] = None,
    lock: Annotated[
        list[str] | None, typer.Option(help="Hold flock on this file while measuring, on a shared machine; repeatable.")
    ] = None,
) -> None:
    """Measure, one line of JSON a measurement. A run that was stopped goes on where it was."""
    where = datasets.Where(data, cache, base, queries, truth, metric)
    try:
        options = Options(
            ks=sorted(set(k or [10])),
            quick=quick,
            peers=peers.split(","),
            only=only,
            repeats=int(
                checks.number("--repeats", (2 if quick else 3) if repeats is None else repeats, 1, checks.MOST_REPEATS)
            ),
            threads=int(checks.number("--threads", threads, 1, os.cpu_count() or threads)),
            time_limit=checks.number("--time-limit", time_limit, 0, checks.MOST_SECONDS, above=True),
            memory_limit=int(checks.number("--memory-limit", memory_limit, 0, 1 << 20) * 2**30),
            retry_failed=retry_failed,
            locks=checks.locks("--lock", lock or []),
        )
        usual = min(0.2 if quick else 0.7, time_limit)
        options.seconds = checks.number("--seconds", usual if seconds is None else seconds, 0, time_limit)
        chosen_peers(options.peers)
        checks.output("--out", out)
        prepared = datasets.prepare(dataset, where, say)
        lines = journal.Journal(out, say)
        bars = Bars()
        work = Run(prepared, options, lines, bars)
    except (ValueError, OSError, ImportError, MemoryError) as error:
        stop(error)
    try:
        with bars.progress:
            work.go()
    except KeyboardInterrupt:
        say(f"stopped; the same command goes on from {out}")
        raise typer.Exit(130) from None
    except (ValueError, OSError) as error:
        stop(error)
    finally:
        lines.close()
    show_run(work, lines, out)


def show_run(work: Run, lines: journal.Journal, out: Path) -> None:
    """What was measured of a set, in one table for each k."""
    of_set = [c for c in comparisons(lines.lines) if c.dataset["name"] == work.dataset.name and c.k in work.options.ks]
    for comparison in of_set:
        show(comparison, comparison.threads()[-1])
    if not work.measured():
        stop(f"{out}: no method was measured")
    say(f"{out}: annkern-bench report {out} --out report.html draws it")


def show(comparison: Comparison, threads: int) -> None:
    table = Table(title=f"{comparison.title}, {threads} threads", title_justify="left")
    for number, name in enumerate(tables.HEAD):
        table.add_column(name, justify="right" if number else "left", no_wrap=not number)
    ours = {curve.method for curve in comparison.curves if curve.ours}
    for row in tables.rows(comparison, threads):
        table.add_row(*row, style="bold" if row[0] in ours or row[0] == tables.BEST else None)
    wide = console if console.is_terminal else Console(width=170)
    wide.print(table)


def load(files: list[Path]) -> tuple[list[Comparison], list[str]]:
    """(comparisons, the commands that made them)."""
    try:
        lines = [line for file in files for line in journal.read(file, say)]
    except (ValueError, OSError) as error:
        stop(error)
    found = comparisons(lines)
    if not found:
        stop(f"{', '.join(map(str, files))}: no measurements")
    commands = dict.fromkeys(str(line["machine"]["command"]) for line in lines if line["kind"] == "run")
    return found, list(commands)


@app.command()
def table(files: Files, markdown: Annotated[bool, typer.Option(help="Markdown instead of a drawn table.")] = False) -> None:
    """Queries per second at recall 0.90, 0.95 and 0.99, and annkern's ratio to the best peer."""
    for comparison in load(files)[0]:
        for threads in reversed(comparison.threads()):
            if markdown:
                body = tables.markdown(tables.HEAD, tables.rows(comparison, threads))
                print(f"## {comparison.title}, {threads} threads\n\n{body}\n")
            else:
                show(comparison, threads)
        if not markdown:
            for note in tables.notes(comparison):
                say(f"  {note}")


@app.command()
def plot(files: Files, out: Annotated[Path, typer.Option(help="Folder of the pictures.")] = Path("plots")) -> None:
    """Recall against queries per second: one SVG and one PNG for each set, k and number of threads."""
    from . import draw

    found, _ = load(files)
    with writing("--out"):
        out.mkdir(parents=True, exist_ok=True)
    for comparison, stem in zip(found, stems(found), strict=True):
        for threads in comparison.threads():
            for form in ("svg", "png"):
                with writing("--out"):
                    (out / f"{stem}-t{threads}.{form}").write_bytes(draw.rendered(comparison, threads, form))
                say(f"{out / f'{stem}-t{threads}.{form}'}")


@app.command()
def report(
    files: Files,
    out: Annotated[Path, typer.Option(help="A .html file with all in it, or a .md file with SVGs beside it.")] = Path(
        "report.html"
    ),
    plots: Annotated[Path | None, typer.Option(help="Folder of a .md file's SVGs.")] = None,
    note: Annotated[str | None, typer.Option(help="What a reader must know first, under the title.")] = None,
) -> None:
    """Plots, tables, machine, versions and failures in one page."""
    if out.suffix not in (".html", ".md"):
        stop(f"--out: expected a name that ends in .html or .md, got {out}")
    found, commands = load(files)
    with writing("--out"):
        checks.output("--out", out)
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".html":
            text = page.as_html(found, commands, note)
        else:
            folder = plots or out.parent / f"{out.stem.lower()}-plots"
            text = page.as_markdown(found, commands, folder, out.parent, note)
        out.write_text(text, encoding="utf-8")
    say(str(out))


@app.command(name="peers")
def list_peers() -> None:
    """Which libraries are here, and how to install the others."""
    for peer in PEERS.values():
        say(peer.missing() or f"{peer.name} {peer.version()}")


def main() -> Any:
    return app()


if __name__ == "__main__":
    main()
