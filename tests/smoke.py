# SPDX-License-Identifier: Apache-2.0
"""An installation works, with NumPy alone: run by .ci/run where nothing else is installed."""

import numpy as np

import annkern as ak

ak.show_config()
rng = np.random.default_rng(0)
base, queries = rng.standard_normal((2_000, 100), dtype=np.float32), rng.standard_normal((20, 100), dtype=np.float32)
exact = ((queries[:, None, :].astype(np.float64) - base) ** 2).sum(-1)
distances, indices = ak.knn(base, queries, 5)
assert np.array_equal(indices, np.argsort(exact, axis=1)[:, :5])
assert np.allclose(distances, np.sort(exact, axis=1)[:, :5], rtol=1e-5)
lims, _, hits = ak.radius(base, queries, float(distances[0, -1]))
assert np.array_equal(np.sort(indices[0]), hits[: lims[1]])
print("the smoke test passed")
