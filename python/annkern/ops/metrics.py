# SPDX-License-Identifier: Apache-2.0
"""Metrics by name, with what the backend says of them."""

from __future__ import annotations

import difflib
import functools
from dataclasses import dataclass
from types import ModuleType
from typing import Any, cast

import numpy as np

from ..runtime.backend import load
from ..runtime.context import described
from ..runtime.types import MetricName

DEFAULT_METRIC: MetricName = "sqeuclidean"


@dataclass(frozen=True, slots=True)
class Metric:
    name: MetricName
    bits: bool
    integer: bool
    similarity: bool
    # A function of a dot product and of norms: what projections and rotations keep, and what kernels of codes compute.
    from_dot: bool

    @property
    def dtype(self) -> str:
        return "int32" if self.integer else "float32"

    @property
    def missing(self) -> float | int:
        if self.integer:
            return int(np.iinfo(np.int32).max)
        return -np.inf if self.similarity else np.inf


def metric_of(backend: ModuleType, name: Any) -> Metric:
    """The backend's metric of that name or alias."""
    if not isinstance(name, str):
        raise TypeError(f"metric: expected a name, got {type(name).__name__}")
    return _metric(backend, name)


def metric_known(name: Any) -> MetricName:
    """The metric of that name or alias, before there is a call."""
    return metric_of(load("cpu"), name).name


def metric_from_dot(name: Any, whose: str) -> MetricName:
    """The metric of that name or alias, which must be a function of a dot product for `whose` sake."""
    metrics = load("cpu").metrics
    known = load("cpu").metric_aliases.get(name, name)
    if known not in metrics or not metrics[known]["from_dot"]:
        expected = [other for other, traits in metrics.items() if traits["from_dot"]]
        raise ValueError(f"metric: expected {described(expected)} for {whose}, got {name!r}")
    return cast(MetricName, known)


@functools.cache
def _metric(backend: ModuleType, name: str) -> Metric:
    known = backend.metric_aliases.get(name, name)
    traits = backend.metrics.get(known)
    if traits is None:
        names = [*backend.metrics, *backend.metric_aliases]
        near = difflib.get_close_matches(name.lower(), names, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"metric: expected {described(names)}, got {name!r}{hint}")
    return Metric(known, **traits)
