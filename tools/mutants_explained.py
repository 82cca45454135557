# SPDX-License-Identifier: Apache-2.0
"""Mutants that survive tools/mutate.py and are right to, by file, rule and source line: why nothing can show them."""

EXPLAINED: dict[tuple[str, str, str], str] = {
    ("lvq_codec.cuh", "uninitialised", "uint32_t word = 0;"): "set at the first step, which compilers cannot see",
    ("radix.cuh", "uninitialised", "uint32_t at = 0;"): "only the leader's is read, and the leader sets it",
    (
        "radix.cuh",
        "other lane",
        "const uint32_t common = __shfl_sync(kAllLanes, bin, leader);",
    ): "the bin of any lane will do: lanes that do not share it count for themselves",
    ("screen_tile.cuh", "other lane", "sum += __shfl_xor_sync(kAllLanes, sum, 2);"): "both lanes of a pair hold its sum",
}
