// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"

namespace annk::cuda {

// Enqueues out[i] = row ids[i] of a compressed store (row first + i where ids is null), in rows of `pitch` floats. Negative
// ids leave their row as it is.
void decode_rows(const Dataset& store, const int64_t* ids, int64_t first, int64_t count, float* out, int64_t pitch,
                 void* stream);

}  // namespace annk::cuda
