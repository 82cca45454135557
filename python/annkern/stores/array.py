# SPDX-License-Identifier: Apache-2.0
"""Plain arrays as stores: f32, f16, bf16, i8, u8."""

from __future__ import annotations

from typing import Any

from .._arrays import view
from .._call import KERNEL_DTYPES, shaped
from .._store import Codec, Store

DTYPES = {short: name for name, short in KERNEL_DTYPES.items()}


class Cast(Codec):
    """Vectors as they are, in another element type.

    Parameters
    ----------
    dtype : {"f32", "f16", "bf16", "i8", "u8"}
        i8 and u8 are for data that already are whole numbers in range; they are not scaled.
    """

    kind = "array"

    def __init__(self, dtype: str = "f32", *, metric: str = "sqeuclidean") -> None:
        if dtype not in DTYPES:
            raise ValueError(f"dtype: expected one of {', '.join(DTYPES)}, got {dtype!r}")
        self.dtype = self.spec = dtype
        self.metric = metric

    def fit(self, x: Any) -> Cast:
        self.dims_ = shaped("x", view("x", x), "n, d", tuple(KERNEL_DTYPES)).shape[1]
        return self

    def encode(self, x: Any, *, threads: int | None = None, stream: Any = None, progress: bool = False) -> Store:
        """The array, cast once (the same array where it is of that type)."""
        seen = shaped("x", view("x", x), "n, d", tuple(KERNEL_DTYPES))
        self._check_width(seen)
        wanted = DTYPES[self.dtype]
        cast = seen.owner if seen.dtype == wanted else seen.space.astype(seen.owner, wanted)
        if self.dtype in ("i8", "u8") and seen.dtype != wanted:
            back = seen.space.astype(cast, seen.dtype)
            if not bool((back == seen.owner).all()):
                raise ValueError(f"x: expected whole numbers that {wanted} holds, got others; for a scaled store write 'sq8'")
        return Store("array", self.spec, (seen.shape[0], seen.shape[1]), {"data": cast}, {}, self.metric)
