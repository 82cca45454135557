# SPDX-License-Identifier: Apache-2.0
"""What a caller keeps.

index  class Index: a store, a graph over it, and how they are searched
tune   the least work that reaches a wanted recall
"""
