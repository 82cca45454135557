# SPDX-License-Identifier: Apache-2.0
"""Runs of the harness over peers that behave and peers that do not, each in a process of its own."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import re
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("matplotlib")

from typer.testing import CliRunner

import bench_peers
from annkern import io
from annkern.bench import checks, cli, curves, datasets, journal
from annkern.bench.peers import PEERS
from annkern.bench.peers.base import Method
from annkern.bench.runner import Listener, Options, Run
from annkern.bench.worker import batch_times

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def peers(monkeypatch, tmp_path):
    """The misbehaving ones are known, also to the workers; nothing is written outside of the test's folder."""
    for name in ("Exact", "Worst", "Raises", "Crashes", "Exits", "Hangs", "Eats"):
        peer = bench_peers.peer(getattr(bench_peers, name))
        monkeypatch.setitem(PEERS, peer.name, peer)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")])))
    monkeypatch.setenv("ANNKERN_CACHE", str(tmp_path / "cache"))


class Quiet(Listener):
    def __init__(self):
        self.said, self.steps, self.all = [], 0, 0

    def say(self, text):
        self.said.append(text)

    def total(self, steps):
        self.all = steps

    def step(self, what, done=0):
        self.steps += done


def run(tmp_path, peers, **options):
    dataset = datasets.prepare("sphere:400x8", datasets.Where(), lambda _: None)
    book, listener = journal.Journal(tmp_path / "r.jsonl"), Quiet()
    fixed = {"repeats": 2, "seconds": 0.001, "only": "*method*", "time_limit": 30}
    Run(dataset, Options(**fixed | {"peers": peers} | options), book, listener).go()
    book.close()
    return book.lines, listener


def test_methods_take_turns(tmp_path):
    lines, listener = run(tmp_path, ["exact", "worst"])
    points = [line for line in lines if line["kind"] == "point"]
    assert len(points) == 2 * 2 * 2 * 2 and listener.steps == listener.all == 18
    assert [line["method"] for line in points[:4]] == ["exact method", "worst method"] * 2
    assert [line["repeat"] for line in points] == sorted(line["repeat"] for line in points)
    assert {line["recall"] for line in points if line["peer"] == "exact"} == {1.0}
    assert max(line["recall"] for line in points if line["peer"] == "worst") < 0.1
    assert all(("latency" in line) == (line["threads"] == 1) for line in points)
    build = next(line for line in lines if line["kind"] == "build")
    assert build["bytes"] == 400 * 8 * 4 and build["seconds"] > 0
    head = lines[0]
    assert head["kind"] == "run" and head["machine"]["isa"] and head["dataset"]["n"] == 400


def test_several_k_share_a_build(tmp_path):
    lines, listener = run(tmp_path, ["exact"], ks=(3, 7))
    points = [line for line in lines if line["kind"] == "point"]
    assert sum(line["kind"] == "build" for line in lines) == 1 and listener.steps == listener.all
    assert {line["k"] for line in points} == {3, 7} and len({line["recall"] for line in points}) == 1
    assert [c.k for c in curves.comparisons(lines)] == [3, 7]


def test_a_stopped_run_goes_on(tmp_path):
    lines, _ = run(tmp_path, ["exact"])
    path = tmp_path / "r.jsonl"
    text = path.read_text().splitlines(keepends=True)
    path.write_text("".join(text[:5]) + text[5][:30])
    again, listener = run(tmp_path, ["exact"])
    assert listener.all == 1 + 8 - 3
    assert sorted(map(journal.same_work, points_of(again))) == sorted(map(journal.same_work, points_of(lines)))
    _, third = run(tmp_path, ["exact"])
    assert third.said == ["nothing is left to measure"]


def points_of(lines):
    return [line for line in lines if line["kind"] == "point"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raises", "RuntimeError: no such index"),
        ("crashes", "ended with signal SIGSEGV: about to crash"),
        ("exits", "ended with status 7"),
        ("hangs", "took more than 1 s"),
        ("eats", "of memory"),
    ],
)
def test_a_peer_that_misbehaves_is_written_down_and_the_run_goes_on(name, words, tmp_path):
    lines, listener = run(
        tmp_path, [name, "exact"], repeats=1, time_limit=1 if name == "hangs" else 30, memory_limit=400 << 20
    )
    (failure,) = [line for line in lines if line["kind"] == "failure"]
    assert words in failure["reason"] and failure["method"] == f"{name} method"
    assert len(points_of(lines)) == 4 and listener.steps == listener.all
    _, again = run(tmp_path, [name, "exact"], repeats=1, time_limit=1 if name == "hangs" else 30)
    assert any("failed before" in text for text in again.said)


def test_a_larger_limit_tries_again_what_a_limit_ended(tmp_path):
    def failures(**options):
        lines, _ = run(tmp_path, ["hangs", "eats"], repeats=1, **options)
        return sorted(line["method"] for line in lines if line["kind"] == "failure")

    assert failures(time_limit=0.5, memory_limit=400 << 20) == ["eats method", "hangs method"]
    assert len(failures(time_limit=0.5, memory_limit=400 << 20)) == 2
    assert failures(time_limit=0.6, memory_limit=401 << 20) == ["eats method"] * 2 + ["hangs method"] * 2


def test_others_keep_still_while_a_lock_is_held(tmp_path):
    lock = tmp_path / "lock"
    with open(lock, "a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        worker = threading.Thread(target=run, args=(tmp_path, ["exact"]), kwargs={"repeats": 1, "locks": [str(lock)]})
        worker.start()
        worker.join(0.8)
        assert worker.is_alive()
    worker.join()
    assert len(points_of(journal.read(tmp_path / "r.jsonl"))) == 4


def test_annkern_itself(tmp_path):
    lines, _ = run(tmp_path, ["none"], only="annkern exact f32; *exact f16", repeats=1)
    assert {line["method"]: line["recall"] >= 0.99 for line in points_of(lines)} == {
        "annkern exact f32": True,
        "annkern exact f16": True,
    }


def test_nothing_but_the_call_is_timed(monkeypatch):
    """By a clock that goes on at every reading, and by a second while the searcher works."""
    now = 0.0

    def clock():
        nonlocal now
        now += 1e-6
        return now

    class Works(bench_peers.Exact):
        def search(self, queries, k):
            nonlocal now
            now += 1
            return np.zeros((len(queries), k), np.int64)

    monkeypatch.setattr("annkern.bench.worker.time.perf_counter", clock)
    times, ids = batch_times(Works("inner_product", 1), np.zeros((5, 2), np.float32), 3, 2.5)
    np.testing.assert_allclose(times, [1 + 1e-6] * 3, rtol=0, atol=1e-9)
    assert ids.shape == (5, 3)


def invoke(*arguments):
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    return result.exit_code, result.output + getattr(result, "stderr", "")


def test_commands(tmp_path):
    out = tmp_path / "r.jsonl"
    common = ("--dataset", "sphere:300x8", "--only", "*e*act*", "--repeats", 1, "--seconds", 0.001)
    status, text = invoke("run", *common, "--peers", "exact", "--out", out)
    assert status == 0 and "exact method" in text and "annkern / best peer" in text
    status, text = invoke("table", out)
    assert status == 0 and "versions: annkern" in text
    assert invoke("table", out, "--markdown")[1].startswith("## sphere:300x8")
    assert invoke("report", out, "--out", tmp_path / "r.html")[0] == 0 and (tmp_path / "r.html").stat().st_size > 10_000
    assert invoke("report", out, "--out", tmp_path / "R.md")[0] == 0 and (tmp_path / "r-plots").is_dir()
    assert invoke("plot", out, "--out", tmp_path / "p")[0] == 0 and len(list((tmp_path / "p").iterdir())) == 4
    assert invoke("report", out, "--out", tmp_path / "new" / "r.html")[0] == 0
    for command, place in (("plot", out), ("plot", out / "p"), ("report", out / "r.md")):
        status, text = invoke(command, out, "--out", place)
        assert status == 2 and "--out: expected a place to write to" in text
    status, text = invoke("run", *common[:2], "--only", "exat*", "--peers", "none", "--out", out)
    assert status == 2 and "--only: no method of these peers is named like 'exat*'" in text
    assert invoke("report", out, "--out", tmp_path / "N.md", "--note", "Mind this.")[0] == 0
    assert (tmp_path / "N.md").read_text().splitlines()[2] == "> Mind this."


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--peers", "hnswlb"), "did you mean hnswlib"),
        (("run", "--dataset", "wordnt"), "did you mean wordnet"),
        (("run", "--dataset", "zzz"), "unknown dataset 'zzz'. Known: glosses"),
        (("run", "--dataset", "wordnet", "--data", "/nowhere"), "/nowhere/base.f16.npy"),
        (("run", "--dataset", "files", "--base", "x.fbin"), "--queries and --metric"),
        (("run", "--dataset", "none.hdf5"), "no such file"),
        (("run", "--dataset", "gaussian:0x0"), "LAW:ROWSxDIMENSIONS"),
        (("run", "--dataset", "sphere:20x4", "-k", "21"), "1 to the 20 rows"),
        (("table", "none.jsonl"), "none.jsonl"),
        (("plot", "none.jsonl", "--out", "p"), "none.jsonl"),
        (("report", "none.jsonl", "--out", "x.pdf"), ".html or .md"),
        (("run", "--time-limit", "0"), "--time-limit: expected a number of more than 0 and at most 604800, got 0"),
        (("run", "--time-limit", "nan"), "--time-limit: expected"),
        (("run", "--memory-limit", "-1"), "--memory-limit: expected a number of at least 0"),
        (("run", "--memory-limit", "inf"), "--memory-limit: expected"),
        (("run", "--seconds", "nan"), "--seconds: expected a number of at least 0 and at most 900, got nan"),
        (("run", "--seconds", "2", "--time-limit", "1"), "--seconds: expected a number of at least 0 and at most 1, got 2"),
        (("run", "--threads", "9" * 400), "--threads: expected a number of at least 1 and at most"),
        (("run", "--repeats", "10000000"), "--repeats: expected a number of at least 1 and at most 1000"),
        (("run", "--lock", "/nowhere/lock"), "--lock: expected a file that can be locked, got"),
        (("run", "--out", "/dev/null"), "--out: expected a regular file, or a place for one to write to, got /dev/null"),
        (("run", "--out", "/dev/null/x"), "--out: expected a place to write to, got"),
        (("run", "--out", "."), "--out: expected a regular file"),
        (("run", "--dataset", "gaussian:99999999999x99999"), "no more than the memory that is free"),
        (("run", "--dataset", "decaying:5x999999"), "no more than the memory that is free"),
        (("run", "--dataset", "files", "--base", "/dev/null", "--queries", "/dev/null", "--metric", "cosine"), "/dev/null"),
    ],
)
def test_bad_input(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, text = invoke(*arguments)
    assert status == 2 and words in text.replace("\n", " ")
    assert not (tmp_path / "p").exists()


def test_a_pipe_as_a_place_for_results_is_refused(tmp_path, monkeypatch):
    """It would be read, for ever, before it is written."""
    os.mkfifo(tmp_path / "pipe")
    status, text = invoke("run", "--dataset", "sphere:20x4", "--out", tmp_path / "pipe")
    assert status == 2 and "--out: expected a regular file" in text
    (tmp_path / "printed").write_text("")
    with open(tmp_path / "printed", "a") as printed:
        monkeypatch.setattr("sys.stderr", printed)
        with pytest.raises(ValueError, match="other than the one that is printed to"):
            checks.output("--out", tmp_path / "printed")


@pytest.mark.parametrize("again", [False, True])
def test_a_run_in_which_every_method_fails_is_an_error(tmp_path, again):
    common = ("run", "--dataset", "sphere:300x8", "--repeats", 1, "--seconds", 0.001, "--out", tmp_path / "r.jsonl")
    for _ in range(1 + again):
        status, text = invoke(*common, "--peers", "raises", "--only", "raises*")
        assert status == 2 and "no method was measured" in text
    assert invoke(*common, "--peers", "exact,raises", "--only", "exact method;raises*")[0] == 0


def test_a_quick_run_names_whom_it_leaves_out(tmp_path, monkeypatch):
    slow = bench_peers.peer(bench_peers.Exact)
    slow = dataclasses.replace(slow, name="slow", methods=lambda shape: [Method("slow", "slow method", {}, quick=False)])
    monkeypatch.setattr("annkern.bench.runner.PEERS", {"annkern": PEERS["annkern"], "slow": slow})
    monkeypatch.setitem(PEERS, "slow", slow)
    dataset, listener = datasets.prepare("sphere:100x8", datasets.Where(), lambda _: None), Quiet()

    def methods(**options):
        book = journal.Journal(tmp_path / "r.jsonl")
        return [job.method.name for job in Run(dataset, Options(quick=True, **options), book, listener).jobs()]

    assert "slow method" not in methods(peers=["all"]) and "slow method" in methods(peers=["slow"])
    assert any("--quick leaves slow out; --peers slow measures it" in text for text in listener.said)
    assert methods(peers=["all"], only="slow*") == ["slow method"]


def test_results_of_an_hdf5_file_make_a_page(tmp_path, rng):
    h5py = pytest.importorskip("h5py")
    (tmp_path / "folder").mkdir()
    with h5py.File(tmp_path / "folder" / "x.hdf5", "w") as file:
        file["train"], file["test"] = rng.standard_normal((120, 6)), rng.standard_normal((9, 6))
        file.attrs["distance"] = "euclidean"
    common = ("--dataset", tmp_path / "folder" / "x.hdf5", "--only", "exact*", "--repeats", 1, "--seconds", 0.001)
    assert invoke("run", *common, "--peers", "exact", "-k", 3, "--out", tmp_path / "r.jsonl")[0] == 0
    assert invoke("report", tmp_path / "r.jsonl", "--out", tmp_path / "R.md")[0] == 0
    assert (
        "(r-plots/x.hdf5-k3-t1.svg)" in (tmp_path / "R.md").read_text() and (tmp_path / "r-plots/x.hdf5-k3-t1.svg").exists()
    )


def test_hdf5_files(tmp_path, rng):
    h5py = pytest.importorskip("h5py")
    x = rng.standard_normal((120, 6), dtype=np.float32)
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["train"], file["test"], file["neighbors"] = x, x[:9], np.argsort(-(x[:9] @ x.T))[:, :20]
        file.attrs["distance"] = "dot"
    said: list[str] = []
    dataset = datasets.prepare(str(tmp_path / "x.hdf5"), datasets.Where(), said.append)
    assert (dataset.n, dataset.d, dataset.m, dataset.metric) == (120, 6, 9, "inner_product")
    assert "recall@20 1.0" in said[-1]
    with h5py.File(tmp_path / "x.hdf5", "r+") as file:
        del file["neighbors"]  # annkern's own are enough
        file.attrs["distance"] = "angular"
    again = datasets.prepare(str(tmp_path / "x.hdf5"), datasets.Where(), said.append)
    assert np.allclose(np.linalg.norm(again.vectors()[0], axis=1), 1, atol=1e-6) and again.truth(5).shape == (9, 100)
    for changed, words in [
        ({"test": x[:0]}, "none of them 0, got (120, 6) and (0, 6)"),
        ({"neighbors": np.zeros(9, int)}, "expected neighbors to be numbers (n, d), got shape (9,)"),
        ({"neighbors": np.zeros((8, 3), int)}, "expected neighbors of 9 rows, as test has, got shape (8, 3)"),
        ({"train/a": x}, "expected arrays, got a group 'train'"),
    ]:
        with h5py.File(tmp_path / "y.hdf5", "w") as file:
            for key, value in ({"train": x, "test": x[:9]} | changed).items():
                if f"{key}/a" not in changed:
                    file[key] = value
        with pytest.raises(ValueError, match=re.escape(words)):
            datasets.prepare(str(tmp_path / "y.hdf5"), datasets.Where(), said.append)


def test_files_and_their_truth(tmp_path, rng):
    x = rng.standard_normal((90, 5), dtype=np.float32)
    io.write_vectors(tmp_path / "b.fbin", x)
    io.write_vectors(tmp_path / "q.fvecs", x[:8])
    io.write_truth(tmp_path / "gt.bin", np.argsort(((x[:8, None] - x) ** 2).sum(2), axis=1)[:, :10])
    where = datasets.Where(
        base=tmp_path / "b.fbin", queries=tmp_path / "q.fvecs", truth=tmp_path / "gt.bin", metric="sqeuclidean"
    )
    said: list[str] = []
    assert datasets.prepare("files", where, said.append).n == 90 and "recall@10 1.0" in said[-1]
    folders = list((tmp_path / "cache").iterdir())
    assert len(folders) == 1 and not folders[0].name.startswith(".")
    x[0, 0] = np.nan
    io.write_vectors(tmp_path / "b.fbin", x)
    with pytest.raises(datasets.DatasetError, match="NaN"):
        datasets.prepare("files", where, said.append)
    assert list((tmp_path / "cache").iterdir()) == folders


def test_glosses_are_read_without_their_examples(tmp_path):
    sys.path.insert(0, str(HERE.parent / "bench" / "data"))
    import make_wordnet

    rows = {
        "noun": "  1 licence\n00001740 03 n 01 entity 0 003 ~ 00001930 n 0000 | that which is; or was  \n",
        "verb": '00306298 30 v 03 blow_up 0 explode 4 000 | burst as from; release;"the bomb"; "a \'cock"  \n',
        "adj": "00020103 00 s 02 used_to(p) 0 remote 0 000 | sparsely populated;  \n",
        "adv": "",
    }
    for part, text in rows.items():
        (tmp_path / f"data.{part}").write_text(text, encoding="latin-1")
    assert make_wordnet.synsets(tmp_path) == [
        ("entity", "that which is; or was"),
        ("blow up", "burst as from; release"),
        ("used to", "sparsely populated;"),
    ]


def test_the_shipped_set():
    dataset = datasets.prepare("glosses-word", datasets.Where(), lambda _: None)
    assert (dataset.n, dataset.d, dataset.m) == (12_000, 384, 200) and dataset.out_of_distribution
    assert json.loads((dataset.folder / "about.json").read_text())["metric"] == "inner_product"
