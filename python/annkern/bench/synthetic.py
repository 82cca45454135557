# SPDX-License-Identifier: Apache-2.0
"""Vectors of stated laws, the same for the same name: LAW:ROWSxDIMENSIONS, as in gaussian:100000x96."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from .machine import memory_available

Array = np.ndarray[Any, Any]
QUERIES = 1000
SEED = 20


def gaussian(rng: np.random.Generator, rows: int, d: int) -> Array:
    return rng.standard_normal((rows, d), np.float32)


def uniform(rng: np.random.Generator, rows: int, d: int) -> Array:
    return rng.random((rows, d), np.float32)


def sphere(rng: np.random.Generator, rows: int, d: int) -> Array:
    x = gaussian(rng, rows, d)
    unit: Array = x / np.linalg.norm(x, axis=1, keepdims=True)
    return unit


def clustered(rng: np.random.Generator, rows: int, d: int) -> Array:
    centres = gaussian(rng, 100, d)
    x: Array = centres[rng.integers(0, 100, rows)] + np.float32(0.3) * gaussian(rng, rows, d)
    return x


def lowrank(rng: np.random.Generator, rows: int, d: int) -> Array:
    rank = max(1, d // 8)
    x: Array = gaussian(rng, rows, rank) @ gaussian(rng, rank, d) + np.float32(0.05) * gaussian(rng, rows, d)
    return x


def decaying(rng: np.random.Generator, rows: int, d: int) -> Array:
    """Near embeddings of text: at 1e5 x 384 the intrinsic dimension by 100 distances (MLE) is 17, of WordNet 18."""
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0].astype(np.float32)
    x = (gaussian(rng, rows, d) / np.arange(1, d + 1, dtype=np.float32)) @ turn
    unit: Array = x / np.linalg.norm(x, axis=1, keepdims=True)
    return unit


class Law:
    def __init__(self, draw: Callable[[np.random.Generator, int, int], Array], words: str, metric: str) -> None:
        self.draw, self.words, self.metric = draw, words, metric


LAWS = {
    "gaussian": Law(gaussian, "independent standard normal coordinates", "sqeuclidean"),
    "uniform": Law(uniform, "independent uniform coordinates in [0, 1)", "sqeuclidean"),
    "sphere": Law(sphere, "uniform on the unit sphere", "inner_product"),
    "clustered": Law(clustered, "100 standard normal centres, and 0.3 standard normal around them", "sqeuclidean"),
    "decaying": Law(
        decaying, "normal with deviation 1 / i in the i-th of d random directions, unit length", "inner_product"
    ),
    "lowrank": Law(lowrank, "normal in d / 8 random directions, and 0.05 standard normal beside", "sqeuclidean"),
}


def draw(name: str) -> tuple[Array, Array, str, str]:
    """(base, queries, metric, what it is). Queries follow the base's law: they are its last rows."""
    match = re.fullmatch(r"(\w+):(\d+)x(\d+)", name)
    if not match or match[1] not in LAWS or not int(match[3]):
        raise ValueError(f"dataset: expected LAW:ROWSxDIMENSIONS with a law of {', '.join(LAWS)}, got {name!r}")
    law, n, d = LAWS[match[1]], int(match[2]), int(match[3])
    needed = 8 * d * (n + QUERIES) + (24 * d * d if law.draw is decaying else 0)  # the rows once more while they are made
    if needed > memory_available():
        raise ValueError(f"dataset: expected no more than the memory that is free, got {name!r}, {needed / 2**30:,.0f} GiB")
    x = law.draw(np.random.default_rng(SEED), n + QUERIES, d)
    return x[:n], x[n:], law.metric, f"{law.words}; seed {SEED}"
