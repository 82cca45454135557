# SPDX-License-Identifier: Apache-2.0
"""What type checkers are told: names of metrics, and that results are arrays of the library of the queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypedDict, TypeVar

import numpy as np

if TYPE_CHECKING:
    from .._cpu import MetricName as MetricName  # a Literal of the names and aliases that the module has, by tools/stubs.py
else:
    MetricName = str
NumpyArray = np.ndarray[Any, np.dtype[Any]]
Distances = np.ndarray[Any, np.dtype[Any]]  # float32, or int32 under "hamming"
Indices = np.ndarray[Any, np.dtype[np.int64]]


class Array(Protocol):
    """An array of PyTorch, CuPy, JAX, or another library that knows DLPack."""

    def __dlpack_device__(self) -> Any: ...


A = TypeVar("A", bound=Array)


class CallOptions(TypedDict, total=False):
    threads: int | None
    stream: Any


class OutOptions(CallOptions, total=False):
    out: Any


class CheckedOptions(OutOptions, total=False):
    check_finite: bool


class SearchOptions(CheckedOptions, total=False):
    filter: Any
    rerank: Any
    rerank_k: int | None


class IndexOptions(CheckedOptions, total=False):
    rerank_k: int | None
    expand: int | None
    probes: int | None


class GraphOptions(SearchOptions, total=False):
    window: int
    expand: int | None
    metric: MetricName | None


class ListsOptions(SearchOptions, total=False):
    probes: int | None
    metric: MetricName | None


class RadiusOptions(CallOptions, total=False):
    filter: Any
    check_finite: bool


class SelectOptions(OutOptions, total=False):
    largest: bool
    ids: Any


class MergeOptions(OutOptions, total=False):
    offsets: Any


class AssignOptions(CallOptions, total=False):
    check_finite: bool
