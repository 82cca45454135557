# SPDX-License-Identifier: Apache-2.0
"""Compressed vectors. One file for each kind of store holds its estimators: parameters in __init__, `fit(x)`, `encode(x)`.

array lvq rabitq pq leanvec   the kinds
store                         class Store, what they all make
codec                         what estimators share
registry                      kinds and specs: each file of a store registers its own
compress                      a store by its spec
blocks                        stores of rows that come in blocks
store_file                    a store as parts of a file
projections                   how LeanVec finds its projections
"""

from . import store_file
from .array import Cast
from .leanvec import LeanVec
from .lvq import LVQ, ScalarQuantizer
from .pq import OPQ, PQ
from .rabitq import BinaryQuantizer, RaBitQ

__all__ = ["LVQ", "OPQ", "PQ", "BinaryQuantizer", "Cast", "LeanVec", "RaBitQ", "ScalarQuantizer"]
