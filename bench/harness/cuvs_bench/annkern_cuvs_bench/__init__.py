# SPDX-License-Identifier: Apache-2.0
"""annkern as a backend of cuvs-bench, found by its entry points: ``BenchmarkOrchestrator(backend_type="annkern")``."""

from cuvs_bench.backends.registry import list_backends, register_backend, register_config_loader

from .backend import AnnkernBackend
from .loader import AnnkernConfigLoader


def register():
    """Called once for each of the two entry points."""
    if "annkern" not in list_backends():
        register_backend("annkern", AnnkernBackend)
        register_config_loader("annkern", AnnkernConfigLoader)
