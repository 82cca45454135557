# SPDX-License-Identifier: Apache-2.0
"""Malformed files are one exception, ValueError with the path, whatever is wrong with them; what is read from a file that
still makes sense can be searched without a crash."""

from __future__ import annotations

import copy
import json
import os
import tempfile
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest

import annkern as ak
from annkern import io
from annkern.files import container

# Of each test; .ci/run asks for more.
CASES = int(os.environ.get("ANNKERN_FUZZ_CASES", "1000"))
SPECIAL = [0, 1, -1, 2, 255, 256, 2**15, 2**31 - 1, -(2**31), 2**32 - 1, 2**40, 2**62, 2**63 - 1, -(2**63)]
SUFFIXES = [".npy", *io.BINARY, *io.ROWWISE, ".gt", ".hdf5", ".chunked.hdf5"]


@pytest.fixture
def folder(tmp_path):
    """In memory where that can be: the tests write some thousand files."""
    try:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
            yield Path(name)
    except OSError:
        yield tmp_path


def write(path, suffix, rng):
    if suffix.endswith(".hdf5"):
        h5py = pytest.importorskip("h5py")
        how = {"chunks": (3, 2), "compression": "gzip"} if suffix.startswith(".chunked") else {}
        with h5py.File(path, "w") as file:
            for name, n, dtype in (("train", 9, "f4"), ("test", 4, "f4"), ("neighbors", 4, "i4"), ("distances", 4, "f4")):
                file.create_dataset(name, data=rng.integers(0, 9, (n, 4)).astype(dtype), **how)
            file.attrs["distance"] = "angular"
    elif suffix == ".gt":
        io.write_truth(path, rng.integers(0, 9, (6, 4)), rng.random((6, 4)))
    else:
        dtype = np.float32 if suffix == ".npy" else (io.BINARY | io.ROWWISE)[suffix]
        io.write_vectors(path, rng.integers(0, 9, (12, 5)).astype(dtype))


def read(path):
    if path.suffix == ".hdf5":
        return io.read_hdf5(path)
    return io.read_truth(path) if path.suffix == ".gt" else io.read_vectors(path, mmap=False)


def mutated(whole, rng):
    """One to three changes: a bit, a number of 1 to 8 bytes, a part that is taken out, doubled or moved, an end cut off."""
    data = bytearray(whole)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, min(len(data), 200 if rng.random() < 0.7 else len(data)) or 1))
        count = int(rng.choice([1, 2, 4, 8]))
        match int(rng.integers(0, 6)):
            case 0 if data:
                data[at] ^= 1 << int(rng.integers(0, 8))
            case 1:
                number = int(rng.choice(np.array(SPECIAL, object))) % (1 << 8 * count)
                data[at : at + count] = number.to_bytes(count, "little")
            case 2:
                data[at : at + count] = rng.bytes(count)
            case 3:
                del data[at : at + int(rng.integers(1, 40))]
            case 4:
                data[at:at] = data[at : at + int(rng.integers(1, 40))]
            case 5:
                del data[at if rng.random() < 0.5 else len(data) - int(rng.integers(1, 20)) :]
    return bytes(data)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_vector_files(suffix, folder, rng):
    path = folder / f"x{suffix}"
    write(path, suffix, rng)
    whole = path.read_bytes()
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy about headers that are not as it writes them
        for _ in range(CASES):
            path.write_bytes(mutated(whole, rng))
            try:
                read(path)
            except ValueError as error:
                assert str(path) in str(error)
                refused += 1
    assert refused > 0


FORMS = ["store", "levels", "pq8x4", "rabitq2", "graph", "lists", "index", "ivf"]


def saved(form, x):
    match form:
        case "store":
            return ak.compress(x, "lvq8", "cosine")
        case "levels":
            return ak.compress(x, "leanvec8:lvq4,lvq8")
        case "graph":
            return ak.build_graph(x, degree=8)
        case "lists":
            return ak.build_lists(x, 6)
        case "ivf":
            return ak.Index.build(x, "ivf6,soar,lvq4+f32")
        case "index":
            return ak.Index.build(x, "graph8,lvq4x8+f32", reorder=True)
        case spec:
            return ak.compress(x, spec)


def used(loaded, x):
    """What was loaded is used: kernels trust shapes, so a crash ends the process here."""
    repr(loaded)
    if isinstance(loaded, ak.Graph):
        ak.search_graph(loaded, x, x[:2], 3)
    elif isinstance(loaded, ak.Lists):
        ak.search_lists(loaded, x, x[:2], 3)
    elif isinstance(loaded, ak.Index):
        loaded.search(x[:2], 3)
    else:
        loaded.decode(np.arange(min(2, len(loaded))))
        ak.knn(loaded, x[:2], 3)


def places(tree, found):
    """All (container, key) of a JSON value."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        found.append((tree, key))
        if isinstance(value, (dict, list)):
            places(value, found)
    return found


def forge(tree, rng):
    """The description with a value that is not what stood there, missing, or from another place."""
    tree = copy.deepcopy(tree)
    for _ in range(int(rng.integers(1, 3))):
        all_places = places(tree, [])
        if not all_places:
            break
        where, key = all_places[int(rng.integers(0, len(all_places)))]
        other, name = all_places[int(rng.integers(0, len(all_places)))]
        values = [*SPECIAL, None, True, 1.5, "", "nonsense", "codes", "graph", [], {}, [1, 2], {"a": 1}, 10**30]
        if rng.random() < 0.15:
            del where[key]
        elif rng.random() < 0.4:
            where[key] = copy.deepcopy(other[name])
        else:
            where[key] = values[int(rng.integers(0, len(values)))]
    return tree


def with_description(whole, change):
    """The file with its description changed, and checksums that are right."""
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    text = change(header["__metadata__"]["annkern"])
    header["__metadata__"] = {"annkern": text, "annkern.crc32": f"{zlib.crc32(text.encode()):08x}"}
    packed = json.dumps(header).encode()
    return len(packed).to_bytes(8, "little") + packed + whole[8 + length :]


@pytest.mark.parametrize("form", FORMS)
def test_forged_descriptions(form, folder, rng):
    x = rng.standard_normal((60, 16), dtype=np.float32)
    path = folder / "x.safetensors"
    container.save(saved(form, x), path)
    whole = path.read_bytes()
    refused = 0
    for _ in range(CASES):
        path.write_bytes(with_description(whole, lambda text: json.dumps(forge(json.loads(text), rng))))
        try:
            loaded = ak.load(path)
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
            continue
        used(loaded, x)
    assert refused > CASES // 2


@pytest.mark.parametrize("form", FORMS)
def test_mutated_containers(form, folder, rng):
    x = rng.standard_normal((60, 16), dtype=np.float32)
    path = folder / "x.safetensors"
    container.save(saved(form, x), path)
    whole = path.read_bytes()
    for case in range(CASES):
        path.write_bytes(mutated(whole, rng))
        try:
            ak.load(path, mmap=bool(case % 2))
        except ValueError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 100_000,
        "[" * 5000 + "]" * 5000,
        '{"version": 1, "object": ' + '{"objects": {"x": ' * 400 + "{}" + "}}" * 400 + ', "arrays": {}}',
        '{"version": 1' + "0" * 5000 + "}",
        "null",
        "3",
        "NaN",
        "not JSON",
    ],
    ids=range(8),
)
def test_descriptions_that_end_no_parser(text, tmp_path):
    path = tmp_path / "x.safetensors"
    ak.compress(np.eye(4, dtype=np.float32), "f32").save(path)
    path.write_bytes(with_description(path.read_bytes(), lambda _: text))
    with pytest.raises(ValueError, match=r"x\.safetensors: "):
        ak.load(path)


@pytest.mark.parametrize(
    ("form", "change", "words"),
    [
        ("store", lambda d: d.update(version=-5), "expected format 1 to 1, got -5"),
        ("store", lambda d: d.update(version=True), "expected format 1 to 1, got True"),
        ("store", lambda d: d["object"]["parameters"].update(metric="nonsense"), "metric: expected .*got 'nonsense'"),
        ("graph", lambda d: d["object"]["parameters"].update(metric="nonsense"), "metric: expected .*got 'nonsense'"),
        ("index", lambda d: d["object"]["parameters"].update(metric="nonsense"), "metric: expected .*got 'nonsense'"),
        (
            "index",
            lambda d: d["object"]["objects"].update(store=d["object"]["objects"]["graph"]),
            "expected store to be a store, got a graph",
        ),
        (
            "index",
            lambda d: d["object"]["objects"].update(graph=d["object"]["objects"]["store"]),
            "expected graph to be a graph, got a store",
        ),
        ("index", lambda d: d["object"]["objects"].pop("store"), "expected an index of store, graph, lists, rerank"),
        ("levels", lambda d: d["object"]["objects"].update(primary=copy.deepcopy(d["object"])), "expected"),
        (
            "store",
            lambda d: d["object"]["parameters"]["numbers"].update(bits=8.0),
            "expected .* to be integers",
        ),
    ],
)
def test_parts_that_are_not_what_their_place_says(form, change, words, tmp_path, rng):
    path = tmp_path / "x.safetensors"
    container.save(saved(form, rng.standard_normal((60, 16), dtype=np.float32)), path)

    def changed(text):
        tree = json.loads(text)
        change(tree)
        return json.dumps(tree)

    path.write_bytes(with_description(path.read_bytes(), changed))
    with pytest.raises(ValueError, match=rf"x\.safetensors: {words}"):
        ak.load(path)
