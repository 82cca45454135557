# SPDX-License-Identifier: Apache-2.0
"""Vector files: what is written is read again, and files that are cut off or foreign are named with the numbers."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
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
        ("x.fbin", np.array([2, 3], "<u4").tobytes() + bytes(25), "not what its header says"),
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
    with pytest.raises(ValueError, match=r"x\.npy: expected numbers, got dtype object"):
        io.read_vectors(tmp_path / "x.npy")


@pytest.mark.parametrize(
    "array",
    [
        np.array([["a", "b"]]),
        np.array([["2020-01-01"]], "M8[D]"),
        np.zeros((2, 2), [("x", "f4")]),
        np.zeros((2, 2), complex),
        np.float32(3),
        np.zeros(3, np.float32),
        np.zeros((1, 2, 3), np.float32),
    ],
)
def test_npy_files_of_other_things_are_refused(array, tmp_path):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(ValueError, match=r"x\.npy: expected (numbers|\(n, d\)), got"):
        io.read_vectors(tmp_path / "x.npy")


def npy_with(header):
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode("latin1") + bytes(64)


@pytest.mark.parametrize(
    "content",
    [
        npy_with("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000000), }\n"),
        npy_with("{'descr': '<f4', 'fortran_order': False, 'shape': (1" + "0" * 30 + ", 0), }\n"),
        npy_with("{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -8), }\n"),
        npy_with("(" * 9000 + ")" * 900),
        npy_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3"),
        npy_with("{'descr': [], 'fortran_order': False, 'shape': (2, 3), }"),
        npy_with("1e999"),
        npy_with("'\x00'"),
        b"\x93NUMPY\x09\x00" + bytes(64),
    ],
    ids=range(9),
)
def test_npy_headers_that_make_no_sense(content, tmp_path):
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.npy( is cut off)?: expected"):
        io.read_vectors(tmp_path / "x.npy")


def test_an_npz_under_the_name_of_an_npy_is_refused(tmp_path):
    with open(tmp_path / "x.npy", "wb") as file:
        np.savez(file, x=np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"x\.npy: expected an array in \.npy form"):
        io.read_vectors(tmp_path / "x.npy")


def test_columns_first_and_swapped_bytes(tmp_path, rng):
    x = np.asfortranarray(rng.standard_normal((7, 3), dtype=np.float32))
    np.save(tmp_path / "x.npy", x)
    read = io.read_vectors(tmp_path / "x.npy")
    assert np.array_equal(read, x) and read.strides == x.strides
    np.save(tmp_path / "x.npy", x.astype(">f8"))
    assert np.array_equal(io.read_vectors(tmp_path / "x.npy"), x)


@pytest.mark.parametrize("suffix", io.ROWWISE)
@pytest.mark.parametrize("block", [1 << 26, 100])
def test_a_short_row_is_found_wherever_it_lies(suffix, block, tmp_path, monkeypatch):
    """Two short rows in the place of one: what comes behind them is where it was."""
    monkeypatch.setattr("annkern.files.vectors.BLOCK_BYTES", block)
    size = np.dtype(io.ROWWISE[suffix]).itemsize
    d = 12 // size

    def row(count):
        return np.array([count], "<i4").tobytes() + bytes(count * size)

    for at in (1, 4999, 9998):
        parts = [row(d)] * 10_000
        parts[at] = row(4 // size) + row(4 // size)
        (tmp_path / f"x{suffix}").write_bytes(b"".join(parts))
        with pytest.raises(ValueError, match=rf"x{suffix}: row {at} says it has {4 // size} elements, the first {d}"):
            io.read_vectors(tmp_path / f"x{suffix}")


@pytest.mark.parametrize("suffix", io.BINARY)
@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (0, 4), (300, 3)])
def test_headers_of_64_bits_are_told_by_the_size(suffix, shape, tmp_path, rng):
    x = numbers(rng, shape, TYPES[suffix])
    (tmp_path / f"x{suffix}").write_bytes(np.array(shape, "<u8").tobytes() + x.tobytes())
    for mmap in (True, False):
        read = io.read_vectors(tmp_path / f"x{suffix}", mmap=mmap)
        assert read.shape == shape and read.dtype == x.dtype and np.array_equal(read, x)
    (tmp_path / f"x{suffix}").write_bytes(np.array(shape, "<u8").tobytes() + x.tobytes() + b"!")
    with pytest.raises(ValueError, match=f"for {shape[0]} x {shape[1]}, got|for 0 x 0, got"):
        io.read_vectors(tmp_path / f"x{suffix}")


def test_truth_behind_a_header_of_64_bits(tmp_path, rng):
    ids, distances = rng.integers(0, 2**31, (4, 3)).astype(np.int32), rng.random((4, 3), np.float32)
    for parts in ((ids,), (ids, distances)):
        (tmp_path / "gt").write_bytes(np.array([4, 3], "<u8").tobytes() + b"".join(x.tobytes() for x in parts))
        read = io.read_truth(tmp_path / "gt")
        assert np.array_equal(read.ids, ids)
        assert (read.distances is None) == (len(parts) == 1) or np.array_equal(read.distances, distances)


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
    with pytest.raises(ValueError, match="expected 56 or 104 bytes for 4 x 3, got 100"):
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


@pytest.fixture
def hdf5(tmp_path):
    """hdf5(change): a file, by a function that is given it open, as it is before it is read."""
    h5py = pytest.importorskip("h5py")

    def make(change):
        path = tmp_path / "x.hdf5"
        with h5py.File(path, "w") as file:
            file["train"], file["test"] = np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32)[:2]
            change(h5py, file)
        return path

    return make


def other_train(**how):
    def change(h5py, file):
        del file["train"]
        file.create_dataset("train", **how)

    return change


def linked(h5py, file):
    del file["train"]
    file["train"] = h5py.ExternalLink("/etc/passwd", "x")


def soft(h5py, file):
    del file["train"]
    file["train"] = h5py.SoftLink("/test")


def virtual(h5py, file):
    del file["train"]
    layout = h5py.VirtualLayout((4, 4), "f4")
    layout[:] = h5py.VirtualSource("other.hdf5", "train", (4, 4))
    file.create_virtual_dataset("train", layout)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_train(shape=(40, 4), dtype="u1", external=[("/etc/passwd", 0, 160)]), "kept in other files"),
        (linked, "got a link to /etc/passwd"),
        (soft, "got a link to another place"),
        (virtual, "kept in other files"),
        (other_train(shape=(10**5, 25_000), dtype="f4"), "expected 10000000000 bytes of train"),
        (other_train(shape=(10**5, 25_000), dtype="f4", chunks=(100, 100)), "expected 250000 chunks of train, got 0"),
        (other_train(shape=(4, 4), dtype="f4", maxshape=(None, None), chunks=(4000, 4000)), "expected 1 chunks .*got 0"),
        (other_train(data=np.array([["a", "b"]], "S3")), r"expected train to be numbers \(n, d\)"),
        (other_train(data=np.zeros((3, 4), [("x", "f4")])), r"expected train to be numbers \(n, d\)"),
        (other_train(data=np.zeros(4, "f4")), r"got shape \(4,\) of float32"),
        (other_train(data=np.float32(4)), r"got shape \(\) of float32"),
        (other_train(data=np.zeros((3, 5), "f4")), "expected test of 5 columns, as train has"),
        (lambda h5py, file: file.update(neighbors=np.zeros((3, 2), "i4")), "expected neighbors of 2 rows"),
        (lambda h5py, file: file.update(neighbors=np.zeros((2, 2), "f4")), "expected neighbors to be integers"),
        (lambda h5py, file: file.create_group("distances"), "got a group 'distances'"),
        (lambda h5py, file: file.attrs.update(distance="far"), "expected a distance of .*got 'far'"),
        (lambda h5py, file: file.attrs.update(distance=b"\xff"), "expected a distance of"),
        (lambda h5py, file: file.attrs.update(distance=np.arange(3)), "expected a distance of"),
    ],
)
def test_hdf5_that_holds_other_things_is_refused(change, words, hdf5):
    path = hdf5(change)
    with pytest.raises(ValueError, match=rf"x\.hdf5: .*{words}"):
        io.read_hdf5(path)


@pytest.mark.parametrize(
    "how", [{}, {"chunks": (3, 2)}, {"chunks": (2, 4), "compression": "gzip"}, {"chunks": (4, 4), "shuffle": True}]
)
def test_hdf5_layouts(how, hdf5):
    x = np.arange(28, dtype=np.float32).reshape(7, 4)
    assert np.array_equal(io.read_hdf5(hdf5(other_train(data=x, **how))).train, x)


def test_compressed_hdf5_of_equal_rows(hdf5):
    x = np.ones((4000, 256), np.float32)
    assert np.array_equal(io.read_hdf5(hdf5(other_train(data=np.resize(x, (4000, 4)), compression="gzip"))).train, x[:, :4])


def test_examples():
    for name in {io.read_vectors.__module__, *([io.read_hdf5.__module__] if importlib.util.find_spec("h5py") else [])}:
        result = doctest.testmod(importlib.import_module(name))
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
