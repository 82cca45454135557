# SPDX-License-Identifier: Apache-2.0
"""The estimators: one file a store, parameters in __init__, `fit(x)`, `encode(x)`."""

from .array import Cast
from .leanvec import LeanVec
from .lvq import LVQ, ScalarQuantizer
from .rabitq import BinaryQuantizer, RaBitQ

__all__ = ["LVQ", "BinaryQuantizer", "Cast", "LeanVec", "RaBitQ", "ScalarQuantizer"]
