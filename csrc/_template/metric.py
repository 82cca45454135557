# SPDX-License-Identifier: Apache-2.0
"""A metric to copy into annkern/reference/metrics.py: its float64 definition, float32's error and its row."""

from __future__ import annotations

import numpy as np

from .metrics import LARGEST, METRICS, Metric, Vectors, chain_bound


def canberra_terms(q: Vectors, x: Vectors) -> Vectors:
    size = np.abs(q) + np.abs(x)
    return np.abs(q - x) / np.where(size > 0.0, size, 1.0)


def canberra(q: Vectors, x: Vectors) -> Vectors:
    return canberra_terms(q, x).sum(axis=-1)


def canberra_bound(q: Vectors, x: Vectors) -> Vectors:
    overflows = (np.abs(q) + np.abs(x) > LARGEST).any(axis=-1)
    return np.where(overflows, np.inf, chain_bound(canberra_terms(q, x)))


METRICS["canberra"] = Metric("canberra", canberra, canberra_bound)
