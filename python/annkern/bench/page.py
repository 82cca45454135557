# SPDX-License-Identifier: Apache-2.0
"""The whole comparison as one file: HTML with its plots inside, or Markdown with SVGs beside it."""

from __future__ import annotations

import html
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from . import draw
from .curves import RECALLS, Comparison, stems
from .tables import BEST, FLAG, HEAD, markdown, notes, number, rows

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1400px; margin: 2em auto; padding: 0 1em }
:root { color: #222; background: #fff }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1em 0; font-size: 13px }
th, td { padding: .25em .5em; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff }
tr.ours td { background: #fdeeee; font-weight: 600 } tr.ratio td { border-top: 2px solid #222; font-weight: 600 }
tr.ratio td { white-space: normal } td.noisy { color: #b00020 } td.text { text-align: left }
.wide { overflow-x: auto } .wide svg { width: 100%; min-width: 640px; height: auto }
ul { padding-left: 1.2em } li, .small { color: #555; font-size: 13px } li, code { overflow-wrap: anywhere }
code { background: #f4f4f4; padding: .1em .3em } summary { cursor: pointer }
@media (max-width: 600px) {
  body { margin: 1em auto; padding: 0 .7em } h1 { font-size: 22px } h2 { font-size: 18px } table { font-size: 12px }
  th:first-child, td:first-child { min-width: 8em; max-width: 9.5em; white-space: normal; overflow-wrap: anywhere }
}
"""
METHOD = (
    "Each method runs in a process of its own and takes turns with the others; a point is the best of its repeats, and "
    "spread is how much longer the worst one took: (!) marks one above 50%, which is noise. Recall counts an answer as a "
    "hit where it lies no further than the exact k-th, so that ties are hits. Settings are chosen by every other query, and "
    "the recall that is shown is that of the rest. Queries per second at a recall are "
    'interpolated on the Pareto front; where a method has no point as low, "at" names the recall of the point that is '
    'shown. annkern / best peer never favours annkern: it compares both at the recall of the peer\'s point, which "at" '
    'names, and says "at least" where annkern has no point as low. '
    "Batches hold all queries; latency is of single queries on one thread, at the first setting that reaches recall "
    f"{RECALLS[1]:.2f}."
)


def escaped(cells: Sequence[str], tag: str) -> str:
    return "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)


def html_table(comparison: Comparison, threads: int) -> str:
    ours = {curve.method for curve in comparison.curves if curve.ours}
    lines = [f"<tr>{escaped(HEAD, 'th')}</tr>"]
    for row in rows(comparison, threads):
        kind = "ours" if row[0] in ours else "ratio" if row[0] == BEST else ""
        body = escaped(row, "td")
        if row[-1].endswith(FLAG):
            body = body.replace(f"<td>{row[-1]}</td>", f'<td class="noisy" title="spread above 50%">{row[-1]}</td>')
        lines.append(f'<tr class="{kind}">{body}</tr>')
    return '<div class="wide"><table>\n' + "\n".join(lines) + "\n</table></div>"


def words(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "-"


def again(comparison: Comparison) -> str:
    """The command that measures one method, whose name is to be put in."""
    name, threads = comparison.dataset["name"], comparison.machine["threads"]
    words = (
        f"--dataset {shlex.quote(name)} -k {comparison.k} --threads {threads} --peers PEER --only METHOD --out again.jsonl"
    )
    return f"annkern-bench run {words}"


def settings_table(comparison: Comparison) -> str:
    """How each index was built, and each of its points: folded away."""
    head = ("method", "peer", "build", "threads", "setting", "recall", "QPS", "repeats", "spread", "queries")
    lines = [f"<tr>{escaped(head, 'th')}</tr>"]
    for curve in comparison.curves:
        for point in sorted(curve.points, key=lambda p: (-p.threads, p.recall, -p.qps)):
            cells = [
                curve.method,
                f"{curve.peer} {curve.version}",
                words(curve.params),
                str(point.threads),
                words(point.setting),
            ]
            cells += [
                f"{point.recall:.4f}",
                number(point.qps),
                str(point.repeats),
                f"{point.spread:.0%}",
                f"{point.queries:,}",
            ]
            lines.append(f"<tr>{escaped(cells, 'td')}</tr>")
    return (
        f"<details><summary>Builds and settings of all {len(lines) - 1:,} points</summary>\n"
        f"<p class=small>One of them again: <code>{html.escape(again(comparison))}</code></p>\n"
        '<div class="wide"><table>\n' + "\n".join(lines) + "\n</table></div></details>"
    )


def as_html(comparisons: Sequence[Comparison], commands: Sequence[str], note: str | None = None) -> str:
    parts = ["<h1>annkern beside its peers</h1>", *([f"<p><b>{html.escape(note)}</b></p>"] if note else [])]
    parts.append(f"<p>{html.escape(METHOD)}</p>")
    parts += [f"<p><code>{html.escape(command)}</code></p>" for command in commands]
    for comparison in comparisons:
        parts.append(f"<h2>{html.escape(comparison.title)}</h2>")
        parts.append("<ul>" + "".join(f"<li>{html.escape(note)}</li>" for note in notes(comparison)) + "</ul>")
        for threads in reversed(comparison.threads()):
            parts.append(f"<h3>{threads} thread{'s' if threads > 1 else ''}</h3>")
            svg = draw.rendered(comparison, threads).decode()
            parts.append(f'<div class="wide">{svg[svg.index("<svg") :]}</div>')
            parts.append(f'<p class="small">{html.escape(draw.left_out(comparison, threads))}</p>')
            parts.append(html_table(comparison, threads))
        parts.append(settings_table(comparison))
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>annkern beside its peers</title><style>{STYLE}</style>"
    return f"<!doctype html>\n<html lang=en><head>{head}</head><body>\n" + "\n".join(parts) + "\n</body></html>\n"


def as_markdown(
    comparisons: Sequence[Comparison], commands: Sequence[str], plots: Path, beside: Path, note: str | None = None
) -> str:
    """Writes the plots into the folder `plots`, and links them from a file in the folder `beside`. `note` stands first."""
    plots.mkdir(parents=True, exist_ok=True)
    parts = ["# annkern beside its peers", *([f"> {note}"] if note else []), METHOD]
    if commands:
        parts.append("```sh\n" + "\n".join(commands) + "\n```")
    for comparison, stem in zip(comparisons, stems(comparisons), strict=True):
        parts += [f"## {comparison.title}", "\n".join(f"- {note}" for note in notes(comparison))]
        for threads in reversed(comparison.threads()):
            name = f"{stem}-t{threads}.svg"
            (plots / name).write_bytes(draw.rendered(comparison, threads))
            title = f"{threads} thread{'s' if threads > 1 else ''}"
            link = quote(Path(os.path.relpath(plots / name, beside)).as_posix())
            parts += [f"### {title}", f"![{comparison.title}, {title}]({link})", draw.left_out(comparison, threads)]
            parts.append(markdown(HEAD, rows(comparison, threads)))
    return "\n\n".join(part for part in parts if part) + "\n"
