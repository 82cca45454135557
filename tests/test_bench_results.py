# SPDX-License-Identifier: Apache-2.0
"""What the harness makes of numbers: recall, lines, fronts, tables, pages."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("matplotlib")

import annkern as ak
from annkern.bench import curves, journal, page, synthetic, tables
from annkern.bench.recall import Judge


@pytest.fixture
def vectors(rng):
    base = rng.standard_normal((300, 12), dtype=np.float32)
    base[150:200] = base[100:150]  # ties
    return base, base[:40] + np.float32(0.1)


@pytest.mark.parametrize("metric", ["sqeuclidean", "inner_product"])
def test_recall_counts_ties(vectors, metric):
    base, queries = vectors
    truth = ak.knn(base, queries, 20, metric)[1]
    judge = Judge(base, queries, truth, 10, metric)
    assert judge.recall(truth) == 1
    twin = np.arange(len(base))
    twin[100:150], twin[150:200] = np.arange(150, 200), np.arange(100, 150)
    swapped = np.where(np.isin(twin[truth[:, :10]], truth[:, :10]), truth[:, :10], twin[truth[:, :10]])
    assert judge.recall(swapped) == 1  # a twin is as near
    assert judge.recall(truth[:, 10:]) < 0.2
    assert judge.recall(truth[:, :5]) == 0.5
    assert judge.recall(np.repeat(truth[:, :1], 10, axis=1)) == pytest.approx(0.1)  # the same id again is no hit
    assert judge.recall(np.full((40, 10), -1)) == 0
    assert judge.recall(np.full((40, 10), 10**9)) == 0
    assert judge.recall(truth[:7, :10]) == 1  # the first queries alone


def test_recall_agrees_with_sets_where_no_ties_are(rng):
    base, queries = rng.standard_normal((500, 8), dtype=np.float32), rng.standard_normal((50, 8), dtype=np.float32)
    truth = ak.knn(base, queries, 10)[1]
    found = ak.knn(base[:400], queries, 10)[1]
    expected = np.mean([len(np.intersect1d(a, b)) for a, b in zip(truth, found, strict=True)]) / 10
    assert Judge(base, queries, truth, 10, "sqeuclidean").recall(found) == pytest.approx(expected)


def test_half_a_line_is_left_out_and_said(tmp_path):
    path = tmp_path / "r.jsonl"
    whole = json.dumps({"kind": "skip", "peer": "x", "reason": "y"})
    path.write_text(f"{whole}\n{whole[:20]}")
    said: list[str] = []
    book = journal.Journal(path, said.append)
    assert len(book.lines) == 1 and "half a line" in said[0]
    book.add("skip", peer="z", reason="w")
    book.close()
    assert [line["peer"] for line in journal.read(path, said.append)] == ["x", "z"] and len(said) == 1


def test_a_line_without_its_end_is_kept(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps({"kind": "skip", "peer": "x", "reason": "y"}))
    book = journal.Journal(path)
    book.add("skip", peer="z", reason="w")
    book.close()
    assert len(journal.read(path)) == 2


@pytest.mark.parametrize("text", ["no json\n{}\n", '{"kind": "poem"}\n', "[1]\n"])
def test_foreign_files_are_refused_and_left_alone(text, tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text(text)
    with pytest.raises(journal.JournalError, match=r"r\.jsonl:1: expected a line"):
        journal.Journal(path)
    assert path.read_text() == text


@pytest.mark.parametrize("field", ["method", "setting", "recall"])
def test_a_line_that_lacks_a_field_is_named(field, tmp_path):
    path = tmp_path / "r.jsonl"
    line = point("a", 0.5, 100.0)
    del line[field]
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(journal.JournalError, match=rf"r\.jsonl:1: expected {field} in a line of kind point"):
        journal.read(path)


def point(method, recall, qps, repeat=0, threads=2, **more):
    fixed = {"kind": "point", "machine": "m", "dataset": "set", "n": 100, "d": 4, "k": 10, "version": "1"}
    fields = {"peer": method.split()[0], "method": method, "setting": {"w": recall}, "threads": threads, "repeat": repeat}
    return fixed | fields | {"recall": recall, "seconds": 10 / qps, "queries": 10} | more


FACTS = {"name": "set", "metric": "sqeuclidean", "n": 100, "d": 4, "m": 10, "about": "a <set>", "out_of_distribution": True}
MACHINE = {"id": "m", "cpu": "c", "isa": "i", "threads": 2, "python": "3", "annkern": "1", "command": "annkern-bench run"}
LINES = [
    {"kind": "run", "run": "m-1", "machine": MACHINE, "dataset": FACTS, "options": {}},
    {"kind": "skip", "peer": "q", "reason": "q is not installed"},
    point("peer a", 0.8, 1000, latency={"p50": 0.002, "p95": 0.003, "p99": 0.004}),
    point("peer a", 0.8, 800, repeat=1, latency={"p50": 0.001, "p95": 0.004, "p99": 0.005}),
    point("peer a", 1.0, 10),
    point("peer a", 0.7, 500),  # not on the front
    point("annkern b", 0.97, 400),
    {"kind": "failure", "machine": "m", "dataset": "set", "n": 100, "method": "peer z", "version": "1", "stage": "build"}
    | {"reason": "signal SIGILL"},
]


def test_fronts_and_interpolation():
    (found,) = curves.comparisons(LINES)
    a, b = found.curves
    assert [p.recall for p in a.front(2)] == [0.8, 1.0]
    assert a.points[0].qps == pytest.approx(1000) and a.points[0].spread == pytest.approx(0.25)
    assert a.points[0].latency == {"p50": 0.001, "p95": 0.003, "p99": 0.004}
    assert a.qps_at(0.9, 2) == pytest.approx(100)  # half the way on a logarithmic scale
    assert a.qps_at(0.5, 2) == pytest.approx(1000) and a.qps_at(1.0, 2) == pytest.approx(10)
    assert b.qps_at(0.95, 2) == pytest.approx(400) and b.qps_at(0.99, 2) is None
    assert found.ratio(0.99, 2) is None


def test_settings_are_chosen_by_one_half_of_the_queries_and_reported_on_the_other():
    halves = [("w 1", 0.95, 0.90, 100), ("w 2", 0.90, 0.99, 90), ("w 3", 0.99, 0.97, 50)]
    points = [
        point("peer a", 0.5, qps, setting={"w": name}, recall_chosen=chosen, recall_held_out=held)
        for name, chosen, held, qps in halves
    ]
    (found,) = curves.comparisons([LINES[0], *points])
    # w 2 is worse than w 1 by the first half, so nobody would have chosen it: that it is best by the other half is luck.
    assert [p.setting["w"] for p in found.curves[0].front(2)] == ["w 1", "w 3"]
    assert [p.recall for p in found.curves[0].front(2)] == [0.90, 0.97]


def test_recalls_of_both_halves(vectors):
    base, queries = vectors
    truth = ak.knn(base, queries, 20)[1]
    judge = Judge(base, queries, truth, 10, "sqeuclidean")
    wrong = truth[:, :10].copy()
    wrong[::2] = -1
    assert judge.recalls(wrong) == {"recall": 0.5, "recall_chosen": 0.0, "recall_held_out": 1.0}
    assert judge.recalls(truth[:1, :10]) == {"recall": 1.0, "recall_chosen": 1.0, "recall_held_out": 1.0}


def test_ratios_never_favour_annkern():
    """annkern's least recall is 0.97 and the peer is read at 0.9; a peer's least recall is where both are read."""

    def ratio(*points):
        lines = [line for line in LINES if line["kind"] != "point"] + [point(*each) for each in points]
        return tables.compared(curves.comparisons(lines)[0].ratio(0.9, 2), 0.9)

    assert tables.compared(curves.comparisons(LINES)[0].ratio(0.9, 2), 0.9) == "at least 4.00x (peer a)"
    assert ratio(("peer a", 0.96, 1000), ("annkern b", 0.9, 4000), ("annkern b", 0.96, 2000)) == "2.00x at 0.960 (peer a)"
    assert ratio(("peer a", 0.96, 1000), ("annkern b", 1.0, 4000)) == "at least 4.00x at 0.960 (peer a)"
    assert ratio(("peer a", 1.0, 1000), ("annkern b", 0.91, 4000)) == "at most 4.00x at 1.000 (peer a)"
    assert ratio(("peer a", 0.904, 1000), ("annkern b", 0.908, 4000)) == "4.00x (peer a)"
    slow = ("peer a", 0.9, 1000), ("peer a", 0.99, 10), ("annkern graph", 0.9, 3000), ("annkern exact", 1.0, 4000)
    assert ratio(*slow) == "at least 4.00x (peer a)"  # not 400x, at 0.99 or above


def test_a_method_that_was_measured_after_it_failed_did_not_fail():
    assert len(curves.comparisons(LINES)[0].failures) == 1
    assert not curves.comparisons([*LINES, point("peer z", 0.9, 5)])[0].failures


def test_a_newer_version_takes_the_place_of_the_older():
    newer = point("annkern b", 0.97, 100, version="2")
    curve = curves.comparisons([*LINES, newer])[0].curves[1]
    assert curve.version == "2" and curve.qps_at(0.95, 2) == pytest.approx(100)


def test_tables_and_pages(tmp_path):
    found = curves.comparisons(LINES)
    rows = tables.rows(found[0], 2)
    assert [row[0] for row in rows] == ["annkern b", "peer a", "annkern / best peer"]
    assert rows[0][1:5] == ("400 at 0.970", "400 at 0.970", "-", "0.9700") and rows[1][1:3] == ("100", "31.6")
    assert rows[2][1:4] == ("at least 4.00x (peer a)", "at least 12.65x (peer a)", "-")
    text = page.as_html(found, ["annkern-bench run"])
    assert text.count("<svg") == 1 and "a &lt;set&gt;" in text and "signal SIGILL" in text and "q is not installed" in text
    assert "http" not in text.split("</style>")[1].replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ).replace("https://matplotlib.org", "")
    markdown = page.as_markdown(found, [], tmp_path / "plots", tmp_path)
    assert "(plots/set-k10-t2.svg)" in markdown and (tmp_path / "plots/set-k10-t2.svg").exists()
    assert page.as_markdown(found, [], tmp_path / "plots", tmp_path) == markdown


def test_the_page_says_what_a_reader_needs_to_judge_and_to_measure_again():
    state = {"date": "2026-11-29 08:00", "load": 0.25, "memory_free_gib": 20.5}
    machine = MACHINE | {"memory_gib": 23.5, "processors": 2}
    build = {"kind": "build", "machine": "m", "dataset": "set", "n": 100, "method": "annkern b", "version": "1"}
    build |= {"seconds": 1.0, "peak": 1, "bytes": 1, "params": {"index": "graph64,f32"}}
    lines = [LINES[0] | {"machine": machine} | state, *LINES[1:], build]
    lines += [point("annkern b", 0.97, 200, repeat=1), point("annkern dominated", 0.9, 3), point("peer low", 0.3, 10**6)]
    found = curves.comparisons(lines)
    text = page.as_html(found, ["annkern-bench run"], "Mind this.")
    for words in (
        "<b>Mind this.</b>",
        "run of 2026-11-29 08:00 UTC: load 0.25 on 2 processors before it, 20.5 GiB free",
        "23.5 GiB of memory",
        "1 to 2 repeats of each point",
        "annkern dominated (another of annkern has more of both everywhere)",
        "peer low (recall below 0.7)",
        'title="spread above 50%">100% (!)</td>',
        "--dataset set -k 10 --threads 2 --peers PEER --only METHOD",
        "<td>index graph64,f32</td><td>2</td><td>w 0.97</td><td>0.9700</td><td>400</td><td>2</td><td>100%</td><td>10</td>",
        'name="viewport"',
    ):
        assert words in text, words
    assert "not recorded" not in text and "100% (!)" in page.as_html(curves.comparisons(lines), [])


def test_files_of_sets_with_like_names_stay_apart(tmp_path):
    """Paths of HDF5 files, and machines, whose files would have one name."""
    lines = []
    for name, machine in (("/a/b/x.hdf5", "m"), ("c/x.hdf5", "m"), ("c/x.hdf5", "w")):
        run = LINES[0] | {"machine": MACHINE | {"id": machine}, "dataset": FACTS | {"name": name}}
        lines += [run, point("peer a", 0.9, 10, dataset=name, machine=machine)]
    found = curves.comparisons(lines)
    assert curves.stems(found) == ["x.hdf5-k10", "x.hdf5-k10~2", "x.hdf5-k10~3"] and found[0].title.startswith("x.hdf5, ")
    text = page.as_markdown(found, [], tmp_path / "other" / "plots", tmp_path / "beside")
    assert "(../other/plots/x.hdf5-k10~2-t2.svg)" in text and len(list((tmp_path / "other" / "plots").iterdir())) == 3


@pytest.mark.parametrize("law", synthetic.LAWS)
def test_laws(law):
    base, queries, metric, _ = synthetic.draw(f"{law}:500x16")
    again = synthetic.draw(f"{law}:500x16")
    assert base.shape == (500, 16) and queries.shape == (1000, 16) and base.dtype == np.float32
    assert np.array_equal(base, again[0]) and metric in ("sqeuclidean", "inner_product")


def test_laws_are_what_they_say():
    assert synthetic.draw("gaussian:4000x8")[0].std() == pytest.approx(1, abs=0.02)
    assert synthetic.draw("uniform:4000x8")[0].mean() == pytest.approx(0.5, abs=0.02)
    assert np.allclose(np.linalg.norm(synthetic.draw("sphere:400x8")[0], axis=1), 1, atol=1e-5)
    spectrum = np.linalg.svd(synthetic.draw("lowrank:400x32")[0], compute_uv=False)
    assert spectrum[3] > 20 * spectrum[4]
    with pytest.raises(ValueError, match="LAW:ROWSxDIMENSIONS"):
        synthetic.draw("gauss:5x5")
