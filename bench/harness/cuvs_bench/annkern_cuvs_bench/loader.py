# SPDX-License-Identifier: Apache-2.0
"""annkern.yaml, and a user's files of the same form, into the configurations that the orchestrator runs.

The orchestrator makes one result of each configuration, with one speed and one recall; so a configuration holds one setting.
"""

import itertools
import os
from pathlib import Path

from cuvs_bench.orchestrator import config_loaders
from cuvs_bench.orchestrator.config_loaders import BenchmarkConfig, ConfigLoader, IndexConfig

OWN = Path(__file__).with_name("annkern.yaml")


def search_space():
    """What mode "tune" tries: the graphs of annkern.yaml, and any window."""
    import yaml

    specs = yaml.safe_load(OWN.read_text())["groups"]["base"]["build"]["spec"]
    window = {"type": "int", "min": 10, "max": 640, "log": True}
    return {"build": {"spec": {"type": "categorical", "choices": specs}}, "search": {"window": window}}


def listed(text):
    return [name.strip() for name in text.split(",")] if text else None


def combinations(grid):
    """Each list of values is a factor of the product, as in the files of cuvs-bench."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


class AnnkernConfigLoader(ConfigLoader):
    def __init__(self, config_path=None):
        self.config_path = os.fspath(config_path or Path(config_loaders.__file__).parents[1] / "config")

    @property
    def backend_type(self):
        return "annkern"

    def known(self, given):
        """{(algorithm, group): its definition}; a user's group replaces ours of the same name."""
        files = [OWN]
        if given:
            place = Path(given)
            if not place.exists():
                raise ValueError(f"configuration: expected a file or a folder, got {given}")
            files += [place] if place.is_file() else sorted([*place.glob("*.yaml"), *place.glob("*.yml")])
        contents = [self.load_yaml_file(os.fspath(file)) for file in files]
        ours = [content for content in contents if content["name"].startswith("annkern")]
        return {(content["name"], name): group for content in ours for name, group in content["groups"].items()}

    def _discover_algo_groups(self, dataset_conf, dataset, dataset_path, **kwargs):
        known = self.known(kwargs.get("algorithm_configuration"))
        algorithms, groups = listed(kwargs.get("algorithms")), listed(kwargs.get("groups"))
        named = {tuple(name.split(".", 1)) for name in listed(kwargs.get("algo_groups")) or []}
        found = [
            (*key, definition, {})
            for key, definition in known.items()
            if key in named or ((algorithms is None or key[0] in algorithms) and (groups is None or key[1] in groups))
        ]
        if not found:
            names = ", ".join(".".join(key) for key in known)
            asked = {"algorithms": algorithms, "groups": groups, "algo_groups": kwargs.get("algo_groups")}
            raise ValueError(f"algorithms and groups: expected some of {names}, got {asked}")
        return found

    def _build_benchmark_configs(self, dataset_config, dataset_conf, dataset, dataset_path, expanded_groups=None, **kwargs):
        """26.06 leaves it to loaders to discover and to expand groups; later releases hand them over."""
        if expanded_groups is None:
            found = self._discover_algo_groups(dataset_conf, dataset, dataset_path, **kwargs)
            expanded_groups = [
                (*group[:3], combinations(group[2].get("build") or {}), combinations(group[2].get("search") or {}), group[3])
                for group in found
            ]
        if kwargs.get("_tune_mode"):
            algo, group, definition, _, _, meta = expanded_groups[0]
            tried = [kwargs["_tune_build_params"]], [kwargs["_tune_search_params"] or {}]
            expanded_groups = [(algo, group, definition, *tried, meta)]
        folder = Path(dataset_path) / dataset
        k, batch, subset = kwargs.get("count", 10), kwargs.get("batch_size", 10000), kwargs.get("subset_size")
        shared = {"result": str(folder / "result"), "seconds": float(kwargs.get("seconds", 1.0))}
        shared |= {"done": set()}  # what this run has built and which files it has begun
        configs = []
        for algo, group, _, builds, searches, _ in expanded_groups:
            files = f"{algo},{group}", f"{algo},{group},k{k},bs{batch}"
            for build, search in itertools.product(builds, settings(searches, k)):
                label = (algo if group == "base" else f"{algo}_{group}") + "." + plain(build["spec"])
                rows = f".n{subset}" if subset else ""  # or a later run of all rows would search an index of some
                index = str(folder / "index" / f"{label}{rows}.safetensors")
                config_values = shared | {"name": label, "algo": algo, "output_filename": files}
                configs.append(BenchmarkConfig([IndexConfig(label, algo, build, [search], index)], config_values))
        return configs


def plain(spec):
    """A spec as a part of a file's name, and of a column between commas."""
    return spec.replace(",", "-").replace(":", "-")


def settings(searches, k):
    """No window is below k, and none comes twice."""
    raised = [s | {"window": max(int(s["window"]), k)} if "window" in s else s for s in searches]
    return [s for place, s in enumerate(raised) if s not in raised[:place]]
