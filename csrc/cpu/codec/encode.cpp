// SPDX-License-Identifier: Apache-2.0
#include "ops/encode.h"

#include <atomic>

#include "core/buffer.h"
#include "core/threads.h"
#include "cpu/codec/codec.h"
#include "cpu/ops.h"
#include "cpu/simd/elements.h"
#include "cpu/simd/pack.h"
#include "ops/decode.h"

namespace annk::ANNK_ISA {
namespace {

constexpr int64_t kRowsATask = 256;
constexpr int64_t kRowsAhead = 2;  // a row takes longer than hardware prefetches ahead

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
  const int64_t together = codec->rows_together, start = args.first / kRowsATask * kRowsATask;
  const int64_t end = args.first + args.x.rows;
  std::atomic<int64_t> bad{INT64_MAX};
  auto note_bad_row = [&](int64_t i) {
    int64_t seen = bad.load();
    while (i < seen && !bad.compare_exchange_weak(seen, i)) {
    }
  };
  // Tasks begin at multiples of kRowsATask in the store, so that rows which share bytes are in one.
  auto task = [&](int, int64_t t) {
    Buffer<float> scratch(static_cast<size_t>(together * dims + codec->scratch_floats));
    const int64_t last = std::min(end, start + (t + 1) * kRowsATask);
    for (int64_t i = std::max(args.first, start + t * kRowsATask), next; i < last; i = next) {
      next = std::min(last, i / together * together + together);
      const int count = static_cast<int>(next - i);
      int fit = 0;
      for (; fit < count; ++fit) {
        fetch_rows(args.x, i - args.first + fit + kRowsAhead, 1);
        widen_query(args.x, i - args.first + fit, Term::none, scratch.get() + fit * dims);
        if (!row_is_finite(scratch.get() + fit * dims, dims)) break;
      }
      const int held = fit < count ? fit : codec->encode_rows(scratch.get(), count, i, scratch.get() + together * dims);
      if (held < count) note_bad_row(i - args.first + held);
    }
  };
  parallel_for(args.exec.threads, (end - start + kRowsATask - 1) / kRowsATask, args.exec.interrupted, task);
  *args.bad_row = bad == INT64_MAX ? -1 : bad.load();
}

void decode(const DecodeArgs& args) {
  const auto codec = make_codec(args.store);
  for_each_row(args.count, codec->scratch_floats, args.exec, [&](int64_t i, float* scratch) {
    codec->decode(args.ids != nullptr ? args.ids[i] : i, args.out + i * args.store.dims, scratch);
  });
}

}  // namespace annk::ANNK_ISA
