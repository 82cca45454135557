# SPDX-License-Identifier: Apache-2.0
"""The libraries that the harness knows. To add one: a searcher and its methods in a file here, a name in PEERS."""

from .exact import NUMPY, TORCH
from .faiss import FAISS
from .graphs import HNSWLIB, NGT, PYNNDESCENT, USEARCH
from .ours import ANNKERN
from .vendors import SCANN, SVS, VSAG

PEERS = {peer.name: peer for peer in (ANNKERN, FAISS, HNSWLIB, USEARCH, SVS, SCANN, VSAG, PYNNDESCENT, NGT, NUMPY, TORCH)}
