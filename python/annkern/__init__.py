# SPDX-License-Identifier: Apache-2.0
"""annkern: the kernels under every vector search. Arrays in, arrays out, of the caller's own library.

    knn  pairwise  radius  select_k  merge_topk      one file each: arguments, documentation
                  |
          _scan.py   _rerank.py                      base, queries, metric, filter, NaN; the second stage of knn
                  |
              _call.py                               results, workspace, stream, the call itself
             /        \\
      _arrays.py    _backend.py                      any array -> address, shape, strides | which extension serves it
      _spaces.py        |
      _dlpack.py   _cpu  _cuda  _emu                 the extension modules, from csrc/bind/module.cpp
      _driver.py

    reference/                                       NumPy definitions of every operation; imports nothing from here
    io.py                                            vector files; imported on its own
    bench/                                           annkern-bench: beside the peers; imported on its own
"""

from ._backend import backends, show_config
from .knn import knn
from .merge_topk import merge_topk
from .pairwise import pairwise
from .radius import radius
from .select_k import select_k

__version__ = "0.1.0"
__all__ = ["backends", "knn", "merge_topk", "pairwise", "radius", "select_k", "show_config"]
