// SPDX-License-Identifier: Apache-2.0
// From a plan to the kernels of its family; rows of a store that has no kernel of its own pass through the workspace.
#include <algorithm>

#include "cuda/codec/decode.h"
#include "cuda/device/device.cuh"
#include "cuda/distance/prepare.h"

namespace annk::cuda {
namespace {

const ScanKernels& kernels_of(const ScanPlan& plan) {
  switch (plan.family) {
    case Family::dot:
      return dot_kernels;
    case Family::l2:
      return l2_kernels;
    case Family::step:
      return step_kernels;
    case Family::integer:
      return integer_kernels;
    case Family::bits:
      return bit_kernels;
    case Family::store:
      return plan.store->kernels;
  }
  no_kernel("family");
}

void decode_some(const ScanArgs& args, const int64_t* ids, int64_t first, int64_t count, void* stream) {
  float* const to = static_cast<float*>(const_cast<void*>(args.base.data));
  decode_rows(args.base, ids, first, count, to, args.base.stride / static_cast<int64_t>(sizeof(float)), stream);
}

// A scan in parts, of which each is decoded in turn. Rows keep their numbers: a part's base begins where row 0 would lie.
template <class E>
void scan_decoded(const ScanPlan& plan, const ScanArgs& args, const E& epilogue, void* stream) {
  const int64_t each = args.splits.rows_each;
  const int64_t step = E::kBySplits ? std::max<int64_t>(1, plan.decoded_rows / each) * each : plan.decoded_rows;
  for (int64_t row = args.row_begin; row < args.row_end; row += step) {
    ScanArgs part = args;
    part.row_begin = row;
    part.row_end = std::min(args.row_end, row + step);
    const int64_t rows = part.row_end - row, before = row - args.row_begin;
    part.splits =
        E::kBySplits ? Splits{each, static_cast<int32_t>(ceil_div(rows, each))} : splits_of(plan, args.query_tiles, rows);
    decode_some(args, nullptr, row, rows, stream);
    part.base.data = static_cast<const unsigned char*>(args.base.data) - row * args.base.stride;
    kernels_of(plan).scan(part, epilogue.part(args, before, before / each), plan.wide, stream);
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

void scan(const ScanPlan& plan, const ScanArgs& args, const AnyEpilogue& any, void* stream) {
  if (plan.decoded_rows == 0) return kernels_of(plan).scan(args, any, plan.wide, stream);
  std::visit([&](const auto& epilogue) { scan_decoded(plan, args, epilogue, stream); }, any);
}

void scan_pairs(const ScanPlan& plan, const PairArgs& args, void* stream) {
  if (plan.decoded_rows == 0) return kernels_of(plan).pairs(args, stream);
  // The rows, whatever their numbers, lie one after the other.
  for (int64_t done = 0; done < args.pairs; done += plan.decoded_rows) {
    PairArgs part = args;
    part.ids = args.ids + done;
    part.first_pair = done;
    part.pairs = std::min(plan.decoded_rows, args.pairs - done);
    part.out = args.out + done;
    part.gathered = true;
    decode_some(args.scan, part.ids, 0, part.pairs, stream);
    kernels_of(plan).pairs(part, stream);
  }
}

}  // namespace annk::cuda
