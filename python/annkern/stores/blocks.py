# SPDX-License-Identifier: Apache-2.0
"""Stores of rows that come in blocks: several in one pass, each fitted to the first rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from ..arrays.columns import ARROW_PROTOCOLS, rows_of
from ..arrays.views import as_numpy, view
from ..runtime.context import KERNEL_DTYPES, shaped
from ..runtime.progress import Bar
from .codec import BlockEncoder
from .compress import estimator
from .store import Store

FIT_ROWS = 1 << 18  # that stores are fitted to
ARRAY_PROTOCOLS = ("shape", "__array__", "__dlpack__", "__cuda_array_interface__", "__array_interface__", *ARROW_PROTOCOLS)


def blocks_of(x: Any) -> Iterator[Any] | None:
    """The blocks of an iterable of arrays; None for an array, a column or a store. A list of numbers is none of these: it
    is left to be refused as an array."""
    if isinstance(x, Store) or any(hasattr(x, name) for name in ARRAY_PROTOCOLS) or not isinstance(x, Iterable):
        return None
    if isinstance(x, (list, tuple)):
        return iter(x) if x and any(hasattr(x[0], name) for name in ARRAY_PROTOCOLS) else None
    return None if isinstance(x, (str, bytes, bytearray, memoryview)) else iter(x)


def compress_blocks(blocks: Iterator[Any], specs: Sequence[str], progress: bool = False, **given: Any) -> dict[str, Store]:
    """The store of each spec over all rows, in host memory. given: the other arguments of `compress`."""
    first, rows = [], 0
    for block in blocks:
        first.append(rows_of("x", block))
        rows += len(first[-1])
        if rows >= FIT_ROWS:
            break
    if not first:
        raise ValueError("x: expected at least one block of rows, got none")
    some = first[0] if len(first) == 1 else np.concatenate([_host_block(block, first[0]) for block in first])
    encoders = {spec: BlockEncoder(estimator(spec, **given).fit(some), given["threads"]) for spec in specs}
    bar, n = Bar(0, progress), 0
    for block in chain(first, blocks):
        held = rows_of("x", block)
        for encoder in encoders.values():
            encoder.add(held)
        n += len(held)
        bar.at(n)
    bar.close()
    return {spec: encoder.store() for spec, encoder in encoders.items()}


def _host_block(block: Any, first: Any) -> Any:
    seen, width = shaped("x", view("x", block), "n, d", tuple(KERNEL_DTYPES)), first.shape[1]
    if seen.shape[1] != width:
        raise ValueError(f"x: expected {width} columns, as in the first block, got shape {seen.shape}")
    if not seen.device.on_host:
        raise ValueError("x: expected blocks in host memory, got a device array")
    if seen.dtype == "bfloat16":
        return (as_numpy(seen).astype(np.uint32) << 16).view(np.float32)
    return as_numpy(seen)
