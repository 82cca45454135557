# SPDX-License-Identifier: Apache-2.0
"""annkern.yaml, and a user's file of the same form, into the configurations that the orchestrator runs."""

import os
from pathlib import Path

from cuvs_bench.orchestrator.config_loaders import BenchmarkConfig, ConfigLoader, IndexConfig

OWN = Path(__file__).with_name("annkern.yaml")


def wanted(text):
    return {name.strip() for name in text.split(",")} if text else None


class AnnkernConfigLoader(ConfigLoader):
    """The base class reads the data sets and expands the parameters; these two hooks are ours."""

    def __init__(self, config_path=None):
        import cuvs_bench

        self.config_path = os.fspath(config_path or Path(cuvs_bench.__file__).parent / "config")

    @property
    def backend_type(self):
        return "annkern"

    def _discover_algo_groups(self, dataset_conf, dataset, dataset_path, **kwargs):
        files = [os.fspath(OWN)]
        given = kwargs.get("algorithm_configuration")
        if given:
            files += (
                [given] if os.path.isfile(given) else [os.fspath(file) for file in sorted(Path(given).glob("annkern*.yaml"))]
            )
        algorithms, groups = wanted(kwargs.get("algorithms")), wanted(kwargs.get("groups"))
        found = []
        for file in files:
            content = self.load_yaml_file(file)
            if algorithms and content["name"] not in algorithms:
                continue
            for name, group in content["groups"].items():
                if groups is None or name in groups:
                    found.append((content["name"], name, group, {}))
        return found

    def _build_benchmark_configs(self, dataset_config, dataset_conf, dataset, dataset_path, expanded_groups, **kwargs):
        configs = []
        for algo, group, _, builds, searches, _ in expanded_groups:
            for build in builds:
                label = ".".join([algo if group == "base" else f"{algo}_{group}", build["spec"].replace(",", "-")])
                file = os.path.join(dataset_path, dataset, "index", f"{label}.safetensors".replace(":", "-"))
                index = IndexConfig(name=label, algo=algo, build_param=build, search_params=searches or [{}], file=file)
                configs.append(BenchmarkConfig(indexes=[index], backend_config={"name": label, "algo": algo}))
        return configs
