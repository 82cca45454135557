# SPDX-License-Identifier: Apache-2.0
"""The metric of a call that names none."""

from __future__ import annotations

import numpy as np

import annkern as ak

D = 48


def test_the_metric_that_a_store_was_made_for_is_the_default(backend, rng):
    """Rows of unequal length, so that metrics differ in what is nearest."""
    x = backend.array((rng.standard_normal((300, D)) * rng.lognormal(0, 1, (300, 1))).astype(np.float32))
    q = backend.array(rng.standard_normal((4, D)).astype(np.float32))
    ids = backend.array(np.tile(np.arange(20), (4, 1)))
    calls = (
        lambda base, **metric: ak.knn(base, q, 10, **metric),
        lambda base, **metric: ak.radius(base, q, 0.8, **metric),
        lambda base, **metric: (ak.pairwise(q, base, **metric),),
        lambda base, **metric: (ak.distances(base, q, ids, **metric),),
        lambda base, **metric: ak.assign(q, base, **metric),
    )
    for spec in ("f32", "lvq8", "lvq4x8", "leanvec16:lvq8,f16"):
        store = ak.compress(x, spec, metric="cosine")
        for base, own, other in ((store, "cosine", "sqeuclidean"), (x, "sqeuclidean", "cosine")):
            for call in calls:
                default, named, others = (
                    [backend.numpy(part) for part in call(base, **how)] for how in ({}, {"metric": own}, {"metric": other})
                )
                assert all(map(np.array_equal, default, named)), (spec, own)
                assert not all(map(np.array_equal, default, others)), (spec, own)
