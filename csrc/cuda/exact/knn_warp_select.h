// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "ops/knn.h"

namespace annk::cuda {

// knn for k up to kListMax. `prefiltered`: tensor cores find the few rows of a query that can be its neighbors
// (prefilter.h), if can_prefilter() says that they can. The results are the same.
void knn_warp_select(const KnnArgs&, bool prefiltered);
int64_t knn_warp_select_workspace(const KnnArgs&, bool prefiltered);

}  // namespace annk::cuda
