# SPDX-License-Identifier: Apache-2.0
"""A Sphinx extension: a page for each public name, links in docstrings, and pages for the sources that the text links to."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

import annkern
import annkern.io

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "api"
# The rooms of the package that hold public names, in the order of the reference.
ROOMS = {
    "index": "Index",
    "ops": "Search and its parts",
    "stores": "Stores",
    "graphs": "Graphs",
    "ivf": "Inverted lists",
    "files": "Saving and loading",
    "runtime": "What is here",
}
# What stands first in its room; the others follow in the order of the alphabet.
FIRST = ("Index", "tune", "knn", "radius", "pairwise", "compress", "Store", "build_graph", "search_graph", "build_lists")
# Constants have no docstring: what each is, and an example with what it prints.
CONSTANTS = {
    "BINARY": ("The type of numbers by suffix, of files with one header.", 'io.BINARY[".fbin"]', "'<f4'"),
    "ROWWISE": ("The same of files in which each row begins with its length.", 'io.ROWWISE[".bvecs"]', "'u1'"),
    "HDF5": ("Suffixes of HDF5 files.", "io.HDF5", "('.hdf5', '.h5')"),
    "HDF5_METRICS": ("ann-benchmarks' names of metrics, and annkern's.", 'io.HDF5_METRICS["angular"]', "'cosine'"),
    "SUFFIXES": ("All suffixes that are known.", '".npy" in io.SUFFIXES', "True"),
}
# Methods and properties that other modules of the package call: no part of what a user calls.
INSIDE = ("array_names", "array_views", "direct", "direct_level", "fine", "layout", "limits", "live", "native", "plan")
INSIDE += ("coarse", "fingerprint", "grown", "host_ids", "order_metric", "places", "query_dims", "shared_arrays", "views")
# Classes that functions make: their text has attributes, and no parameters.
MADE_BY_OTHERS = tuple(
    f"annkern.{name}"
    for name in annkern.__all__
    if inspect.isclass(thing := getattr(annkern, name))
    and not re.search(r"^ *Parameters$", thing.__doc__ or "", re.MULTILINE)
)
LANGUAGES = {".h": "c++", ".cpp": "c++", ".cu": "c++", ".cuh": "c++", ".py": "python", ".json": "json", ".txt": "text"}
# Pages of the repository that have a page here.
ELSEWHERE = {"README.md": "index.md", "BENCHMARKS.md": "benchmarks.md", "CONTRIBUTING.md": "contributing.md"}
ELSEWHERE |= {"CHANGELOG.md": "changelog.md"}


def rooms() -> dict[str, list[str]]:
    """The public names of annkern by title of their room."""
    found: dict[str, list[str]] = {title: [] for title in ROOMS.values()}
    names = [*(name for name in FIRST if name in annkern.__all__), *sorted(annkern.__all__, key=str.swapcase)]
    for name in dict.fromkeys(names):  # functions before classes
        room = getattr(annkern, name).__module__.split(".")[1]
        found.setdefault(ROOMS.get(room, room), []).append(name)
    found["Vector files: annkern.io"] = [f"io.{name}" for name in annkern.io.__all__]
    return {title: names for title, names in found.items() if names}


def public(name: str) -> Any:
    """The object of a name that a page stands for: "knn", "io.read_vectors"."""
    owner = annkern.io if name.startswith("io.") else annkern
    return getattr(owner, name.removeprefix("io."))


def methods(name: str) -> list[str]:
    """What a class offers beside what its text describes."""
    owner = public(name)
    if not inspect.isclass(owner) or issubclass(owner, tuple):
        return []
    here = [key for base in reversed(owner.__mro__[:-1]) for key in vars(base)]
    order = [key for key in dict.fromkeys(here) if not key.startswith("_") and key not in INSIDE]
    members = {key: inspect.getattr_static(owner, key) for key in order}
    return [key for key, x in members.items() if inspect.isroutine(x) or isinstance(x, classmethod | staticmethod)]


def write_pages(app: Sphinx) -> None:
    """docs/api: an index, and a page for each name. A page that is as it was is left alone, so that builds stay short."""
    pages = {}
    lists = []
    for title, names in rooms().items():
        lists += [f"## {title}", "| | |", "|---|---|"]
        for name in names:
            text = summary(name)
            lists.append(f"| [`{name}`]({name}.rst) | {text} |")
            pages[f"{name}.rst"] = page(name)
        lists += ["", "```{toctree}", ":hidden:", "", *(f"{name} <{name}>" for name in names), "```", ""]
    pages["index.md"] = "\n".join(
        ["# Reference", "", "Every public name. `import annkern as ak`; `from annkern import io`.", "", *lists]
    )
    PAGES.mkdir(exist_ok=True)
    for path in PAGES.iterdir():
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        path = PAGES / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def summary(name: str) -> str:
    thing = public(name)
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        return CONSTANTS[name.removeprefix("io.")][0]
    text = (inspect.getdoc(thing) or "").split("\n\n")[0].replace("\n", " ")
    return text.replace("|", "\\|").replace("<", "&lt;").replace("``", "`")


def page(name: str) -> str:
    thing, short = public(name), name.removeprefix("io.")
    title = f"annkern.{name}"
    lines = [title, "=" * len(title), "", f".. currentmodule:: {'annkern.io' if name != short else 'annkern'}", ""]
    if inspect.isclass(thing):
        lines += [f".. autoclass:: {short}", ""]
        lines += [f"   .. automethod:: {method}" for method in methods(name)]
    elif inspect.isroutine(thing):
        lines += [f".. autofunction:: {short}"]
    else:
        text, example, shown = CONSTANTS[short]
        lines += [f".. py:data:: {short}", f"   :value: {thing!r}", "", f"   {text}", "", "   .. rubric:: Examples", ""]
        lines += ["   >>> from annkern import io", f"   >>> {example}", f"   {shown}"]
    return "\n".join(lines) + "\n"


def link(role: str, rawtext: str, text: str, lineno: int, inliner: Any, options: Any = None, content: Any = None) -> Any:
    """`knn`, `Store.decode`, `annkern.load`: a link where that is a public name, code where it is not."""
    name = text.removeprefix("annkern.").removesuffix("()")
    first, _, rest = name.partition(".")
    known = first in annkern.__all__ and (not rest or rest in methods(first))
    if not known:
        return [nodes.literal(rawtext, text)], []
    settings = inliner.document.settings.env
    target = addnodes.pending_xref("", refdomain="py", reftype="obj", reftarget=f"annkern.{name}", refdoc=settings.docname)
    target["refexplicit"], target["refwarn"] = False, True
    target += nodes.literal(rawtext, text, classes=["xref", "py"])
    return [target], []


class SourceLinks(SphinxTransform):
    """Files of the repository that a page links to become pages, and folders stay text."""

    default_priority = 5

    def apply(self, **_: Any) -> None:
        for node in list(self.document.findall(addnodes.download_reference)):
            path = (Path(self.env.srcdir) / self.env.docname).parent.joinpath(node["reftarget"]).resolve()
            if not path.is_relative_to(ROOT) or path.is_relative_to(ROOT / "docs"):
                continue
            name = f"source/{path.relative_to(ROOT)}"
            sources = self.env.__dict__.setdefault("annkern_sources", {})
            sources[name] = str(path)
            up = "../" * self.env.docname.count("/")
            node.replace_self(nodes.reference("", "", *node.children, refuri=f"{up}{name}.html", internal=False))


def source_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    for name, path in sorted(getattr(app.env, "annkern_sources", {}).items()):
        text = Path(path).read_text(encoding="utf-8")
        language = LANGUAGES.get(Path(path).suffix, "text")
        code = app.builder.highlighter.highlight_block(text, language, force=True)  # type: ignore[attr-defined]
        title = name.removeprefix("source/")
        yield name, {"title": title, "body": f'<h1>{title}</h1><div class="source-page">{code}</div>'}, "page.html"


def inside_links(app: Sphinx, docname: str, source: list[str]) -> None:
    """Links to the repository's pages lead to those here; those to folders, which have none, become text."""
    up = "../" * docname.count("/")
    for name, here in ELSEWHERE.items():
        source[0] = source[0].replace(f"](../{up}{name}", f"]({up}{here}")
    here = (Path(app.srcdir) / docname).parent

    def plain(match: re.Match[str]) -> str:
        path = (here / match[2]).resolve()
        return match[1] if path.is_dir() or (path.suffix == ".md" and not path.is_relative_to(app.srcdir)) else match[0]

    source[0] = re.sub(r"\[([^\]]+)\]\((\.\./[^)#]+)\)", plain, source[0])


def signature(app: Sphinx, what: str, name: str, *_: Any) -> tuple[str, str] | None:
    """What others make is not shown as if one called it."""
    return ("", "") if what == "class" and name in MADE_BY_OTHERS else None


def page_links(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings name the pages of docs/ by their files."""
    lines[:] = [re.sub(r"docs/([a-z-]+)\.md", r":doc:`/\1`", line) for line in lines]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_role("annkern", link)
    app.connect("builder-inited", write_pages)
    app.connect("source-read", inside_links)
    app.connect("html-collect-pages", source_pages)
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-process-docstring", page_links)
    app.add_transform(SourceLinks)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
