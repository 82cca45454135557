# SPDX-License-Identifier: Apache-2.0
"""The kinds of stores, and the specs that name their estimators: each file of a store registers its own."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from ..runtime.types import MetricName
from .codec import Codec
from .store import KINDS, Kind


class Rule(NamedTuple):
    pattern: str
    written: str  # how specs are written, for errors
    examples: tuple[str, ...]  # for the nearest valid spec
    make: Callable[[re.Match[str]], Codec]


RULES: list[Rule] = []


def register_kind(name: str, kind: Kind) -> None:
    KINDS[name] = kind


def register_spec(pattern: str, written: str, examples: tuple[str, ...], make: Callable[[re.Match[str]], Codec]) -> None:
    """Lets `codec` know the estimators that `make` returns for a match of `pattern`."""
    RULES.append(Rule(pattern, written, examples, make))


def codec(spec: Any, metric: MetricName = "sqeuclidean") -> Codec:
    """The estimator that `spec` names, not yet fitted."""
    if not isinstance(spec, str):
        raise TypeError(f"spec: expected a string such as 'lvq4x8', got {type(spec).__name__}")
    for rule in RULES:
        match = re.fullmatch(rule.pattern, spec)
        if match:
            estimator = rule.make(match)
            estimator.metric = metric
            return estimator
    written = " · ".join(rule.written for rule in RULES)
    near = difflib.get_close_matches(spec.lower(), [example for rule in RULES for example in rule.examples], 1, 0.3)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"spec: expected one of {written}, got {spec!r}{hint}")
