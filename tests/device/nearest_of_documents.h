// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"

namespace check {

// nearest[q, j] = the smallest sortable_bits(key), under sqeuclidean, of rows [j * rows_each, (j + 1) * rows_each).
void nearest_of_documents(const annk::Matrix& queries, const annk::Matrix& base, int64_t rows_each, uint32_t* nearest);

}  // namespace check
