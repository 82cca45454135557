# SPDX-License-Identifier: Apache-2.0
"""The store absmax8, float32 operation by float32 operation: kernels give these very bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Codes = NDArray[np.int8]


def encode(x: Floats) -> tuple[Codes, Floats]:
    """Codes (n, d) and scales (n,)."""
    scales = (np.abs(x).max(axis=1, initial=0.0) / np.float32(127)).astype(np.float32)
    safe = np.where(scales > 0, scales, np.float32(1))[:, None]
    codes = np.where(scales[:, None] > 0, np.clip(np.rint(x / safe), -127, 127), 0)
    return codes.astype(np.int8), scales


def decode(codes: Codes, scales: Floats) -> Floats:
    """(n, d) float32."""
    return np.asarray(scales[:, None] * codes.astype(np.float32), np.float32)
