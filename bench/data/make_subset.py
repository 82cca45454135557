# SPDX-License-Identifier: Apache-2.0
"""usage: make_subset.py SOURCE    Writes the files beside this script from the full set of 115,659 glosses in SOURCE.

Keeps 12,000 base rows: the 3 best answers to each kept query, so that questions have answers here too, and the rest at
random. Rows stay in their order. Everything is fixed by the seed.
"""

import sys
from pathlib import Path

import numpy as np

ROWS, QUESTIONS, WORDS, ANSWERS, SEED = 12_000, 1_000, 200, 3, 20


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def write(here, name, vectors, texts, keep):
    np.save(here / f"{name}.f16.npy", np.ascontiguousarray(vectors[keep]))
    (here / f"{name}.txt").write_text("".join(f"{texts[i]}\n" for i in keep), encoding="utf-8")


def main():
    source, here = Path(sys.argv[1]), Path(__file__).parent
    rng = np.random.default_rng(SEED)
    base = np.load(source / "base.f16.npy", mmap_mode="r")
    wanted = []
    for name, count in (("q_id", QUESTIONS), ("q_word", WORDS)):
        vectors = np.load(source / f"{name}.f16.npy")
        keep = np.sort(rng.choice(len(vectors), count, replace=False))
        write(here, name, vectors, lines(source / f"{name}.txt"), keep)
        truth = np.load(source / f"gt_{name.removeprefix('q_')}.npy")
        wanted.append(truth[keep, :ANSWERS].ravel())
    answers = np.unique(np.concatenate(wanted))
    others = np.setdiff1d(np.arange(len(base)), answers)
    rows = np.sort(np.concatenate([answers, rng.choice(others, ROWS - len(answers), replace=False)]))
    write(here, "base", base, lines(source / "base.txt"), rows)
    licence = (source / "LICENSE").read_text(encoding="utf-8").split("\nFiles: debian/")[0]
    (here / "LICENSE").write_text(licence, encoding="utf-8")


if __name__ == "__main__":
    main()
