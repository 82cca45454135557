# SPDX-License-Identifier: Apache-2.0
"""Mutants that survive tools/mutate.py and are right to, by file, rule and source line: why nothing can show them."""

EXPLAINED: dict[tuple[str, str, str], str] = {
    ("lvq_codec.cuh", "uninitialised", "uint32_t word = 0;"): "set at the first step, which compilers cannot see",
    ("screen_tile.cuh", "other lane", "sum += __shfl_xor_sync(kAllLanes, sum, 2);"): "both lanes of a pair hold its sum",
}
