# SPDX-License-Identifier: Apache-2.0
"""Each kernel on a GPU beside PyTorch, CuPy, cuVS and faiss, in turns, with the share of ceilings that PyTorch measures:
a copy for memory, a float16 product for tensor cores. On the emulator the same calls with few rows, to see that they run."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import annkern as ak

K, D, ROUNDS = 10, 128, 5
SIZES = {"cuda": (1_000_000, 1000), "emu": (200, 3)}
Run = Callable[[], Any]


def optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


class Clock:
    """Seconds of a call, by events of PyTorch or CuPy; by the host's clock on the emulator."""

    def __init__(self, device: str) -> None:
        self.torch = optional("torch") if device == "cuda" else None
        self.cupy = optional("cupy") if device == "cuda" else None

    def wait(self) -> None:
        if self.torch is not None and self.torch.cuda.is_available():
            self.torch.cuda.synchronize()
        elif self.cupy is not None:
            self.cupy.cuda.Device().synchronize()

    def seconds(self, run: Run, calls: int) -> float:
        self.wait()
        start = time.perf_counter()
        for _ in range(calls):
            run()
        self.wait()
        return (time.perf_counter() - start) / calls


def race(clock: Clock, contenders: dict[str, Run]) -> dict[str, float | str]:
    """Best seconds of each; the words of its error where one fails."""
    best: dict[str, float | str] = {}
    calls: dict[str, int] = {}
    for name, run in contenders.items():
        try:
            run()
            calls[name] = max(1, min(50, int(0.02 / max(1e-6, clock.seconds(run, 1)))))
        except Exception as error:
            best[name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    for _ in range(ROUNDS):
        for name, times in calls.items():
            took = clock.seconds(contenders[name], times)
            before = best.get(name, float("inf"))
            best[name] = min(took, before) if isinstance(before, float) else took
    return best


def ceilings(clock: Clock) -> dict[str, float]:
    """{"gbs", "tflops_f16"}, where PyTorch is here."""
    torch = clock.torch
    if torch is None or not torch.cuda.is_available():
        return {}
    x = torch.empty(1 << 28, dtype=torch.float32, device="cuda").fill_(1)
    y = torch.empty_like(x)
    half = torch.ones((8192, 8192), dtype=torch.float16, device="cuda")
    times = race(clock, {"copy": lambda: y.copy_(x), "matmul": lambda: half @ half})
    found = {}
    if isinstance(times["copy"], float):
        found["gbs"] = 2e-9 * x.numel() * 4 / times["copy"]
    if isinstance(times["matmul"], float):
        found["tflops_f16"] = 2e-12 * 8192**3 / times["matmul"]
    return found


def peers(device: Any, base: np.ndarray, queries: np.ndarray) -> dict[str, Run]:
    """Exact search by squared distance, as each library does it."""
    found: dict[str, Run] = {}
    if device.name != "cuda":
        return found
    torch, cupy = optional("torch"), optional("cupy")
    if torch is not None and torch.cuda.is_available():
        rows, asked = torch.from_numpy(base).cuda(), torch.from_numpy(queries).cuda()
        norms = (rows * rows).sum(1)
        found["torch"] = lambda: torch.topk(torch.addmm(norms[None], asked, rows.T, alpha=-2), K, largest=False)
    if cupy is not None:
        rows_c, asked_c = cupy.asarray(base), cupy.asarray(queries[:100])
        norms_c = (rows_c * rows_c).sum(1)
        found["cupy, 100 queries"] = lambda: cupy.argpartition(norms_c - 2 * (asked_c @ rows_c.T), K, axis=1)[:, :K]
        brute_force = optional("cuvs.neighbors.brute_force")
        if brute_force is not None:
            index, all_asked = brute_force.build(rows_c, metric="sqeuclidean"), cupy.asarray(queries)
            found["cuvs"] = lambda: brute_force.search(index, all_asked, K)
    faiss = optional("faiss")
    if faiss is not None and hasattr(faiss, "StandardGpuResources"):
        flat = faiss.GpuIndexFlatL2(faiss.StandardGpuResources(), base.shape[1])
        flat.add(base)
        found["faiss-gpu"] = lambda: flat.search(queries, K)
    return found


def bench(device: Any) -> dict[str, Any]:
    n, m = SIZES[device.name]
    rng, clock = np.random.default_rng(0), Clock(device.name)
    base, queries = rng.standard_normal((n, D), dtype=np.float32), rng.standard_normal((m, D), dtype=np.float32)
    limits = ceilings(clock)
    rows: list[dict[str, Any]] = []

    def add(what: str, contenders: dict[str, Run], nbytes: float, flops: float) -> None:
        times = race(clock, contenders)
        row: dict[str, Any] = {"what": what, "seconds": times}
        ours = times.get("annkern")
        if isinstance(ours, float):
            row |= {"gbs": 1e-9 * nbytes / ours, "tflops": 1e-12 * flops / ours}
            if limits:
                row["of_memory"] = row["gbs"] / limits["gbs"]
                row["of_tensor_f16"] = row["tflops"] / limits["tflops_f16"]
        rows.append(row)
        print(what, times, flush=True)

    one = queries[:1]
    for name, kind in (("float32", np.float32), ("float16", np.float16), ("int8", np.int8)):
        scale = 40 if kind == np.int8 else 1
        rows_there, asked = (device.put((x * scale).clip(-127, 127).astype(kind)) for x in (base, queries))
        single = device.put((one * scale).clip(-127, 127).astype(kind))
        others = peers(device, base, queries) if name == "float32" else {}
        ours = {"annkern": lambda b=rows_there, q=asked: ak.knn(b, q, K, check_finite=False)}
        add(f"knn {name}, {m} queries", ours | others, n * D * np.dtype(kind).itemsize, 3.0 * n * m * D)
        ours = {"annkern": lambda b=rows_there, q=single: ak.knn(b, q, K, check_finite=False)}
        add(f"knn {name}, 1 query", ours, n * D * np.dtype(kind).itemsize, 3.0 * n * D)
    for spec in ("lvq8", "rabitq1", "rabitq5", "rabitq8", "pq32x4", "pq32x8"):
        store = ak.compress(base, spec).convert(device.put)
        for count, some in ((m, device.put(queries)), (1, device.put(one))):
            ours = {"annkern": lambda b=store, q=some: ak.knn(b, q, K, check_finite=False)}
            add(f"knn {spec}, {count} queries", ours, store.nbytes, 0)
    bits = [device.put(np.packbits(x > 0, axis=1)) for x in (base, queries)]
    add("knn hamming", {"annkern": lambda: ak.knn(*bits, K, "hamming", check_finite=False)}, n * D / 8, 0)
    few = max(1, m // 10)
    values = device.put(rng.standard_normal((few, n), dtype=np.float32))
    contenders: dict[str, Run] = {"annkern": lambda: ak.select_k(values, K)}
    if clock.torch is not None and hasattr(values, "is_cuda"):
        contenders["torch"] = lambda: clock.torch.topk(values, K, largest=False)
    add(f"select_k {few} x {n}", contenders, 4.0 * few * n, 0)
    there, some = device.put(base), device.put(queries[:few])
    add(f"pairwise {few} x {n}", {"annkern": lambda: ak.pairwise(some, there)}, 4.0 * few * n, 3.0 * few * n * D)
    return {"n": n, "m": m, "d": D, "ceilings": limits, "rows": rows}
