# SPDX-License-Identifier: Apache-2.0
"""annkern-bench: annkern beside its peers on the same vectors, in the same run. Needs ``pip install '.[bench]'``.

    cli.py          run | plot | table | report | peers
      |
    runner.py       builds methods, lets them take turns, writes a line for each measurement
      |       \\
    process.py     datasets.py  synthetic.py  truth.py      vectors and exact neighbours, cached on disk
      |            recall.py                                hits, ties at the k-th distance among them
    worker.py      one method in a process of its own: build, measure
      |
    peers/         one file a library

    journal.py      the JSON lines, and what a stopped run left
    curves.py       lines -> points -> Pareto fronts -> queries per second at a recall
    draw.py  page.py  machine.py
"""
