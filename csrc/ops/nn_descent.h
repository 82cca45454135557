// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"

namespace annk {

// Computes  a graph of nearest neighbors by descent (Dong et al., WWW 2011), and of it a graph to search (Ootomo et al.,
//           CAGRA, ICDE 2024). A list holds the `width` nearest rows that a row was compared with. Rows form groups, whose
//           members are compared with one another.
//             nn_descent_start  Groups of kLeafRows at most: the rows, in the order of `order`, go to the nearest of its
//                               first few, and these sets are cut again. May be repeated, with another order; `order` is
//                               left with the rows of a group one behind the other.
//             nn_descent_round  A group for each row: the first `sample` of its list that no round has taken yet (new), the
//                               first `sample` of the others, and the nearest `sample` of the rows that have taken this one
//                               as new, and as other. Pairs of two others are left out.
//             nn_descent_prune  Of each list the `degree` entries with the fewest detours: of entries i < j, i is a detour
//                               to j where row i's list holds row j before place j. Then the rows that lead to a row, those
//                               first that have it near the front, take the places behind the first half.
//           reference/nn_descent.py defines them.
// Shapes    base (n, d); order (count,) int32, each row once at most: those that it lacks take no part; lists (n, width)
//           uint64, all ones where empty: sortable_bits(key) << 32 | place << 1 | taken, with the place of core/tie_order.h;
//           neighbors (n, degree) int32, -1 behind each list. n < 2^31. On devices n < 2^31 / sample, and width <= 4096 when
//           pruned.
// Numerics  Keys between rows take one of them, decoded, as a query: as ops/distances.h. The smaller one counts where a pair
//           was compared both ways and its keys differ.
// Order     Lists ascend by (key, place): rows that are equally near come in an order as if by chance, and for each row in
//           another, so that none of them is in all lists, and others in none. What a list becomes is a function of the set
//           of what was offered to it: neither threads nor turns show.
// Cost      A round: up to 6 sample^2 keys a row. Memory beyond the arrays: 24 sample bytes a row in a round, 8 degree bytes
//           in the pruning, and 6 bytes a row. On devices 25 bytes a row in a start, 24 sample + 12 in a round, 8 + 4 degree
//           in the pruning, and up to `batch_bytes`.
// Errors    *bad_row (CPU): the smallest row with NaN or infinity that was read, or -1; the lists then have no meaning.
struct NnDescentArgs {
  Dataset base;
  Metric metric = Metric::sqeuclidean;
  int32_t* order = nullptr;  // of a round: that in which groups are compared, rows near to one another best together
  int64_t count = 0, width = 0, sample = 0, degree = 0;
  uint64_t* lists = nullptr;
  bool empties = false;  // nn_descent_start: the lists are empty, whatever they hold
  int32_t* neighbors = nullptr;
  int64_t* still_new = nullptr;  // how many entries of all lists no round has taken, after this one
  int64_t* bad_row = nullptr;
  Exec exec;
  int64_t batch_bytes = int64_t{256} << 20;  // devices: of what is compared at a time, if that is enough for one group
};

void nn_descent_start(const NnDescentArgs&);
void nn_descent_round(const NnDescentArgs&);
void nn_descent_prune(const NnDescentArgs&);
int64_t nn_descent_start_workspace(const NnDescentArgs&);  // device bytes; 0 on the CPU
int64_t nn_descent_round_workspace(const NnDescentArgs&);
int64_t nn_descent_prune_workspace(const NnDescentArgs&);

}  // namespace annk
