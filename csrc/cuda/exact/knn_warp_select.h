// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "ops/knn.h"

namespace annk::cuda {

// knn for k up to kListMax. `screened`: tensor cores find the few rows of a query that can be its neighbours (prefilter.h),
// if can_screen() says that they can. The results are the same.
void knn_by_lists(const KnnArgs&, bool screened);
int64_t knn_by_lists_workspace(const KnnArgs&, bool screened);

}  // namespace annk::cuda
