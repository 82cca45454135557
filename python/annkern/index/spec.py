# SPDX-License-Identifier: Apache-2.0
"""What an index is made of, in one string."""

from __future__ import annotations

import re
from typing import Any, NamedTuple


class Spec(NamedTuple):
    """What a spec asks for."""

    store: str
    rerank: str | None
    degree: int | None  # of a graph
    lists: bool
    list_count: int | None  # None: by the number of rows
    soar: bool


def parsed(spec: Any) -> Spec:
    if not isinstance(spec, str):
        raise TypeError(f"spec: expected a string such as 'graph64,lvq4x8', got {type(spec).__name__}")
    match = re.fullmatch(r"(?:flat|graph(\d+)|(ivf)(\d*)(,soar)?),([^+]+)(?:\+([^+]+))?", spec)
    if match is None:
        raise ValueError(
            "spec: expected 'flat,<store>', 'graph<degree>,<store>' or 'ivf<lists>[,soar],<store>', <store> being what "
            f"compress takes, got {spec!r}"
        )
    degree, lists, count, soar, store, rerank = match.groups()
    return Spec(store, rerank, int(degree) if degree else None, bool(lists), int(count) if count else None, bool(soar))
