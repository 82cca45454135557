# SPDX-License-Identifier: Apache-2.0
"""The whole comparison as one file: HTML with its plots inside, or Markdown with SVGs beside it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from . import draw
from .curves import RECALLS, Comparison
from .tables import HEAD, markdown, notes, rows

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1em 0; font-size: 13px }
th, td { padding: .25em .7em; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
tr.ours { background: #fdeeee; font-weight: 600 } tr.ratio { border-top: 2px solid #222; font-weight: 600 }
svg { max-width: 100%; height: auto } li { color: #555 } code { background: #f4f4f4; padding: .1em .3em }
@media (prefers-color-scheme: dark) { body { background: #fff } }
"""
METHOD = (
    "Each method runs in a process of its own and takes turns with the others; a point is the best of its repeats, and "
    "spread is how much longer the worst one took. Recall counts an answer as a hit where it lies no further than the "
    "exact k-th, so that ties are hits. Queries per second at a recall are interpolated on the Pareto front. Batches hold "
    "all queries; latency is of single queries on one thread, at the first setting that reaches recall "
    f"{RECALLS[1]:.2f}."
)


def escaped(cells: Sequence[str], tag: str) -> str:
    return "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)


def html_table(comparison: Comparison, threads: int) -> str:
    ours = {curve.method for curve in comparison.curves if curve.ours}
    lines = [f"<tr>{escaped(HEAD, 'th')}</tr>"]
    for row in rows(comparison, threads):
        kind = "ours" if row[0] in ours else "ratio" if row[0].startswith("annkern / ") else ""
        lines.append(f'<tr class="{kind}">{escaped(row, "td")}</tr>')
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def as_html(comparisons: Sequence[Comparison], commands: Sequence[str]) -> str:
    parts = ["<h1>annkern beside its peers</h1>", f"<p>{html.escape(METHOD)}</p>"]
    parts += [f"<p><code>{html.escape(command)}</code></p>" for command in commands]
    for comparison in comparisons:
        parts.append(f"<h2>{html.escape(comparison.title)}</h2>")
        parts.append("<ul>" + "".join(f"<li>{html.escape(note)}</li>" for note in notes(comparison)) + "</ul>")
        for threads in reversed(comparison.threads()):
            parts.append(f"<h3>{threads} thread{'s' if threads > 1 else ''}</h3>")
            svg = draw.rendered(comparison, threads).decode()
            parts.append(svg[svg.index("<svg") :])
            parts.append(html_table(comparison, threads))
    head = f'<meta charset="utf-8"><title>annkern beside its peers</title><style>{STYLE}</style>'
    return f"<!doctype html>\n<html lang=en><head>{head}</head><body>\n" + "\n".join(parts) + "\n</body></html>\n"


def as_markdown(comparisons: Sequence[Comparison], commands: Sequence[str], plots: Path, beside: Path) -> str:
    """Writes the plots into the folder `plots`, and links them from a file in the folder `beside`."""
    plots.mkdir(parents=True, exist_ok=True)
    parts = ["# annkern beside its peers", METHOD]
    if commands:
        parts.append("```sh\n" + "\n".join(commands) + "\n```")
    for comparison in comparisons:
        parts += [f"## {comparison.title}", "\n".join(f"- {note}" for note in notes(comparison))]
        for threads in reversed(comparison.threads()):
            name = f"{comparison.dataset['name'].replace(':', '-')}-k{comparison.k}-t{threads}.svg"
            (plots / name).write_bytes(draw.rendered(comparison, threads))
            title = f"{threads} thread{'s' if threads > 1 else ''}"
            link = (plots / name).resolve().relative_to(beside.resolve()).as_posix()
            parts += [f"### {title}", f"![{comparison.title}, {title}]({link})", markdown(HEAD, rows(comparison, threads))]
    return "\n\n".join(parts) + "\n"
