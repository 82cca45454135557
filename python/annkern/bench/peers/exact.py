# SPDX-License-Identifier: Apache-2.0
"""What people write themselves: a matrix product and a selection, in NumPy and in PyTorch."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from .base import Array, Method, Peer, Searcher, Setting, Shape

ROWS = 256  # queries a block: their scores fit the cache of a server, and fill its matrix units


class NumpySearcher(Searcher):
    def build(self, base: Array, params: Setting) -> None:
        self.base = np.array(base)
        self.norms = np.einsum("ij,ij->i", base, base) / 2
        self.limits: Any = contextlib.nullcontext()

    def configure(self, setting: Setting, threads: int) -> None:
        self.limits = importlib.import_module("threadpoolctl").threadpool_limits(threads)

    def search(self, queries: Array, k: int) -> Array:
        found = []
        for start in range(0, len(queries), ROWS):
            scores = -(queries[start : start + ROWS] @ self.base.T)
            if self.metric == "sqeuclidean":
                scores += self.norms
            part = np.argpartition(scores, k - 1, axis=1)[:, :k]
            order = np.argsort(np.take_along_axis(scores, part, 1), axis=1)
            found.append(np.take_along_axis(part, order, 1))
        return np.concatenate(found)

    def nbytes(self) -> int:
        return int(self.base.nbytes + self.norms.nbytes)


class TorchSearcher(Searcher):
    def prepare(self, params: Setting) -> None:
        self.torch = importlib.import_module("torch")

    def build(self, base: Array, params: Setting) -> None:
        self.base = self.torch.from_numpy(np.array(base))
        self.norms = (self.base * self.base).sum(1) / 2

    def configure(self, setting: Setting, threads: int) -> None:
        self.torch.set_num_threads(threads)

    def search(self, queries: Array, k: int) -> Array:
        found = []
        for start in range(0, len(queries), ROWS):
            scores = self.torch.from_numpy(queries[start : start + ROWS]) @ self.base.T
            if self.metric == "sqeuclidean":
                scores -= self.norms
            found.append(self.torch.topk(scores, k).indices.numpy())
        return np.concatenate(found)

    def nbytes(self) -> int:
        return int(4 * (self.base.numel() + self.norms.numel()))


def numpy_methods(shape: Shape) -> Sequence[Method]:
    return [Method("numpy", "numpy matmul + argpartition", {})]


def torch_methods(shape: Shape) -> Sequence[Method]:
    return [Method("torch", "torch matmul + topk", {})]


NUMPY = Peer("numpy", "numpy", "numpy", NumpySearcher, numpy_methods)
TORCH = Peer("torch", "torch", "torch", TorchSearcher, torch_methods)
