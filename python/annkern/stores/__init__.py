# SPDX-License-Identifier: Apache-2.0
"""The estimators: one file a store, parameters in __init__, `fit(x)`, `encode(x)`."""

from .array import Cast
from .leanvec import LeanVec
from .lvq import LVQ, ScalarQuantizer
from .pq import OPQ, PQ
from .rabitq import BinaryQuantizer, RaBitQ

__all__ = ["LVQ", "OPQ", "PQ", "BinaryQuantizer", "Cast", "LeanVec", "RaBitQ", "ScalarQuantizer"]
