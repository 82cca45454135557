// SPDX-License-Identifier: Apache-2.0
// From a plan to the kernels of its family; rows of a store that has no kernel of its own pass through the workspace.
#include <algorithm>

#include "cuda/codec/decode.h"
#include "cuda/device/device.cuh"
#include "cuda/distance/prepare.h"

namespace annk::cuda {
namespace {

void scan_as_read(const ScanPlan& plan, const ScanArgs& args, void* stream) {
  switch (plan.family) {
    case Family::dot:
      return scan_dot(args, plan.wide, stream);
    case Family::l2:
      return scan_l2(args, plan.wide, stream);
    case Family::step:
      return scan_steps(args, plan.wide, stream);
    case Family::integer:
      return scan_integer(args, plan.wide, stream);
    case Family::bits:
      return scan_bits(args, plan.wide, stream);
    case Family::store:
      return plan.own->scan(args, plan.wide, stream);
  }
}

void decode_some(const ScanArgs& args, const int64_t* ids, int64_t first, int64_t count, void* stream) {
  float* const to = static_cast<float*>(const_cast<void*>(args.base.data));
  decode_rows(args.base, ids, first, count, to, args.base.stride / static_cast<int64_t>(sizeof(float)), stream);
}

// The pairs' rows, whatever their numbers, lie one after the other.
void scan_decoded_pairs(const ScanPlan& plan, const ScanArgs& args, void* stream) {
  for (int64_t done = 0; done < args.pairs; done += plan.decoded_rows) {
    ScanArgs part = args;
    part.ids = args.ids + done;
    part.first_pair = done;
    part.pairs = std::min(plan.decoded_rows, args.pairs - done);
    part.out = static_cast<uint32_t*>(args.out) + done;
    part.gathered = true;
    decode_some(part, part.ids, 0, part.pairs, stream);
    scan_as_read(plan, part, stream);
  }
}

// Rows keep their numbers: the part's base begins where row 0 would lie. Lists go by splits, so that a part is of whole
// ones; the other jobs don't care.
void scan_decoded(const ScanPlan& plan, const ScanArgs& args, void* stream) {
  const bool lists = args.job == Job::select;
  const int64_t splits = lists ? std::max<int64_t>(1, plan.decoded_rows / args.splits.rows_each) : 0;
  const int64_t step = lists ? splits * args.splits.rows_each : plan.decoded_rows;
  for (int64_t row = args.row_begin; row < args.row_end; row += step) {
    ScanArgs part = args;
    part.row_begin = row;
    part.row_end = std::min(args.row_end, row + step);
    const int64_t rows = part.row_end - row, first_split = lists ? (row - args.row_begin) / args.splits.rows_each : 0;
    if (lists) {
      part.splits.count = static_cast<int32_t>((rows + args.splits.rows_each - 1) / args.splits.rows_each);
      part.lists = args.lists + first_split * args.m * args.k;
    } else {
      part.splits = splits_of(plan, args.query_tiles, rows);
      if (args.out != nullptr) part.out = static_cast<uint32_t*>(args.out) + (row - args.row_begin);
    }
    decode_some(args, nullptr, row, rows, stream);
    part.base.data = static_cast<const unsigned char*>(args.base.data) - row * args.base.stride;
    scan_as_read(plan, part, stream);
  }
}

}  // namespace

const StoreScan* store_scan(const Dataset& base, Metric metric) {
  switch (base.kind) {
    case StoreKind::array:
      return nullptr;
#define ANNK_KEYS_own(name) return name##_scan(base, metric);
#define ANNK_KEYS_decoded(name) return nullptr;
#define ANNK_ROW(name, type, on_cpu, on_gpu) \
  case StoreKind::name:                      \
    ANNK_KEYS_##on_gpu(name)
      ANNK_CODED_STORES(ANNK_ROW)
#undef ANNK_ROW
#undef ANNK_KEYS_own
#undef ANNK_KEYS_decoded
  }
  no_kernel("kind of store");
}

void scan(const ScanPlan& plan, const ScanArgs& args, void* stream) {
  if (plan.decoded_rows == 0) return scan_as_read(plan, args, stream);
  const bool pairs = args.job == Job::pairs || args.job == Job::pair_keys;
  pairs ? scan_decoded_pairs(plan, args, stream) : scan_decoded(plan, args, stream);
}

}  // namespace annk::cuda
