# SPDX-License-Identifier: Apache-2.0
"""The rules by which tools/mutate.py breaks a kernel. Each finds its places in any source, so new kernels need no list.

A mutation is two pieces of text around a piece of source. Most hold ON, a condition: mutations of one source then stand in
it side by side, and a number that the program reads when it starts says which of them is on.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

ON = "@ON@"
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
    before: str  # stands before source[start:end]
    after: str

    @property
    def switched(self) -> bool:
        return ON in self.before + self.after

    def condition(self, number: int | None) -> tuple[str, str]:
        """The two pieces for a source of which this is the only mutation, or that turns it on by its number."""
        on = "true" if number is None else f"::mutant::on({number})"
        return self.before.replace(ON, on), self.after.replace(ON, on)


def apply(source: str, chosen: dict[Mutation, int | None]) -> str:
    """The source with these mutations, each with its number; one without a number is on. Lines keep their places."""
    pieces = []  # what is inserted where; what opens first closes last
    for i, m in enumerate(sorted(chosen, key=lambda m: (m.start, -m.end))):
        before, after = m.condition(chosen[m])
        if m.start == m.end:
            before, after = before + after, ""
        pieces += [((m.start, 1, i), before), ((m.end, 0, -i), after)]
    out, done = [], 0
    for (place, _, _), text in sorted(pieces):
        out += [source[done:place], text]
        done = place
    return "".join([*out, source[done:]])


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


Found = Iterator[tuple[str, int, int, str, str]]  # rule, start, end, before, after
DELETED = f"({ON} ? (void)0 : (void)(", "))"


def synchronisation(code: str) -> Found:
    for m, _, end in calls(code, rf"{SYNC}|cp_async_wait|cp_async_commit"):
        qualified = re.search(r"[\w:]*$", code[: m.start()])  # emu::, ptx::
        if not code[: qualified.start()].rstrip().endswith("void"):  # a definition
            yield f"delete {m[1]}", qualified.start(), end, *DELETED
    for m in re.finditer(r"[\w:]*cp_async_wait<([^;()]*)>\(\)", code):
        more = m[0].replace(m[1], f"({m[1]}) + 1")
        yield "wait one group less", m.start(), m.end(), f"({ON} ? {more} : ", ")"


def warp_operations(code: str) -> Found:
    for m, places, _ in calls(code, WARP):
        mask, *rest = places
        yield "mask without lane 31", *mask, "(", f") >> {ON}"
        if "shfl" in m[1] and len(rest) > 1:
            yield "other lane", *rest[1], "(", f") ^ {ON}"


def atomics(code: str) -> Found:
    for m, places, end in calls(code, r"atomic(?:Add|Min|Max|Or|And|Exch|CAS)"):
        texts = [" ".join(code[a:b].split()) for a, b in places]
        store = PLAIN_STORE[m[1].removeprefix("atomic")].format(*texts)
        yield "plain atomic", m.start(), end, f"({ON} ? {PLAIN.format(texts[0], store)} : ", ")"


def initialisations(code: str) -> Found:
    # Locals, and members that a class keeps to itself; the defaults of argument structs are not the kernel's.
    type_ = r"(?!return|const|static|using|else)[\w:]+(?:<[\w:, ]*>)?(?: \w+)*"
    for m in re.finditer(rf"^ *{type_} (\w+)(?:\[\w*\])?{FIRST_VALUE};", code, flags=re.M):
        if re.search(r"\bconst(?:expr)?\b", m[0]) or not (m[1].endswith("_") or inside_function(code, m)):
            continue
        for part in re.finditer(rf"(\w+|\]) = ({LITERAL})(?=[,;])", m[0]):
            start, end = m.start() + part.start(2), m.start() + part.end(2)
            if part[2] == "{}":
                yield "uninitialised", m.end(), m.end(), f" ::mutant::spoil({ON}, {m[1]});", ""
            else:
                yield "uninitialised", start, end, f"::mutant::first({ON}, ", ")"
    for m in re.finditer(rf"[\w\])] = {LITERAL}(?=;)", code):
        start = statement_start(code, m.start())
        if re.fullmatch(r"\*?[\w.>\[-]+(?:\[.*\])?", code[start : m.start() + 1]):
            yield "delete initial store", start, m.end(), *DELETED
    for m in re.finditer(r"\b\w+(?:\.|->)(?:clear|reset|init)\w*\(\)(?=;)", code):
        yield "delete clearing", m.start(), m.end(), *DELETED
    for m, _, end in calls(code, r"require_success"):
        if "cudaMemsetAsync" in code[m.start() : end]:
            yield "delete memset", m.start(), end, *DELETED


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


def indices(code: str) -> Found:
    seen = set()  # once a line for each array and index
    for m in re.finditer(r"(?<=[\w\]])\[([^\[\]]+)\]", code):
        line_start = code.rfind("\n", 0, m.start()) + 1
        before = code[line_start : m.start()]
        declares = re.match(r"\s*(?:(?:static|const|constexpr|extern|typename) )*[\w:<>]+ [\w\[\]]+$", before)
        if (declares and not re.match(r"\s*(?:return|else) ", before)) or re.match(r"\s*using ", before):
            continue
        key = line_start, re.search(r"[\w\[\].>-]*$", before)[0], m[1]
        if m[1].isdigit() or "ANNK_SHARED" in before or code[m.end()] == "{" or key in seen:
            continue
        seen.add(key)
        yield "index + 1", m.start(1), m.end(1), "(", f") + {ON}"


def shared_sizes(code: str) -> Found:
    for _, places, _ in calls(code, "ANNK_SHARED"):
        if len(places) == 3:
            start, end = places[2]
            inner = re.match(r"\s*\[([^\]]*)\]", code[start:end])
            if inner[1] == "1":
                continue
            shorter = f") > 1 ? ({inner[1]}) - 1 : 1"  # a constant: no switch
            yield "shared array one short", start + inner.start(1), start + inner.end(1), "(", shorter
    for _, places, _ in calls(code, "ANNK_LAUNCH"):
        if len(places) > 4 and code[slice(*places[3])].strip() != "0":
            yield "dynamic shared 4 bytes short", *places[3], f"::mutant::less({ON}, ", ")"


RULES = (synchronisation, warp_operations, atomics, initialisations, indices, shared_sizes)


def mutations(source: str) -> list[Mutation]:
    code = blank_comments(source)
    if "__device__" not in code and "__global__" not in code:
        return []
    found = {}
    for rule in RULES:
        for name, start, end, before, after in rule(code):
            line = source.count("\n", 0, len(source[:end].rstrip())) + 1
            found[start, end, before, after] = Mutation(name, line, start, end, before, after)
    return sorted(found.values(), key=lambda m: (m.start, m.rule))
