# SPDX-License-Identifier: Apache-2.0
"""Eight bits a dimension, as a share of the row's largest magnitude. Formulas: csrc/store/absmax.h."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ops.sampling import training_sample
from .codec import Codec
from .registry import register_kind, register_spec
from .store import Kind, Store

SAMPLE_ROWS = 1 << 20


class Absmax(Codec):
    """Each row in bytes, scaled by its largest magnitude.

    Parameters
    ----------
    metric : str
        The default metric of the stores made.

    Notes
    -----
    A row takes d bytes and 4 for its scale. The error of a dimension is at most half a step; a step is 1/127 of the row's
    largest magnitude.
    """

    kind = "absmax"
    spec = "absmax8"

    def __init__(self, *, metric: str = "sqeuclidean") -> None:
        self.metric = metric

    def fit(self, x: Any) -> Absmax:
        """Learn the number of dimensions; nothing else is asked of the rows but that they are finite. x: array (n, d)."""
        self.dims_ = training_sample(x, SAMPLE_ROWS).shape[1]
        return self

    def _allocate(self, n: int, empty: Callable[[tuple[int, ...], str], Any]) -> dict[str, Any]:
        return {"codes": empty((n, self.dims_), "int8"), "scales": empty((n,), "float32")}

    @staticmethod
    def layout(store: Store) -> dict[str, tuple[tuple[int, ...], str]]:
        if store.numbers:
            raise ValueError(f"expected no numbers in a store {store.spec!r}, got {store.numbers}")
        return {"codes": (store.shape, "int8"), "scales": (store.shape[:1], "float32")}


register_kind("absmax", Kind(("codes", "scales"), Absmax.layout))
register_spec(r"absmax8", "absmax8", ("absmax8",), lambda m: Absmax())
