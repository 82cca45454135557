# SPDX-License-Identifier: Apache-2.0
"""Stores on disk: their parts, and the check that arrays have the layout that kernels rely on."""

from __future__ import annotations

import numpy as np

from ..files.container import Form, Parts, part_of, register
from ..ops.metrics import metric_known
from .store import KINDS, Store


def _parts_of_store(store: Store) -> Parts:
    names = ("kind", "spec", "shape", "numbers", "metric")
    parameters = {name: getattr(store, name) for name in names}
    if store.arranged is not None:
        parameters["arranged"] = store.arranged
    arrays = dict(store.arrays) if store.projection is None else {**store.arrays, "projection": store.projection}
    levels = {"primary": store.primary, "secondary": store.secondary}
    return Parts(parameters, arrays, {name: level for name, level in levels.items() if level not in (None, store)})


def _store_from_parts(parts: Parts) -> Store:
    arrays = dict(parts.arrays)
    projection = arrays.pop("projection", None)
    shape, numbers = tuple(parts.parameters["shape"]), parts.parameters["numbers"]
    if len(shape) != 2 or any(type(n) is not int or not 0 <= n < 2**63 for n in shape):
        raise ValueError(f"expected a store of (n, d), got {shape}")
    if any(type(number) is not int for number in numbers.values()):
        raise ValueError(f"expected a store's numbers to be integers, got {numbers}")
    store = Store(**{**parts.parameters, "shape": shape}, arrays=arrays, projection=projection)
    if type(store.spec) is not str:
        raise ValueError(f"expected a store's spec as text, got {store.spec!r}")
    store.metric = metric_known(store.metric)
    if parts.objects:
        if not {"primary"} <= set(parts.objects) <= {"primary", "secondary"}:
            raise ValueError(f"expected a store of primary and secondary, got one of {', '.join(parts.objects)}")
        store._levels = part_of(parts, "primary", Store), part_of(parts, "secondary", Store, store)
    _check_layout(store)
    return store


def _check_layout(store: Store) -> None:
    """Kernels trust shapes: a file must not make them read beyond an array."""
    if store.kind not in KINDS:
        raise ValueError(f"expected a store of a known kind, got {store.kind!r}")
    if store.arranged is not None and type(store.arranged) is not str:
        raise ValueError(f"expected a store's order as text, got {store.arranged!r}")
    n, d = store.shape
    want = {name: (tuple(shape), dtype) for name, (shape, dtype) in KINDS[store.kind].layout(store).items()}
    got = {name: (x.shape, x.dtype.name) for name, x in store.arrays.items()}
    if want != got:
        raise ValueError(f"expected arrays {want} in a store {store.spec!r} of shape {store.shape}, got {got}")
    wide = store.projection
    if wide is not None and (wide.ndim != 2 or wide.shape[0] != d or wide.dtype != np.float32):
        raise ValueError(f"expected a projection of {d} rows in float32, got shape {wide.shape} of {wide.dtype}")
    for level in store._levels or ():
        if not level.arrays or len(level) != n or level.query_dims != store.query_dims:
            raise ValueError(f"expected levels that hold {n} rows for {store.query_dims} columns, got {level!r}")


register("store", Form(Store, _parts_of_store, _store_from_parts))
