# SPDX-License-Identifier: Apache-2.0
"""usage: stubs.py [--write]    The type stubs of the extension modules, from the signatures that a built _cpu has. Without
--write: exit status 1 where those in python/annkern are others."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = Path(__file__).resolve().parent.parent / "python" / "annkern"
LICENCE = "# SPDX-License-Identifier: Apache-2.0\n"
HEAD = """# Written by tools/stubs.py; do not edit.
# The extension modules _cpu, _cuda and _emu: one source, csrc/bind/module.cpp. Addresses are plain integers, which the
# caller has checked; strides of Matrix and Filter are in bytes, those of select_k and merge_topk in elements.
from typing import Any, Literal, TypedDict, overload
"""
WIDTH = 125
# What pybind11 writes for a type, and what a caller passes.
TYPES = [
    (r"\b(?:annkern\.)?_(?:cpu|cuda|emu)\.", ""),
    (r"typing\.Supports(Int|Float)(?: \| typing\.SupportsIndex)?", lambda match: match[1].lower()),
    (r"\b(?:typing\.|collections\.abc\.)?(?:Sequence|List)\[", "list["),
    (r"\b(?:typing\.)?Optional\[(\w+)\]", r"\1 | None"),
    (r"\bobject\b", "Any"),
]


def typed(text: str) -> str:
    for pattern, name in TYPES:
        text = re.sub(pattern, name, text)
    return text


def parts(text: str) -> list[str]:
    """`text` cut at the commas that stand in no bracket."""
    found, depth = [""], 0
    for sign in text:
        depth += (sign in "[(") - (sign in "])")
        if sign == "," and depth == 0:
            found.append("")
        else:
            found[-1] += sign
    return [part.strip() for part in found if part.strip()]


def definition(signature: str, indent: str = "") -> str:
    """As a formatter breaks it: "name(a: int, b: int) -> None" as one line, three, or one an argument."""
    name, rest = signature.split("(", 1)
    arguments, result = rest.rsplit(") -> ", 1)
    each = parts(arguments)
    line = f"{indent}def {name}({', '.join(each)}) -> {result}: ..."
    if len(line) <= WIDTH:
        return line
    inner = f"{indent}    {', '.join(each)}"
    if len(inner) <= WIDTH:
        return f"{indent}def {name}(\n{inner}\n{indent}) -> {result}: ..."
    lines = "".join(f"{indent}    {argument},\n" for argument in each)
    return f"{indent}def {name}(\n{lines}{indent}) -> {result}: ..."


def signatures(function: Any) -> list[str]:
    """Each overload as "name(a: int) -> None". A function of plain CPython says nothing of its arguments."""
    text = function.__doc__ or ""
    name = function.__name__
    overloads = re.findall(rf"^\d+\. ({name}\(.*)$", text, re.MULTILINE)
    found = overloads or re.findall(rf"^({name}\(.*\) -> .*)$", text, re.MULTILINE)[:1]
    return [typed(signature.rstrip()) for signature in found] or [f"{name}(*args: Any) -> Any"]


def class_stub(name: str, kind: type) -> str:
    if kind.__init__ is object.__init__:
        return f"class {name}: ...\n"
    found = [re.sub(r"\(self: \w+", "(self", signature) for signature in signatures(kind.__init__)]
    mark = "    @overload\n" if len(found) > 1 else ""
    return f"class {name}:\n" + "".join(mark + definition(signature, "    ") + "\n" for signature in found)


def type_of(value: Any) -> str:
    if isinstance(value, list):
        return f"list[{type_of(value[0])}]"
    return type(value).__name__


def table_stub(name: str, table: dict[str, Any]) -> str:
    return f"class {name}(TypedDict):\n" + "".join(f"    {key}: {type_of(value)}\n" for key, value in table.items())


def names_stub(name: str, names: list[str]) -> str:
    """A type of these strings, as a formatter breaks it."""
    return f"{name} = Literal[\n" + "".join(f'    "{value}",\n' for value in names) + "]\n"


def module_stub(module: ModuleType) -> str:
    public = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    blocks = [
        LICENCE + HEAD,
        table_stub("_BackendInfo", module.backend_info()),
        table_stub("_MetricTraits", next(iter(module.metrics.values()))),
        names_stub("MetricName", [*module.metrics, *module.metric_aliases]),
        "metrics: dict[str, _MetricTraits]\nmetric_aliases: dict[str, str]\ndtypes: list[str]\nstores: list[str]\n"
        "most_dims_8bit: int\nmost_bits: int\n",
    ]
    blocks += [class_stub(name, value) for name, value in public.items() if isinstance(value, type)]
    functions = ""
    for name in sorted(name for name, value in public.items() if callable(value) and not isinstance(value, type)):
        found = [re.sub(r"\bBase\b", "Matrix | Base", signature) for signature in signatures(public[name])]
        functions += "".join(("@overload\n" if len(found) > 1 else "") + definition(signature) + "\n" for signature in found)
    return "\n".join([*blocks, functions.replace("backend_info() -> dict", "backend_info() -> _BackendInfo")])


def stubs(module: ModuleType) -> dict[Path, str]:
    others = LICENCE + "from ._cpu import *  # noqa: F403\n"
    return {PACKAGE / "_cpu.pyi": module_stub(module), PACKAGE / "_cuda.pyi": others, PACKAGE / "_emu.pyi": others}


def main() -> int:
    from annkern import _cpu

    stale = {path: text for path, text in stubs(_cpu).items() if path.read_text() != text}
    for path, text in stale.items():
        print(path.name)
        if "--write" in sys.argv[1:]:
            path.write_text(text)
    return 1 if stale and "--write" not in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
