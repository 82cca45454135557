# SPDX-License-Identifier: Apache-2.0
"""What a caller keeps.

index  class Index: a store, a graph over it, and how they are searched
source what an index is built from: rows, a store, blocks
tune   the least work that reaches a wanted recall
"""
