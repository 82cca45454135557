# SPDX-License-Identifier: Apache-2.0
"""Columns of data frames as NumPy arrays: pandas, pyarrow, polars, and whatever else speaks Arrow's interface.

A cell that holds a list is a row of a matrix. Numbers of Arrow columns are taken where they lie; what is in several chunks,
and a pandas column of objects, is copied once.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, NamedTuple

import numpy as np

from .libraries import library_name

ARROW_PROTOCOLS = ("__arrow_c_array__", "__arrow_c_stream__")


class Column(NamedTuple):
    array: np.ndarray[Any, Any]
    spelling: str  # an expression that makes this array of the argument, for errors: "np.stack({})"


def column(name: str, x: Any) -> Column | None:
    """`x` as an array where it is a column, or a table of numbers; None where it is something else."""
    root = library_name(x)
    if root == "pandas":
        return _pandas(name, x)
    if root == "pyarrow":
        return _arrow(name, x)
    if any(hasattr(x, protocol) for protocol in ARROW_PROTOCOLS):
        return _arrow(name, _imported(name, x), "{}.to_arrow()" if root == "polars" else "pyarrow.array({})")
    return None


def rows_of(name: str, x: Any) -> Any:
    """`x`, or the array of a column: for callers that read it several times."""
    found = None if isinstance(x, np.ndarray) else column(name, x)
    return x if found is None else found.array


def stacked(name: str, cells: Any) -> np.ndarray[Any, Any]:
    """The rows that cells hold, one each, as a matrix."""
    rows = [np.asarray(cell) for cell in cells]
    for at, row in enumerate(rows):
        if row.ndim != 1 or row.shape != rows[0].shape or row.dtype == object:
            got = f"{row.size} numbers" if row.ndim == 1 and row.dtype != object else type(cells[at]).__name__
            raise ValueError(f"{name}: expected rows of equal length in all cells, got {got} in row {at}")
    return np.stack(rows) if rows else np.empty((0, 0), np.float32)


def _pandas(name: str, x: Any) -> Column:
    if hasattr(getattr(x, "dtype", None), "pyarrow_dtype"):
        return _arrow(name, x.array.__arrow_array__(), "{}.array.__arrow_array__()")
    array = x.to_numpy()
    if array.dtype == object and array.ndim == 1 and any(np.ndim(cell) == 1 for cell in array[:1]):
        return Column(stacked(name, array), "np.stack({})")
    if array.dtype == object:
        raise TypeError(f"{name}: expected numbers, or a list of them in each cell, got {type(x).__name__} of {array.dtype}")
    return Column(array, "{}.to_numpy()")


def _imported(name: str, x: Any) -> Any:
    try:
        pyarrow = importlib.import_module("pyarrow")
    except ImportError:
        kind = f"{type(x).__module__}.{type(x).__name__}"
        raise TypeError(f"{name}: {kind} is read through pyarrow (pip install pyarrow), or write np.stack({name})") from None
    stream = hasattr(x, "__arrow_c_stream__")
    return pyarrow.chunked_array(x) if stream else pyarrow.array(x)


def _arrow(name: str, x: Any, spelling: str = "{}") -> Column:
    pyarrow = sys.modules["pyarrow"]
    if isinstance(x, pyarrow.ChunkedArray):
        chunks = x.chunks or [pyarrow.array([], x.type)]
        x = chunks[0] if len(chunks) == 1 else pyarrow.concat_arrays(chunks)
    if not isinstance(x, pyarrow.Array):
        raise TypeError(f"{name}: expected a column, got a pyarrow {type(x).__name__}; write {name}['its name']")
    if isinstance(x, pyarrow.ExtensionArray):
        x = x.storage
    kinds, kind = pyarrow.types, x.type
    if x.null_count:
        raise ValueError(f"{name}: expected a column without nulls, got {x.null_count} in {len(x)} cells of {kind}")
    flat, width = x, None
    if kinds.is_fixed_size_list(kind):
        flat, width = x.flatten(), kind.list_size
    elif kinds.is_list(kind) or kinds.is_large_list(kind):
        flat, width = x.flatten(), _equal_length(name, x)
    if flat.null_count:
        raise ValueError(f"{name}: expected lists without nulls, got {flat.null_count} in {len(x)} cells of {kind}")
    boolean = kinds.is_boolean(flat.type)
    if not (boolean or kinds.is_integer(flat.type) or kinds.is_floating(flat.type)):
        raise TypeError(f"{name}: expected numbers, or lists of equally many, got a pyarrow column of {kind}")
    array = flat.to_numpy(zero_copy_only=not boolean)
    if width is None:
        return Column(array, f"{spelling}.to_numpy(zero_copy_only=False)")
    return Column(array.reshape(len(x), width), f"np.stack({spelling}.to_numpy(zero_copy_only=False))")


def _equal_length(name: str, x: Any) -> int:
    lengths = np.diff(x.offsets.to_numpy())
    if len(lengths) and (lengths != lengths[0]).any():
        at = int(np.argmax(lengths != lengths[0]))
        raise ValueError(f"{name}: expected lists of equal length, got {lengths[at]} in row {at} and {lengths[0]} in row 0")
    return int(lengths[0]) if len(lengths) else 0
