// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "ops/knn.h"

namespace annk::cuda {

// knn where the base comes in blocks: a search of the block alone, merged with what earlier blocks left in the outputs.
void knn_block(const KnnArgs&);
int64_t knn_block_workspace(const KnnArgs&);

}  // namespace annk::cuda
