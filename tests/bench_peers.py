# SPDX-License-Identifier: Apache-2.0
"""Peers that misbehave, for the tests of the harness. Workers import this file."""

from __future__ import annotations

import os
import time

import numpy as np

from annkern.bench.peers.base import Method, Peer, Searcher


class Exact(Searcher):
    def build(self, base, params):
        self.base = np.array(base)

    def search(self, queries, k):
        return np.argsort(-(queries @ self.base.T), axis=1, kind="stable")[:, :k]

    def nbytes(self):
        return self.base.nbytes


class Worst(Exact):
    def search(self, queries, k):
        return np.argsort(queries @ self.base.T, axis=1)[:, :k]


class Raises(Exact):
    def build(self, base, params):
        raise RuntimeError("no such index\nand a second line")


class Crashes(Exact):
    def search(self, queries, k):
        print("about to crash", flush=True)
        os.kill(os.getpid(), 11)


class Exits(Exact):
    def build(self, base, params):
        os._exit(7)


class Hangs(Exact):
    def search(self, queries, k):
        time.sleep(60)


class Eats(Exact):
    def build(self, base, params):
        self.food = []
        while True:
            self.food.append(np.ones(4 << 20, np.uint8))
            time.sleep(0.001)


def peer(searcher: type[Searcher], settings=({"width": 1}, {"width": 2})) -> Peer:
    name = searcher.__name__.lower()
    return Peer(name, "numpy", "numpy", searcher, lambda shape: [Method(name, f"{name} method", {}, settings)])
