// SPDX-License-Identifier: Apache-2.0
#include "ops/first_nonfinite.h"

#include <atomic>

#include "core/threads.h"
#include "cpu/ops.h"
#include "cpu/simd/elements.h"

namespace annk::ANNK_ISA {
namespace {

constexpr int64_t kRowsATask = 4096;

}  // namespace

void first_nonfinite(const FirstNonfiniteArgs& args) {
  const Matrix& x = args.x;
  *args.row = -1;
  if (x.dtype != DType::f32 && x.dtype != DType::f16 && x.dtype != DType::bf16) return;
  std::atomic<int64_t> first{INT64_MAX};
  auto scan = [&](int, int64_t task) {
    const int64_t end = std::min(x.rows, (task + 1) * kRowsATask);
    for (int64_t i = task * kRowsATask; i < end && i < first.load(std::memory_order_relaxed); ++i) {
      if (visit_elements(x.dtype, x.row(i), [&](auto row) { return row_is_finite(row, x.dims); })) continue;
      int64_t seen = first.load();
      while (i < seen && !first.compare_exchange_weak(seen, i)) {
      }
      return;
    }
  };
  parallel_for(args.exec.threads, (x.rows + kRowsATask - 1) / kRowsATask, args.exec.interrupted, scan);
  if (first != INT64_MAX) *args.row = first;
}

}  // namespace annk::ANNK_ISA
