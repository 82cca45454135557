# SPDX-License-Identifier: Apache-2.0
"""What a caller keeps.

index  class Index: a store, a graph over it or lists of it, and how they are searched
spec   what it is made of, in one string; index_file: as parts of a file
source what an index is built from: rows, a store, blocks
tune   the least work that reaches a wanted recall
"""

from . import index_file

__all__ = ["index_file"]
