// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "ops/knn.h"

namespace annk::cuda {

// knn for any k: the keys of a chunk of base rows wait in the workspace, and the k best of them and of what earlier chunks
// left are selected by radix.
void knn_radix(const KnnArgs&);
int64_t knn_radix_workspace(const KnnArgs&);

}  // namespace annk::cuda
