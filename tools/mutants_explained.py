# SPDX-License-Identifier: Apache-2.0
"""Mutants that survive tools/mutate.py and are right to, by file, rule and source line: why nothing can show them."""

ALWAYS_SET = "set on every way to its use, which compilers cannot see"
AHEAD = "a worse choice of the rows that are looked at ahead: more rounds, the same result"
OF_A_SET = "only of rows that are in a set, which sets it"
PADDING = "of queries that are not there, or of codes that do not use it; cleared for memory checkers"

EXPLAINED: dict[tuple[str, str, str], str] = {
    ("lvq_codec.cuh", "uninitialised", "int nearest = 0;"): ALWAYS_SET,
    ("lvq_codec.cuh", "uninitialised", "uint32_t word = 0;"): ALWAYS_SET,
    (
        "new_edges.cu",
        "index + 1",
        "if (row < lists.rows && lists.states[row].length > degree) rows[atomicAdd(cursor, 1ull)] = row;",
    ): "the last batch's lists are never that long, so that one place is to spare, and the first then holds none",
    ("nn_leaves.cu", "uninitialised", "int rank = 0;"): OF_A_SET,
    ("nn_leaves.cu", "uninitialised", "int sum = 0, rank = 0;"): OF_A_SET,
    ("nn_leaves.cu", "uninitialised", "unsigned of_mine = 0;"): ALWAYS_SET,
    ("pairs.cuh", "uninitialised", "uint32_t made = kNoKey;"): ALWAYS_SET,
    (
        "radix.cuh",
        "other lane",
        "const uint32_t common = __shfl_sync(kAllLanes, bin, leader);",
    ): "the bin of any lane will do: lanes that do not share it count for themselves",
    ("radix.cuh", "uninitialised", "uint32_t at = 0;"): "only the leader's is read, and the leader sets it",
    ("row_queries.cu", "delete memset", '"clearing the workspace");'): PADDING,
    ("scan.cuh", "uninitialised", "bool any = false;"): "looks closer at a query without need, and keeps the same rows",
    ("scan_lvq.cu", "other lane", "const float shift = __shfl_sync(kAllLanes, sum, 0);"): "all lanes of a half hold its sum",
    ("scan_pq.cu", "delete initial store", "a.rows[to] = 0;"): PADDING,
    ("scan_pq.cu", "delete initial store", "if (team.lane == 0) *term = {};"): PADDING,
    ("scan_rabitq.cu", "delete initial store", "if (team.lane == 0) *term = {};"): PADDING,
    ("scan_rabitq.cu", "delete initial store", "team.each(a.pitch, [&](int64_t at) { to[at] = 0; });"): PADDING,
    ("prefilter_tile.cuh", "other lane", "sum += __shfl_xor_sync(kAllLanes, sum, 2);"): "both lanes of a pair hold its sum",
    ("select_k.cu", "uninitialised", "bool any = false;"): "looks closer without need, and keeps the same candidates",
    ("multi_block_search.cuh", "delete initial store", "if ((empty >> lane & 1u) != 0) chosen = kNoKeyId;"): AHEAD,
    (
        "multi_block_search.cuh",
        "other lane",
        "const KeyId theirs = __shfl_sync(kAllLanes, chosen, slot), asked = __shfl_sync(kAllLanes, wanted, slot);",
    ): AHEAD,
    (
        "warp_select.cuh",
        "uninitialised",
        "KeyId before = 0;  // what stands before this lane's entry, if anything does",
    ): "of lane 0 alone, which does not ask for it",
}
