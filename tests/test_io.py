# SPDX-License-Identifier: Apache-2.0
"""Vector files: what is written is read again, and files that are cut off or foreign are named with the numbers."""

from __future__ import annotations

import doctest
import importlib
import os
import stat

import numpy as np
import pytest

import annkern as ak
from annkern import io

TYPES = {".npy": np.float32, **{s: np.dtype(t) for s, t in (io.BINARY | io.ROWWISE).items()}}


def numbers(rng, shape, dtype):
    return (rng.standard_normal(shape) * 40).astype(np.int8).astype(dtype)


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (300, 3), (0, 4)])
def test_round_trip(suffix, shape, tmp_path, rng):
    x = numbers(rng, shape, TYPES[suffix])
    path = tmp_path / f"x{suffix}"
    io.write_vectors(path, x)
    for mmap in (True, False):
        read = io.read_vectors(path, mmap=mmap)
        assert read.dtype == x.dtype
        assert np.array_equal(read, x) or (shape[0] == 0 and read.shape[0] == 0)


@pytest.mark.parametrize("suffix", TYPES)
def test_rows_that_are_not_adjacent_are_written(suffix, tmp_path, rng):
    x = numbers(rng, (9, 12), TYPES[suffix])[::2, ::3]
    io.write_vectors(tmp_path / f"x{suffix}", x)
    assert np.array_equal(io.read_vectors(tmp_path / f"x{suffix}"), x)


@pytest.mark.parametrize("suffix", [".fbin", ".fvecs"])
def test_files_of_others_are_read(suffix, tmp_path):
    x = np.array([[1, 2], [3, 4]], "<f4")
    whole = np.array([2, 2], "<u4").tobytes() + x.tobytes()
    rows = b"".join(np.array([2], "<i4").tobytes() + row.tobytes() for row in x)
    (tmp_path / f"x{suffix}").write_bytes(whole if suffix == ".fbin" else rows)
    assert io.read_vectors(tmp_path / f"x{suffix}").tolist() == [[1, 2], [3, 4]]


def test_mapped_rows_are_searched_where_they_lie(tmp_path, rng):
    x = rng.standard_normal((200, 20), dtype=np.float32)
    io.write_vectors(tmp_path / "x.fvecs", x)
    mapped = io.read_vectors(tmp_path / "x.fvecs")
    assert mapped.strides == (84, 4) and not mapped.flags.owndata
    assert ak.knn(mapped, x[:3], 5)[1].tobytes() == ak.knn(x, x[:3], 5)[1].tobytes()


@pytest.mark.parametrize("suffix", TYPES)
def test_a_file_cut_off_is_refused(suffix, tmp_path, rng):
    path = tmp_path / f"x{suffix}"
    io.write_vectors(path, numbers(rng, (20, 6), TYPES[suffix]))
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2 + 1, 3):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="x" + suffix):
            io.read_vectors(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.fbin", np.array([2, 3], "<u4").tobytes() + bytes(25), "longer than its header"),
        ("x.fbin", np.array([2**31, 2**31], "<u4").tobytes() + bytes(24), "cut off"),
        ("x.fbin", b"", "header of 8 bytes"),
        ("x.fvecs", np.array([-5, 1, 2], "<i4").tobytes(), "rows of"),
        ("x.ivecs", np.array([2, 1, 1, 3, 1, 1], "<i4").tobytes(), "row 1 says it has 3 elements, the first 2"),
        ("x.npy", b"hello", "npy form"),
        ("x.bin", b"", "ends in"),
        ("x.hdf5", b"", "read_hdf5"),
    ],
)
def test_foreign_files_are_refused(name, content, words, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words):
        io.read_vectors(tmp_path / name)


def test_pickles_are_never_loaded(tmp_path):
    np.save(tmp_path / "x.npy", np.array([[{}]], object), allow_pickle=True)
    with pytest.raises(ValueError, match="npy form"):
        io.read_vectors(tmp_path / "x.npy")


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="cast it"):
        io.write_vectors(tmp_path / "x.fbin", np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"\(n, d\)"):
        io.write_vectors(tmp_path / "x.fbin", np.zeros(2, np.float32))
    with pytest.raises(FileNotFoundError, match=r"none\.npy"):
        io.read_vectors(tmp_path / "none.npy")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.npy"
    io.write_vectors(path, np.ones((2, 2), np.float32))
    monkeypatch.setattr("annkern.files.atomic.os.fsync", lambda _: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        io.write_vectors(path, np.zeros((9, 9), np.float32))
    assert io.read_vectors(path).tolist() == [[1, 1], [1, 1]] and len(list(tmp_path.iterdir())) == 1


def test_truth(tmp_path, rng):
    ids, distances = rng.integers(0, 2**31, (4, 3)), rng.random((4, 3), np.float32)
    io.write_truth(tmp_path / "gt.bin", ids, distances)
    read = io.read_truth(tmp_path / "gt.bin")
    assert np.array_equal(read.ids, ids) and np.array_equal(read.distances, distances)
    io.write_truth(tmp_path / "gt.ibin", ids)
    assert np.array_equal(io.read_truth(tmp_path / "gt.ibin").ids, ids)
    assert io.read_truth(tmp_path / "gt.ibin").distances is None
    io.write_vectors(tmp_path / "gt.ivecs", ids.astype(np.int32))
    assert np.array_equal(io.read_truth(tmp_path / "gt.ivecs").ids, ids)
    (tmp_path / "gt.bin").write_bytes((tmp_path / "gt.bin").read_bytes()[:-4])
    with pytest.raises(ValueError, match="56 or 104 bytes; got 100"):
        io.read_truth(tmp_path / "gt.bin")
    for wrong in (-1, 2**31):
        with pytest.raises(ValueError, match=rf"ids: expected 0 to 2\^31 - 1, got {wrong} to {wrong}"):
            io.write_truth(tmp_path / "gt.bin", [[wrong]])


def test_hdf5(tmp_path, rng):
    h5py = pytest.importorskip("h5py")
    x = rng.standard_normal((6, 4), dtype=np.float32)
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["train"], file["test"] = x, x[:2]
        file.attrs["distance"] = "angular"
    read = io.read_hdf5(tmp_path / "x.hdf5")
    assert np.array_equal(read.train, x) and read.metric == "cosine" and read.neighbors is None
    with h5py.File(tmp_path / "y.hdf5", "w") as file:
        file["vectors"] = x
    with pytest.raises(ValueError, match="train and test, got vectors"):
        io.read_hdf5(tmp_path / "y.hdf5")
    (tmp_path / "z.hdf5").write_bytes((tmp_path / "x.hdf5").read_bytes()[:100])
    with pytest.raises(ValueError, match="expected HDF5"):
        io.read_hdf5(tmp_path / "z.hdf5")


def test_examples():
    result = doctest.testmod(importlib.import_module(io.read_vectors.__module__))
    assert result.attempted and not result.failed


WRITERS = {
    "write_vectors": lambda path: io.write_vectors(path, np.eye(3, dtype=np.float32)),
    "write_truth": lambda path: io.write_truth(path, np.eye(3, dtype=np.int32)),
    "save": lambda path: ak.compress(np.eye(3, dtype=np.float32), "lvq8").save(path),
    "save_hnswlib": lambda path: GRAPH.save_hnswlib(path, np.eye(3, dtype=np.float32)),
}
GRAPH = ak.Graph.of(np.array([[1, 2], [0, 2], [0, 1]]))


@pytest.fixture(params=WRITERS)
def write(request):
    return WRITERS[request.param]


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_new_file_obeys_the_umask_which_nobody_changes(write, mask, tmp_path, monkeypatch):
    before = os.umask(mask)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", lambda _: pytest.fail("the umask is the process's, of all its threads"))
            write(tmp_path / "x.fbin")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.fbin").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("tmpfile", [True, False])
def test_a_replaced_file_keeps_its_mode_and_links_are_followed(write, tmpfile, tmp_path, monkeypatch):
    if not tmpfile:
        monkeypatch.delattr(os, "O_TMPFILE")
    target, link = tmp_path / "x.fbin", tmp_path / "link.fbin"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    write(link)
    assert link.is_symlink() and target.read_bytes() != b"old"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert {path.name for path in tmp_path.iterdir()} == {"x.fbin", "link.fbin"}


def test_a_pipe_is_not_replaced(write, tmp_path):
    os.mkfifo(tmp_path / "x.fbin")
    with pytest.raises(ValueError, match=r"x\.fbin: expected a file or a new name, got a device, pipe or socket"):
        write(tmp_path / "x.fbin")
    assert stat.S_ISFIFO((tmp_path / "x.fbin").stat().st_mode)


def test_the_longest_name_is_written(write, tmp_path):
    path = tmp_path / f"{'x' * 250}.fbin"
    write(path)
    assert path.stat().st_size > 0
