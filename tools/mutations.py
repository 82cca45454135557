# SPDX-License-Identifier: Apache-2.0
"""The rules by which tools/mutate.py breaks a kernel. Each finds its places in any source, so new kernels need no list."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# A value that a thing starts with.
LITERAL = r"(?:0|0u|0\.0f?|-1|~0u|false|true|INFINITY|-INFINITY|\{\}|kNo\w+|\w+\{(?:[0, ]*)\})"
FIRST_VALUE = rf" = {LITERAL}(?:, \w+(?: = [\w.{{}}]+)?)*"
SYNC = r"(?:__syncthreads|__syncwarp|__threadfence|__threadfence_block|bar_sync|bar_arrive)"
WARP = r"__(?:shfl\w*|ballot|any|all|match_any|reduce\w*)_sync"
# An atomic as a plain load and store: exact, as long as nobody else comes between.
PLAIN = "[&] {{ auto* p_ = ({0}); const auto old_ = *p_; {1}; return old_; }}()"
PLAIN_STORE = {
    "Add": "*p_ = static_cast<std::remove_reference_t<decltype(*p_)>>(old_ + ({1}))",
    "Min": "if (({1}) < old_) *p_ = ({1})",
    "Max": "if (old_ < ({1})) *p_ = ({1})",
    "Or": "*p_ = old_ | ({1})",
    "And": "*p_ = old_ & ({1})",
    "Exch": "*p_ = ({1})",
    "CAS": "if (old_ == ({1})) *p_ = ({2})",
}


@dataclass(frozen=True)
class Mutation:
    rule: str
    line: int
    start: int
    end: int
    text: str  # stands in place of source[start:end]


def arguments(source: str, opening: int) -> tuple[list[tuple[int, int]], int]:
    """The places of the comma-separated arguments in the parentheses that open here, and the place after they close."""
    depth, places, start = 0, [], opening + 1
    for i in range(opening, len(source)):
        c = source[i]
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
            if depth == 0:
                places.append((start, i))
                return places, i + 1
        elif c == "," and depth == 1:
            places.append((start, i))
            start = i + 1
    raise ValueError(f"parenthesis at {opening} never closes")


def blank_comments(source: str) -> str:
    """The same text with spaces for comments, preprocessor lines and strings, so that places stay."""
    pattern = r"//[^\n]*|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*|\"(?:\\.|[^\"\\\n])*\""
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), source, flags=re.M)


def calls(code: str, names: str) -> Iterator[tuple[re.Match, list[tuple[int, int]], int]]:
    for m in re.finditer(rf"\b({names})(?:<[^<>()]*>)?\(", code):
        places, end = arguments(code, m.end() - 1)
        yield m, places, end


def synchronisation(code: str) -> Iterator[tuple[str, int, int, str]]:
    for m, _, end in calls(code, rf"{SYNC}|cp_async_wait|cp_async_commit"):
        qualified = re.search(r"[\w:]*$", code[: m.start()])  # emu::, ptx::
        if not code[: qualified.start()].rstrip().endswith("void"):  # a definition
            yield f"delete {m[1]}", qualified.start(), end, "(void)0"
    for m in re.finditer(r"cp_async_wait<([^;()]*)>\(\)", code):
        yield "wait one group less", m.start(1), m.end(1), f"({m[1]}) + 1"


def warp_operations(code: str) -> Iterator[tuple[str, int, int, str]]:
    for m, places, _ in calls(code, WARP):
        (start, end), *rest = places
        yield "mask without lane 31", start, end, f"({code[start:end]}) >> 1"
        if "shfl" in m[1] and len(rest) > 1:
            start, end = rest[1]
            yield "other lane", start, end, f" ({code[start:end].strip()}) ^ 1"


def atomics(code: str) -> Iterator[tuple[str, int, int, str]]:
    for m, places, end in calls(code, r"atomic(?:Add|Min|Max|Or|And|Exch|CAS)"):
        texts = [code[a:b].strip() for a, b in places]
        store = PLAIN_STORE[m[1].removeprefix("atomic")].format(*texts)
        yield "plain atomic", m.start(), end, PLAIN.format(texts[0], store)


def initialisations(code: str) -> Iterator[tuple[str, int, int, str]]:
    # Locals, and members that a class keeps to itself; the defaults of argument structs are not the kernel's.
    type_ = r"(?!return|const|static|using|else)[\w:]+(?:<[\w:, ]*>)?(?: \w+)*"
    for m in re.finditer(rf"^ *{type_} (\w+)(?:\[\w*\])?{FIRST_VALUE};", code, flags=re.M):
        if re.search(r"\bconst(?:expr)?\b", m[0]) or not (m[1].endswith("_") or inside_function(code, m)):
            continue
        for part in re.finditer(rf"(\w|\]) = {LITERAL}(?=[,;])", m[0]):
            yield "uninitialised", m.start() + part.start() + 1, m.start() + part.end(), ""
    for m in re.finditer(rf"[\w\])] = {LITERAL}(?=;)", code):
        start = statement_start(code, m.start())
        if re.fullmatch(r"\*?[\w.>\[-]+(?:\[.*\])?", code[start : m.start() + 1]):
            yield "delete initial store", start, m.end(), "(void)0"
    for m in re.finditer(r"\b\w+(?:\.|->)(?:clear|reset|init)\w*\(\)(?=;)", code):
        yield "delete clearing", m.start(), m.end(), "(void)0"
    for m, _, end in calls(code, r"require_success"):
        if "cudaMemsetAsync" in code[m.start() : end]:
            yield "delete memset", m.start(), end, "(void)0"


def inside_function(code: str, m: re.Match) -> bool:
    """Whether the braces around this place belong to a function, not to a struct or a namespace."""
    depth = 0
    for i in range(m.start(), -1, -1):
        depth += {"}": 1, "{": -1}.get(code[i], 0)
        if depth < 0:
            head = code[max(code.rfind(c, 0, i) for c in ";{}") + 1 : i]
            return not re.search(r"\b(?:struct|class|namespace)\b[^()]*$", head)
    return False


def statement_start(code: str, place: int) -> int:
    """Where the statement that holds this place begins on its line, after for (...) and if (...)."""
    start = code.rfind("\n", 0, place) + 1
    while head := re.match(r"\s*(?:for|if|else if) (?=\()", code[start:place]):
        start = arguments(code, start + head.end())[1]
    start = max(start, *(code.rfind(c, start, place) + 1 for c in ";{}"))
    return start + len(re.match(r"\s*(?:else )?", code[start:])[0])


def indices(code: str) -> Iterator[tuple[str, int, int, str]]:
    seen = set()  # once a line for each array and index
    for m in re.finditer(r"(?<=[\w\]])\[([^\[\]]+)\]", code):
        line_start = code.rfind("\n", 0, m.start()) + 1
        before = code[line_start : m.start()]
        declares = re.match(r"\s*(?:(?:static|const|constexpr|extern) )*[\w:<>]+ [\w\[\]]+$", before)
        if (declares and not re.match(r"\s*(?:return|else) ", before)) or re.match(r"\s*using ", before):
            continue
        key = line_start, re.search(r"[\w\[\].>-]*$", before)[0], m[1]
        if m[1].isdigit() or "ANNK_SHARED" in before or code[m.end()] == "{" or key in seen:
            continue
        seen.add(key)
        yield "index + 1", m.start(1), m.end(1), f"({m[1]}) + 1"


def shared_sizes(code: str) -> Iterator[tuple[str, int, int, str]]:
    for _, places, _ in calls(code, "ANNK_SHARED"):
        if len(places) == 3:
            start, end = places[2]
            inner = re.match(r"\s*\[([^\]]*)\]", code[start:end])
            yield (
                "shared array one short",
                start + inner.start(1),
                start + inner.end(1),
                f"({inner[1]}) > 1 ? ({inner[1]}) - 1 : 1",
            )
    for _, places, _ in calls(code, "ANNK_LAUNCH"):
        if len(places) > 4 and (bytes_ := code[slice(*places[3])].strip()) != "0":
            yield "dynamic shared 4 bytes short", *places[3], f" (({bytes_}) >= 4 ? ({bytes_}) - 4 : 0)"


RULES = (synchronisation, warp_operations, atomics, initialisations, indices, shared_sizes)


def mutations(source: str) -> list[Mutation]:
    code = blank_comments(source)
    if "__device__" not in code and "__global__" not in code:
        return []
    found = {}
    for rule in RULES:
        for name, start, end, text in rule(code):
            line = source.count("\n", 0, len(source[:end].rstrip())) + 1
            found[start, end, text] = Mutation(name, line, start, end, text)
    return sorted(found.values(), key=lambda m: (m.start, m.rule))
