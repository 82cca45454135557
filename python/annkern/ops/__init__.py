# SPDX-License-Identifier: Apache-2.0
"""The operations: one file each, with arguments and documentation.

knn pairwise radius distances select_k merge_topk assign kmeans

dataset    what operations read besides arrays: the base of every store
metrics    metrics by name
operands   base, queries, metric, filter and the check for NaN, which most of them share
rerank     the second stage of knn
sampling   rows to learn from
"""
