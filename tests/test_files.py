# SPDX-License-Identifier: Apache-2.0
"""What is saved comes back bit for bit; what is damaged, foreign or cut off is refused; the old file stays until the new one
is whole."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import zlib

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

import annkern as ak
from annkern.files import container as files
from annkern.stores.registry import RULES, codec

SPECS = [spec for rule in RULES for spec in rule[2]]


def rows(rng, n, d=24):
    return rng.integers(0, 50, (n, d)).astype(np.float32)


def levels(store):
    return [level for level in (store, store.primary, store.secondary) if level is not None]


def assert_same(got, want):
    for one, other in zip(levels(got), levels(want), strict=True):
        assert (one.kind, one.spec, one.shape, one.metric) == (other.kind, other.spec, other.shape, other.metric)
        assert list(one.numbers.items()) == list(other.numbers.items())
        for name, array in {**other.arrays, "projection": other.projection}.items():
            if array is not None:
                loaded = one.projection if name == "projection" else one.arrays[name]
                assert loaded.dtype.name == np.asarray(array).dtype.name and loaded.shape == array.shape
                assert loaded.tobytes() == np.asarray(array).tobytes()
    assert (got.secondary is got) == (want.secondary is want)
    assert got.nbytes == want.nbytes


@pytest.fixture
def saved(rng, tmp_path):
    store = ak.compress(rows(rng, 40), "lvq4x8", "inner_product")
    path = tmp_path / "store.safetensors"
    store.save(path)
    return store, path


@pytest.mark.parametrize("n", [0, 1, 300])
@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("spec", SPECS)
def test_round_trip(rng, tmp_path, spec, mmap, n):
    x = rows(rng, 300)
    store = codec(spec, "cosine").fit(x).encode(x[:n])
    path = tmp_path / "x.safetensors"
    store.save(path)
    loaded = ak.load(path, mmap=mmap)
    assert_same(loaded, store)
    for got, want in zip(ak.knn(loaded, x[:7], 5), ak.knn(store, x[:7], 5), strict=True):
        assert got.tobytes() == want.tobytes()
    assert loaded.decode().tobytes() == store.decode().tobytes()


def test_levels_share_their_arrays(saved):
    store, path = saved
    assert path.stat().st_size < store.nbytes + 4096
    for mmap in (False, True):
        loaded = ak.load(path, mmap=mmap)
        assert loaded.primary.arrays["codes"] is loaded.arrays["codes"]
        assert loaded.secondary is loaded and "residual" not in loaded.primary.arrays


def test_the_safetensors_package_reads_it(saved):
    store, path = saved
    arrays = safetensors.numpy.load_file(path)
    assert set(arrays) == set(store.arrays)
    for name, array in store.arrays.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_mapped_arrays_are_the_file(saved):
    _, path = saved
    loaded = ak.load(path, mmap=True)
    for array in loaded.arrays.values():
        assert not array.flags.writeable and not array.flags.owndata
    assert loaded.arrays["codes"].ctypes.data % 64 == loaded.arrays["residual"].ctypes.data % 64 == 0
    assert ak.load(path).arrays["codes"].flags.writeable


def test_large_arrays_begin_on_a_cache_line(rng, tmp_path):
    path = tmp_path / "s.annk"
    ak.compress(rows(rng, 5000), "lvq8").save(path)
    assert ak.load(path).arrays["codes"].ctypes.data % 64 == 0


def test_device_arrays_are_saved_through_the_host(backend, rng, tmp_path):
    store = ak.compress(rows(rng, 50), "lvq4x4")
    there = store.convert(backend.array)
    there.save(tmp_path / "x")
    assert_same(ak.load(tmp_path / "x"), store)


def test_strided_and_bfloat16_arrays(rng, tmp_path):
    wide = rng.standard_normal((50, 40)).astype(np.float32)
    for x in (wide[::2, :24], wide[::-1, 3:27], wide.T, wide.astype(ml_dtypes.bfloat16)):
        spec = "bf16" if x.dtype == ml_dtypes.bfloat16 else "f32"
        ak.compress(x, spec).save(tmp_path / "x")
        loaded = ak.load(tmp_path / "x").arrays["data"]
        assert loaded.dtype == x.dtype and loaded.tobytes() == np.ascontiguousarray(x).tobytes()


def test_arrays_of_several_pieces(rng, tmp_path, monkeypatch):
    store = ak.compress(rows(rng, 500), "lvq8x8")
    monkeypatch.setattr(files, "PIECE", 1000)
    store.save(tmp_path / "x")
    assert_same(ak.load(tmp_path / "x"), store)
    monkeypatch.setattr(files, "PIECE", 64 << 20)
    assert_same(ak.load(tmp_path / "x", mmap=True, verify=True), store)


def test_every_changed_byte_is_seen(saved):
    store, path = saved
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    assert start % 64 == 0
    data = np.random.default_rng(0).choice(np.arange(start, len(whole)), 300, replace=False)
    for at in [*range(start), *data.tolist(), start, len(whole) - 1]:
        broken = bytearray(whole)
        broken[at] ^= 1 << at % 8
        path.write_bytes(broken)
        if at >= start or at % 4 == 0:
            with pytest.raises(ValueError, match=r"store\.safetensors"):
                ak.load(path)
        if at < start:
            with pytest.raises(ValueError, match=r"store\.safetensors"):
                ak.load(path, mmap=True)
        else:
            ak.load(path, mmap=True)  # the caller has asked not to read the arrays
            with pytest.raises(ValueError, match="CRC-32"):
                ak.load(path, mmap=True, verify=True)
    path.write_bytes(whole)
    assert_same(ak.load(path), store)


@pytest.mark.parametrize("mmap", [False, True])
def test_cut_off_and_foreign_files_are_refused(saved, mmap):
    _, path = saved
    whole = path.read_bytes()
    for length in [0, 1, 7, 8, 9, 63, 64, 500, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"store\.safetensors: expected a safetensors file"):
            ak.load(path, mmap=mmap)
    path.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="expected a safetensors file"):
        ak.load(path, mmap=mmap)
    for foreign in (b"\x93NUMPY" + bytes(300), b"PK\x03\x04" * 40, np.random.default_rng(1).bytes(5000)):
        path.write_bytes(foreign)
        with pytest.raises(ValueError, match="expected a safetensors file"):
            ak.load(path, mmap=mmap)
    safetensors.numpy.save_file({"weights": np.zeros(5, np.float32)}, path)
    with pytest.raises(ValueError, match="without its description"):
        ak.load(path, mmap=mmap)
    with pytest.raises(FileNotFoundError):
        ak.load(path.with_name("none"), mmap=mmap)
    with pytest.raises(TypeError, match="path: expected a str or path-like, got int"):
        ak.load(3, mmap=mmap)


def forged(store, path, change):
    """A file whose checksums are right and whose description is not."""
    tree = files._described(store, "", arrays := {}, {})
    change(tree)
    order = list(arrays)
    sums = {name: zlib.crc32(store.arrays[name].tobytes()) for name in order}
    path.write_bytes(files._header(tree, arrays, order, sums) + b"".join(store.arrays[name].tobytes() for name in order))


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree["parameters"].update(shape=[41, 24]),
        lambda tree: tree["parameters"].update(shape=[40, 2400]),
        lambda tree: tree["parameters"]["numbers"].update(residual_bits=0),
        lambda tree: tree["parameters"]["numbers"].update(bits=5),
        lambda tree: tree["parameters"]["numbers"].pop("exponent"),
        lambda tree: tree["parameters"].update(numbers=dict(reversed(tree["parameters"]["numbers"].items()))),
        lambda tree: tree["parameters"].update(kind="zip"),
        lambda tree: tree["parameters"].pop("kind"),
        lambda tree: tree["arrays"].pop("norms"),
        lambda tree: tree["arrays"].update(norms="codes"),
        lambda tree: tree["arrays"].update(more="codes"),
        lambda tree: tree["arrays"].update(codes="none"),
        lambda tree: tree["arrays"].update(projection="codes"),
        lambda tree: tree["objects"]["primary"]["parameters"].update(shape=[40, 25]),
        lambda tree: tree["objects"].pop("primary") and tree["objects"].update(secondary=dict(tree, objects={})),
        lambda tree: tree.update(form="program"),
        lambda tree: tree.update(parameters=None),
        lambda tree: tree.clear(),
    ],
)
def test_kernels_are_never_given_arrays_that_do_not_fit(saved, change):
    store, path = saved
    forged(store, path, lambda tree: None)
    assert_same(ak.load(path), store)
    forged(store, path, change)
    with pytest.raises(ValueError, match=r"store\.safetensors"):
        ak.load(path)


@pytest.mark.parametrize("text", ["{}", "[]", '{"version": "1"}', '{"version": 1, "arrays": {"codes": {}}}'])
def test_descriptions_without_what_they_need(saved, text):
    _, path = saved
    metadata = {"annkern": text, "annkern.crc32": files._text_sum(text)}
    safetensors.numpy.save_file({"codes": np.zeros(5, np.float32)}, path, metadata)
    with pytest.raises(ValueError, match=r"store\.safetensors: its description is malformed"):
        ak.load(path)


def test_newer_formats_are_named(saved, monkeypatch):
    store, path = saved
    monkeypatch.setattr(files, "VERSION", 2)
    store.save(path)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="newer annkern"):
        ak.load(path)


def test_the_old_file_stays_until_the_new_one_is_whole(saved, monkeypatch):
    store, path = saved
    whole = path.read_bytes()

    def fail(*_):
        raise OSError("no room")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(files.os, name, fail)
            with pytest.raises(OSError, match="no room"):
                store.save(path)
        assert path.read_bytes() == whole and os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("named", [False, True])
def test_a_full_disk_leaves_the_old_file(saved, named):
    """A limit of the file's size stands for the disk; also where the file system has no unnamed files."""
    _, path = saved
    whole = path.read_bytes()
    program = f"""
import os, resource, signal, numpy as np, annkern as ak
if {named}:
    del os.O_TMPFILE
store = ak.compress(np.ones((10_000, 24), np.float32), "f32")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    store.save({str(path)!r})
except OSError as error:
    print(type(error).__name__)
"""
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "OSError\n"
    assert path.read_bytes() == whole and os.listdir(path.parent) == [path.name]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100_000


def test_a_killed_process_leaves_the_old_file_alone(saved):
    _, path = saved
    whole = path.read_bytes()
    program = f"""
import os, signal, numpy as np, annkern as ak
from annkern.files import container as files
store = ak.compress(np.ones((1000, 24), np.float32), "f32")
os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
store.save({str(path)!r})
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert path.read_bytes() == whole
    if hasattr(os, "O_TMPFILE"):
        assert os.listdir(path.parent) == [path.name]


def test_a_link_stays_a_link(saved, tmp_path):
    store, path = saved
    link = tmp_path / "link"
    link.symlink_to(path.name)
    store.save(link)
    assert link.is_symlink() and not path.is_symlink()


def test_a_mapped_file_may_be_replaced(rng, saved):
    store, path = saved
    mapped = ak.load(path, mmap=True)
    ak.compress(rows(rng, 3), "lvq8").save(path)
    assert_same(mapped, store)


class Pair:
    def __init__(self, graph, store):
        self.graph, self.store = graph, store


def test_other_types_register_their_own_form(saved, rng, tmp_path, monkeypatch):
    store, _ = saved
    monkeypatch.setattr(files, "FORMS", dict(files.FORMS))
    form = files.Form(
        Pair,
        lambda pair: files.Parts({"k": 3}, {"graph": pair.graph}, {"store": pair.store}),
        lambda parts: Pair(parts.arrays["graph"], parts.objects["store"]),
    )
    files.register("pair", form)
    graph = rng.integers(0, 40, (40, 8)).astype(np.uint32)
    files.save(Pair(graph, store), tmp_path / "pair")
    for mmap in (False, True):
        loaded = ak.load(tmp_path / "pair", mmap=mmap)
        assert_same(loaded.store, store)
        np.testing.assert_array_equal(loaded.graph, graph)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="'pair', which this annkern does not know"):
        ak.load(tmp_path / "pair")
    with pytest.raises(TypeError, match="got int"):
        files.save(3, tmp_path / "x")
    with pytest.raises(TypeError, match="path: expected a str or path-like, got NoneType"):
        store.save(None)
    store.save(bytes(tmp_path / "x"))
    assert_same(ak.load(bytes(tmp_path / "x")), store)


def test_the_description_can_be_read_by_others(saved):
    store, path = saved
    with safetensors.safe_open(path, framework="numpy") as file:
        description = json.loads(file.metadata()["annkern"])
    assert description["object"]["parameters"]["spec"] == "lvq4x8"
    assert description["arrays"]["codes"]["crc32"] == f"{zlib.crc32(store.arrays['codes'].tobytes()):08x}"
