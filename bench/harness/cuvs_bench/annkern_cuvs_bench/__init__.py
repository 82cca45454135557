# SPDX-License-Identifier: Apache-2.0
"""annkern as a backend of cuvs-bench. No release of cuvs-bench looks for backends by itself: call `register` before
``BenchmarkOrchestrator(backend_type="annkern")``, or run ``python -m annkern_cuvs_bench`` in place of ``cuvs_bench.run``."""

from cuvs_bench.backends.registry import list_backends, register_backend, register_config_loader
from cuvs_bench.backends.search_spaces import ALGORITHM_SEARCH_SPACES

from .backend import AnnkernBackend
from .loader import AnnkernConfigLoader, search_space


def register():
    """Makes the backend, its configurations and what mode "tune" may vary known; once or several times."""
    if "annkern" in list_backends():
        return
    register_backend("annkern", AnnkernBackend)
    register_config_loader("annkern", AnnkernConfigLoader)
    ALGORITHM_SEARCH_SPACES["annkern"] = search_space()
