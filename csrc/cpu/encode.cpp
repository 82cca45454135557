// SPDX-License-Identifier: Apache-2.0
#include "ops/encode.h"

#include <atomic>

#include "core/buffer.h"
#include "core/threads.h"
#include "cpu/ops.h"
#include "cpu/stores.h"
#include "ops/decode.h"
#include "store/float_tiles.h"

namespace annk::ANNK_ISA {
namespace {

constexpr int64_t kRowsATask = 256;

// body(row, scratch) for each row, where scratch is one thread's own.
template <class Body>
void for_each_row(int64_t rows, int64_t scratch_floats, const Exec& where, Body&& body) {
  auto task = [&](int, int64_t t) {
    Buffer<float> scratch(static_cast<size_t>(scratch_floats));
    const int64_t end = std::min(rows, (t + 1) * kRowsATask);
    for (int64_t i = t * kRowsATask; i < end; ++i) body(i, scratch.get());
  };
  parallel_for(where.threads, (rows + kRowsATask - 1) / kRowsATask, where.interrupted, task);
}

}  // namespace

void encode(const EncodeArgs& args) {
  const auto codec = make_codec(args.store);
  const int64_t dims = args.x.dims;
  std::atomic<int64_t> bad{INT64_MAX};
  for_each_row(args.x.rows, dims + codec->scratch_floats, args.exec, [&](int64_t i, float* scratch) {
    widen_query(args.x, i, Term::none, scratch);
    if (row_is_finite(scratch, dims) && codec->encode(scratch, args.first + i, scratch + dims)) return;
    int64_t seen = bad.load();
    while (i < seen && !bad.compare_exchange_weak(seen, i)) {
    }
  });
  *args.bad_row = bad == INT64_MAX ? -1 : bad.load();
}

void decode(const DecodeArgs& args) {
  const auto codec = make_codec(args.store);
  for_each_row(args.count, codec->scratch_floats, args.exec, [&](int64_t i, float* scratch) {
    codec->decode(args.ids != nullptr ? args.ids[i] : i, args.out + i * args.store.dims, scratch);
  });
}

}  // namespace annk::ANNK_ISA
