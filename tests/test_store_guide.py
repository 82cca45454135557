# SPDX-License-Identifier: Apache-2.0
"""docs/stores.md has a row for every store that bench/store_guide.py measures, and the command makes page and picture."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from annkern.stores.registry import RULES, codec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))
import store_guide  # noqa: E402


def test_the_page_knows_every_store():
    text = store_guide.PAGE.read_text()
    table = text[text.index(store_guide.MARKS[0]) :]
    for spec in store_guide.STORES:
        assert f"| `{spec}` |" in table, f"{spec}: python bench/store_guide.py --write"
    assert store_guide.PICTURE.exists()
    for _, _, examples, _ in RULES:
        for spec in examples:
            made = codec(spec, "cosine").fit(np.eye(24, dtype=np.float32))
            store = made.encode(np.ones((2, 24), np.float32) if spec not in ("i8", "u8") else np.ones((2, 24), np.uint8))
            for level in (store, store.primary, store.secondary):
                for name in level.arrays if level else ():
                    assert re.search(rf"^\|.*`{name}`.* \|.*\|.*\|", text, re.MULTILINE), f"{spec}: {name}"
                for name in level.numbers if level else ():
                    assert name in text, f"{spec}: {name}"


def test_the_command(monkeypatch, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    for name, count in (("base", 500), ("q_id", 60)):
        np.save(tmp_path / f"{name}.f16.npy", rng.standard_normal((count, 96)).astype(np.float16))
    (tmp_path / "page.md").write_text("before\n" + "old\n".join(store_guide.MARKS) + "behind\n")
    monkeypatch.setattr(store_guide, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(store_guide, "PICTURE", tmp_path / "plots" / "stores.png")
    arguments = ["--data", str(tmp_path), "--seconds", "0.001", "--only", "f32;lvq4x8;LVQ(4, 0, 64)", "--write"]
    monkeypatch.setattr(sys, "argv", ["store_guide.py", *arguments])
    store_guide.main(store_guide.parse())
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("before\n") and page.endswith("behind\n") and "old" not in page
    rows = re.findall(r"^\| `(.*?)`(.*?) \| .* \| .* \| (.*?) \| ", page, re.MULTILINE)
    assert [row[:2] for row in rows] == [("f32", ""), ("lvq4x8", ", first level"), ("lvq4x8", ""), ("LVQ(4, 0, 64)", "")]
    assert "| `f32` | 384 | 384 | 1.000 | 1.000 |" in page and page.strip() and "| `f32` |" in capsys.readouterr().out
    assert (tmp_path / "plots" / "stores.png").read_bytes().startswith(b"\x89PNG")
