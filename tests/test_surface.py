# SPDX-License-Identifier: Apache-2.0
"""What a user sees of the package: dir, help, repr, python -m annkern."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

import annkern as ak


def test_dir_is_the_public_surface():
    assert {name for name in dir(ak) if not name.startswith("__")} == set(ak.__all__)


def test_help_opens_with_what_a_user_calls():
    """Every public name stands in it, and every call that stands in it is one."""
    text = ak.__doc__
    assert [name for name in ak.__all__ if not re.search(rf"\b{name}\b", text)] == []
    for name in re.findall(r"= (\w+)[.(]", text):
        assert name in ak.__all__


REPRS = {
    "LVQ()": ak.LVQ(),
    "LVQ(bits=4, residual_bits=8, n_centroids=16)": ak.LVQ(4, 8, n_centroids=16),
    "PQ(m=8)": ak.PQ(8),
    "PQ(m=8, bits=4, seed=3)": ak.PQ(8, 4, seed=3),
    "OPQ(m=4)": ak.OPQ(4),
    "RaBitQ(bits=2, metric='cosine')": ak.RaBitQ(2, metric="cosine"),
    "ScalarQuantizer(bits=4)": ak.ScalarQuantizer(4),
    "Cast(dtype='f16')": ak.Cast("f16"),
    "BinaryQuantizer(threshold=<array (3,)>)": ak.BinaryQuantizer(threshold=np.zeros(3)),
    "LeanVec(dim=8)": ak.LeanVec(8),
    "KMeans(n_clusters=4)": ak.KMeans(4),
    "KMeans(n_clusters=4, init=<array (4, 2)>, threads=1)": ak.KMeans(4, init=np.zeros((4, 2)), threads=1),
}


@pytest.mark.parametrize("text", REPRS)
def test_repr(text):
    assert repr(REPRS[text]) == text
    if "array" not in text:
        assert repr(eval(f"ak.{text}")) == text


def test_python_m_annkern_says_what_is_here_and_where():
    said = subprocess.check_output([sys.executable, "-m", "annkern"], text=True)
    assert f"annkern {ak.__version__}" in said and str(Path(ak.__file__).parent) in said and sys.executable in said
    assert "_cpu." in said and "ANNKERN_NUM_THREADS=" in said


def test_the_source_distribution_is_small_and_builds(tmp_path):
    build = pytest.importorskip("scikit_build_core.build")
    root = Path(__file__).resolve().parent.parent
    said = subprocess.check_output(
        [sys.executable, "-c", f"import {build.__name__} as b; print(b.build_sdist({str(tmp_path)!r}))"], cwd=root, text=True
    )
    path = tmp_path / said.split()[-1]
    with tarfile.open(path) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers()}
    assert path.stat().st_size < 2e6
    needed = [root / "CMakeLists.txt", root / "LICENSE", root / "README.md", *(root / "cmake").iterdir()]
    needed += [path for path in (root / "csrc").rglob("*") if path.suffix in (".h", ".cpp", ".cu", ".cuh")]
    needed += (root / "python").rglob("*.py*")
    assert {str(path.relative_to(root)) for path in needed if "__pycache__" not in path.parts} <= names
