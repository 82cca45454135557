# SPDX-License-Identifier: Apache-2.0
"""Plain arrays as stores: f32, f16, bf16, i8, u8."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..arrays.host import typed_numpy
from ..arrays.libraries import NUMPY, ArrayLibrary
from ..arrays.views import View, view
from ..runtime.context import KERNEL_DTYPES, Context, matrix_of, shaped
from ..runtime.types import MetricName
from .codec import Codec
from .registry import register_kind, register_spec
from .store import Kind, Store

DTYPES = {short: name for name, short in KERNEL_DTYPES.items()}


class Cast(Codec):
    """Vectors as they are, in another element type.

    Parameters
    ----------
    dtype : {"f32", "f16", "bf16", "i8", "u8"}
        i8 and u8 are for data that already are whole numbers in range; they are not scaled.
    metric : str
        The default metric of the stores made.

    Notes
    -----
    An array that has the type already is kept, not copied. Distances of int8 rows to int8 queries are exact integers.

    Examples
    --------
    >>> import numpy as np, annkern as ak
    >>> store = ak.Cast("f16").fit(np.eye(4, dtype=np.float32)).encode(np.eye(4, dtype=np.float32))
    >>> store.arrays["data"].dtype, store.nbytes
    (dtype('float16'), 32)
    """

    kind = "array"

    def __init__(self, dtype: str = "f32", *, metric: MetricName = "sqeuclidean") -> None:
        if dtype not in DTYPES:
            raise ValueError(f"dtype: expected one of {', '.join(DTYPES)}, got {dtype!r}")
        self.dtype = self.spec = dtype
        self.metric = metric

    def fit(self, x: Any) -> Cast:
        """Learn how many columns there are.

        Parameters
        ----------
        x : array (n, d)
            Floats or 8-bit integers, of any array library, on the host or on a device; may be memory-mapped.

        Returns
        -------
        Cast
            Itself.
        """
        self.dims_ = shaped("x", view("x", x), "n, d", tuple(KERNEL_DTYPES)).shape[1]
        return self

    def encode(self, x: Any, *, threads: int | None = None, stream: Any = None, progress: bool = False) -> Store:
        """The array `x`, cast once (the same array where it is of that type); blocks of an iterator, one after the other.

        Parameters
        ----------
        x : array (n, d), or an iterator of arrays (rows, d)
            Numbers that the type holds.
        threads, stream, progress
            As for the other estimators.

        Returns
        -------
        Store
            In the library and on the device of `x`; NumPy where `x` is an iterator.

        Raises
        ------
        ValueError
            With the row of a number that the type cannot hold.
        """
        self._require_fit()
        if isinstance(x, Iterator):
            return self._encode_blocks(x, threads, progress)
        x = self._held(x)
        seen = view("x", x)
        if seen.library is NUMPY and seen.dtype != DTYPES[self.dtype]:
            return self._encode_array(x, threads, stream, progress)
        data = self._cast(x, 0, threads, stream)
        return Store(self.kind, self.spec, (data.shape[0], self.dims_), {"data": data}, {}, self.metric)

    def _allocate(self, n: int, empty: Callable[[tuple[int, ...], str], Any]) -> dict[str, Any]:
        return {"data": empty((n, self.dims_), DTYPES[self.dtype])}

    def _encode_rows(self, context: Context, x: View, first: int, count: int, store: Store, to: int) -> None:
        """Into a part of an array that there is, as a level of another store."""
        part = self._held(x.owner[first : first + count, ...])
        part = self._cast(part, to, context.threads or None, context.stream or None)
        data = store.arrays["data"]
        if isinstance(data, np.ndarray) and not isinstance(part, np.ndarray):  # of an iterator of another library's arrays
            part = typed_numpy(view("x", part))
        data[to : to + count, ...] = part

    def _cast(self, x: Any, first: int, threads: int | None, stream: Any) -> Any:
        seen = shaped("x", view("x", x), "n, d", tuple(KERNEL_DTYPES))
        self._check_width(seen)
        context = Context.at(seen, threads, stream)
        wanted = DTYPES[self.dtype]
        with context.scope():
            row = self._first_bad(context, seen)
            if row >= 0:
                raise ValueError(f"x: row {first + row} holds NaN or infinity")
            with np.errstate(over="ignore"):  # checked below
                data = seen.owner if seen.dtype == wanted else seen.library.astype(seen.owner, wanted)
            row = self._first_bad(context, view("x", data)) if wanted != seen.dtype and self.dtype in ("f16", "bf16") else -1
            if row >= 0:
                raise ValueError(f"x: row {first + row} holds a number that {wanted} cannot hold; 'lvq8x8' scales each row")
            if self.dtype in ("i8", "u8") and seen.dtype != wanted and not self._equal(seen.library, data, seen.owner):
                raise ValueError(
                    f"x: expected whole numbers that {wanted} holds, got others; for a scaled store write 'sq8'"
                )
        return data

    @staticmethod
    def _equal(library: ArrayLibrary, a: Any, b: Any) -> bool:
        """In float32, which holds what 8-bit and 16-bit types do: libraries differ in what they compare with what."""
        return library.all(library.astype(a, "float32") == library.astype(b, "float32"))

    @staticmethod
    def _first_bad(context: Context, x: View) -> int:
        cells = context.cells()
        context.backend.first_nonfinite(matrix_of(context.backend, x), cells.address(), context.executor())
        return cells.read()[0]

    @staticmethod
    def layout(store: Store) -> dict[str, tuple[tuple[int, ...], str]]:
        if store.spec not in DTYPES or store.numbers:
            raise ValueError(f"expected {', '.join(DTYPES)}, without numbers, got {store.spec!r} with {store.numbers}")
        return {"data": (store.shape, DTYPES[store.spec])}


register_kind("array", Kind(("data",), Cast.layout))
register_spec(r"(f32|f16|bf16|i8|u8)", "f32 f16 bf16 i8 u8", ("f32", "f16", "bf16", "i8", "u8"), lambda m: Cast(m[1]))
