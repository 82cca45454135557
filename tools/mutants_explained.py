# SPDX-License-Identifier: Apache-2.0
"""Mutants that tools/mutate.py cannot see and that are right to survive, by file, rule and source line: why nothing shows them."""

EXPLAINED: dict[tuple[str, str, str], str] = {
    ("screen_tile.cuh", "other lane", "sum += __shfl_xor_sync(kAllLanes, sum, 2);"): "both lanes of a pair hold its sum",
}
