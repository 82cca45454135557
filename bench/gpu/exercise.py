# SPDX-License-Identifier: Apache-2.0
"""usage: exercise.py smoke|streams|bench [--device cuda|emu] [--json FILE]

smoke     every operation, metric and type once, against the CPU: what the sanitizers run
streams   arrays of PyTorch and CuPy on streams of their own, and captured in a CUDA graph
bench     each kernel beside PyTorch, CuPy, cuVS and faiss where they are installed, with the share of measured ceilings
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
import cases

import annkern as ak

SMALL = (300, 9, 33, 12)  # n, m, d, k: no multiple of anything
# Every kernel that scans a store in its own form.
STORES = ("lvq8", "lvq4", "rabitq1", "rabitq5", "rabitq8", "bin", "pq11x4", "pq11x8")


def optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


class Device:
    """How arrays get there and back: PyTorch or CuPy on CUDA, the tests' own array on the emulator."""

    def __init__(self, name: str) -> None:
        self.name = name
        if name == "emu":
            os.environ["ANNKERN_DEVICE"] = "emu"
            emu = importlib.import_module("emu_array")
            self.put: Callable[[np.ndarray], Any] = emu.to_device
            self.get: Callable[[Any], np.ndarray] = lambda x: x.host
            return
        torch, cupy = optional("torch"), optional("cupy")
        if torch is not None and torch.cuda.is_available():
            self.put = lambda x: self.to_torch(torch, x)
            self.get = lambda x: x.cpu().numpy()
        elif cupy is not None:
            self.put, self.get = cupy.asarray, cupy.asnumpy
        else:
            sys.exit("neither PyTorch with CUDA nor CuPy is here")

    @staticmethod
    def to_torch(torch: Any, x: np.ndarray) -> Any:
        if x.dtype.name == "bfloat16":
            return torch.from_numpy(x.view(np.int16)).cuda().view(torch.bfloat16)
        return torch.from_numpy(np.ascontiguousarray(x)).cuda()


def agree(what: str, got: np.ndarray, expected: np.ndarray) -> None:
    """Sums of float32 in another order; integers exactly."""
    if expected.dtype.kind in "iu":
        np.testing.assert_array_equal(got, expected, err_msg=what)
    else:
        scale = max(1.0, float(np.abs(expected[np.isfinite(expected)]).max(initial=0)))
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * scale, err_msg=what)


def stores_agree(device: Device) -> None:
    """Few queries and many: the bytes of the CPU."""
    n, _, d, k = SMALL
    rng = np.random.default_rng(2)
    base, queries = (rng.standard_normal((rows, d), dtype=np.float32) for rows in (n, 20))
    ids = rng.integers(0, n, (20, 7))
    for spec in STORES:
        store = ak.compress(base, spec)
        there = store.convert(device.put)
        for m in (3, 20):
            mine, theirs = queries[:m], device.put(queries[:m])
            for metric in ("sqeuclidean", "inner_product"):
                calls = [
                    (ak.knn(store, mine, k, metric)[1], ak.knn(there, theirs, k, metric)[1]),
                    (ak.pairwise(mine, store, metric), ak.pairwise(theirs, there, metric)),
                    (ak.distances(store, mine, ids[:m], metric), ak.distances(there, theirs, device.put(ids[:m]), metric)),
                ]
                for here, got in calls:
                    np.testing.assert_array_equal(device.get(got), here, err_msg=f"{spec} {metric} m={m}")


def smoke(device: Device) -> dict[str, Any]:
    kinds = [(metric, *pair) for metric in cases.NUMBER_METRICS for pair in cases.DTYPE_PAIRS]
    kinds += [(metric, "bits", "bits") for metric in cases.BIT_METRICS]
    for kind in kinds:
        case = cases.Case(*kind, *SMALL)
        base, queries = case.arrays()
        there = device.put(base), device.put(queries)
        dist = ak.knn(base, queries, case.k, case.metric)[0]
        agree(f"knn {case}", device.get(ak.knn(*there, case.k, case.metric)[0]), dist)
        every = ak.pairwise(queries, base, case.metric)
        agree(f"pairwise {case}", device.get(ak.pairwise(there[1], there[0], case.metric)), every)
        lims = ak.radius(*there, float(dist[0, -1]), case.metric)[0]
        assert device.get(lims)[-1] > 0, case
    stores_agree(device)
    values = np.random.default_rng(0).standard_normal((5, 3000), dtype=np.float32)
    for k in (1, 10, 100, 2000):
        best, ids = (device.get(x) for x in ak.select_k(device.put(values), k))
        expected = ak.select_k(values, k)
        agree(f"select_k {k}", best, expected[0])
        agree(f"select_k {k} ids", ids, expected[1])
    parts = np.sort(values.reshape(5, 6, 500)[:, :, :20], axis=2)
    ids = np.arange(parts.size, dtype=np.int64).reshape(parts.shape)
    for order in (parts, parts[:, :, ::-1].copy()):  # sorted, and to be selected from
        merged = ak.merge_topk(device.put(order), device.put(ids), 7)
        agree("merge_topk", device.get(merged[1]), ak.merge_topk(order, ids, 7)[1])
    return {"cases": len(kinds) + len(STORES) + 5 + search_graphs(device) + build_graphs(device)}


def search_graphs(device: Device) -> int:
    """A block and several a query (40 and 5 of them), each way of making keys and of a filter, reranking."""
    rng = np.random.default_rng(2)
    x, queries = (rng.integers(-8, 9, (n, 24)).astype(np.float32) for n in (3000, 40))
    graph = ak.build_graph(x, degree=16, window=32)
    there = graph.convert(device.put)
    shares = (0.01, 0.5, 0.9)
    stores = [x, x.astype(np.int8), *(ak.compress(x, spec) for spec in ("f16", "lvq8", "lvq4x8", "pq12x8", "rabitq4"))]
    for store in stores:
        moved = store.convert(device.put) if isinstance(store, ak.Store) else device.put(store)
        for m in (5, 40):
            q = queries[:m].astype(np.int8) if store is stores[1] else queries[:m]
            dist, _ = ak.search_graph(there, moved, device.put(q), 5, window=40, rerank=moved)
            expected = ak.search_graph(graph, store, q, 5, window=40)
            agree(f"search_graph {m}", np.sort(device.get(dist)), np.sort(expected[0]))
    for share in shares:
        mask = rng.random(3000) < share
        for m in (5, 40):
            found = ak.search_graph(there, device.put(x), device.put(queries[:m]), 2, window=4, filter=device.put(mask))
            expected = ak.search_graph(graph, x, queries[:m], 2, window=4, filter=mask)
            agree(f"search_graph filter {share} {m}", device.get(found[1]), expected[1])
    return 2 * len(stores) + 2 * len(shares)


def build_graphs(device: Device) -> int:
    """Leaves of several levels, rows in one place, clusters that are to be connected."""
    rng = np.random.default_rng(3)
    x = (rng.integers(-8, 9, (6, 1, 24)) * 64 + rng.integers(-8, 9, (6, 40, 24))).reshape(-1, 24).astype(np.float32)
    x[200:] = x[0]
    stores = [x, *(ak.compress(x, spec) for spec in ("f16", "lvq8", "lvq4x8", "pq12x8", "rabitq4"))]
    for store in stores:
        moved = store.convert(device.put) if isinstance(store, ak.Store) else device.put(store)
        built = ak.build_graph(moved, degree=6, window=12, method="nn_descent")
        expected = ak.build_graph(store, degree=6, window=12, method="nn_descent")
        agree("build_graph", device.get(built.neighbors), expected.neighbors)
    return len(stores)


def streams(device: Device) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    base, first, second = (rng.standard_normal((n, 64), dtype=np.float32) for n in (5000, 20, 20))
    expected = [ak.knn(base, queries, 10)[1] for queries in (first, second)]
    if device.name == "emu":
        got = device.get(ak.knn(device.put(base), device.put(first), 10, stream=1)[1])
        np.testing.assert_array_equal(got, expected[0])
        return {"emu": "a call on a stream by number"}
    done: dict[str, Any] = {}
    torch, cupy = optional("torch"), optional("cupy")
    if torch is not None and torch.cuda.is_available():
        rows, queries = torch.from_numpy(base).cuda(), torch.from_numpy(first).cuda()
        torch.cuda.synchronize()
        side_stream = torch.cuda.Stream()
        with torch.cuda.stream(side_stream):
            ids = ak.knn(rows, queries, 10)[1]
        side_stream.synchronize()
        np.testing.assert_array_equal(ids.cpu().numpy(), expected[0])
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            ids = ak.knn(rows, queries, 10, check_finite=False)[1]
        for data, wanted in ((second, expected[1]), (first, expected[0])):
            queries.copy_(torch.from_numpy(data))
            graph.replay()
            torch.cuda.synchronize()
            np.testing.assert_array_equal(ids.cpu().numpy(), wanted)
        done["torch"] = "a stream of its own, a CUDA graph replayed on new queries"
    if cupy is not None:
        side_stream = cupy.cuda.Stream(non_blocking=True)
        with side_stream:
            rows, queries = cupy.asarray(base), cupy.asarray(first)
            ak.knn(rows, queries, 10, check_finite=False)
            side_stream.synchronize()
            side_stream.begin_capture()
            ids = ak.knn(rows, queries, 10, check_finite=False)[1]
            graph = side_stream.end_capture()
            queries.set(second)
            graph.launch(side_stream)
            side_stream.synchronize()
        np.testing.assert_array_equal(cupy.asnumpy(ids), expected[1])
        done["cupy"] = "a stream of its own, a CUDA graph"
    if not done:
        sys.exit("neither PyTorch with CUDA nor CuPy is here")
    return done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("smoke", "streams", "bench"))
    parser.add_argument("--device", choices=("cuda", "emu"), default="cuda")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    device = Device(options.device)
    if options.what == "bench":
        import kernels_beside

        result = kernels_beside.bench(device)
    else:
        result = {"smoke": smoke, "streams": streams}[options.what](device)
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
