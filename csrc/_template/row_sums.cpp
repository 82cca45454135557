// SPDX-License-Identifier: Apache-2.0
#include "_template/row_sums.h"

#include "core/threads.h"

// Compiled once for each instruction set: everything lies in its namespace, nothing runs at load time, and no std algorithm
// is instantiated over plain types (tests/test_architecture.py reads the symbols). dispatch.cpp chooses.
namespace annk::ANNK_ISA {
namespace {

constexpr int64_t kRowsATask = 256;  // 400 KB at 384 dimensions: enough work to hide the cost of taking a task

}  // namespace

void row_sums(const RowSumsArgs& args) {
  const Matrix& x = args.x;
  auto sum_rows = [&](int, int64_t task) {
    for (int64_t i = task * kRowsATask; i < x.rows && i < (task + 1) * kRowsATask; ++i) {
      const float* row = reinterpret_cast<const float*>(x.row(i));
      float sum = 0.0f;
      for (int64_t j = 0; j < x.dims; ++j) sum += row[j];
      args.sums[i] = sum;
    }
  };
  parallel_for(args.exec.threads, (x.rows + kRowsATask - 1) / kRowsATask, args.exec.interrupted, sum_rows);
}

}  // namespace annk::ANNK_ISA
