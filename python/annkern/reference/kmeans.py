# SPDX-License-Identifier: Apache-2.0
"""Nearest centroids, sums of clusters, and k-means from given centroids."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .knn import knn


def assign(x: NDArray[Any], centroids: NDArray[Any], metric: str = "sqeuclidean") -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The label of the centroid nearest to each row, and the distance to it; ties to the smaller label."""
    distances, labels = knn(centroids, x, 1, metric)
    return labels[:, 0], distances[:, 0]


def cluster_sums(x: NDArray[Any], labels: NDArray[Any], clusters: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """sums (clusters, d) float64, each a chain in the order of rows, and counts (parts, clusters).

    labels: (n,), or (n, parts) where the columns are cut as `numpy.array_split` cuts them.
    """
    labels = labels.reshape(len(x), -1)
    cuts = np.array_split(np.arange(x.shape[1]), labels.shape[1])
    sums, counts = np.zeros((clusters, x.shape[1])), np.zeros((labels.shape[1], clusters), np.int64)
    for part, columns in enumerate(cuts):
        for row, label in zip(x, labels[:, part], strict=True):
            sums[label, columns] += row[columns].astype(np.float64)
            counts[part, label] += 1
    return sums, counts


def kmeans(
    x: NDArray[Any], centroids: NDArray[Any], iterations: int = 25, metric: str = "sqeuclidean"
) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """Lloyd's iterations in float64: centroids, labels, and the sum of the distances (products) of rows to their centroids.

    Under inner_product centroids have unit length. An empty cluster takes half of the largest one: its centroid, the
    coordinates of the two (under sqeuclidean, relative to the mean of all rows) moved apart by 1/1024, alternately up and
    down; after the last iteration it stays where it was.
    """
    mean = x.astype(np.float64).mean(axis=0) if metric == "sqeuclidean" else 0.0
    given, x = x, np.asarray(x, np.float64) - mean
    centroids = normalized(np.asarray(centroids, np.float64), metric) - mean
    for done in range(1, iterations + 1):
        labels, _ = assign(x, centroids, metric)
        sums, (counts,) = cluster_sums(x, labels, len(centroids))
        new = sums / np.maximum(counts, 1)[:, None]
        away = 1 + np.where(np.arange(x.shape[1]) % 2 == 0, 1, -1) / 1024
        for empty in np.flatnonzero(counts == 0):
            donor = int(np.argmax(counts))
            if counts[donor] < 2 or done == iterations:
                new[empty] = centroids[empty]
                continue
            new[empty], new[donor] = new[donor] * away, new[donor] * (2 - away)
            counts[empty] = counts[donor] // 2
            counts[donor] -= counts[empty]
        centroids = normalized(new, metric)
    centroids += mean
    labels, distances = assign(given, centroids, metric)
    return centroids, labels, float(distances.sum())


def normalized(x: NDArray[np.float64], metric: str) -> NDArray[np.float64]:
    if metric != "inner_product":
        return x
    norms = np.sqrt((x * x).sum(axis=1, keepdims=True))
    return np.asarray(x / np.where(norms > 0, norms, 1.0))
