// SPDX-License-Identifier: Apache-2.0
#include "cuda/distance/arith.cuh"
#include "cuda/prefilter/prefilter.h"
#include "cuda/select/warp_select.cuh"

namespace annk::cuda {
namespace {

constexpr int kThreads = 128;

struct RankArgs {
  PrefilterArgs call;
  NeighborOut out;
  bool last;
};

// The fewer than 16 bytes that are left of a row, and zeros.
template <class Element>
__device__ __forceinline__ uint4 read_rest(const unsigned char* from, int bytes) {
  constexpr int kSize = sizeof(Element);
  uint32_t words[4];
#pragma unroll
  for (int w = 0; w < 4; ++w) {
    words[w] = 0;
#pragma unroll
    for (int at = 4 * w; at < 4 * w + 4; at += kSize) {
      if (at >= bytes) continue;
      if constexpr (kSize == 4) words[w] = *reinterpret_cast<const uint32_t*>(from + at);
      if constexpr (kSize == 2)
        words[w] |= static_cast<uint32_t>(*reinterpret_cast<const uint16_t*>(from + at)) << 8 * (at % 4);
      if constexpr (kSize == 1) words[w] |= static_cast<uint32_t>(from[at]) << 8 * (at % 4);
    }
  }
  return {words[0], words[1], words[2], words[3]};
}

// sortable_bits(key) of one pair, by the scan's own steps.
template <class Arith>
__device__ __forceinline__ uint32_t exact_key_bits(const PrefilterArgs& a, int query, const unsigned char* row) {
  using Operand = typename Arith::Operand;
  const int bytes = static_cast<int>(a.row_bytes);
  const bool with_self_dot = Arith::needs_row_word(a.metric);
  const unsigned char* from = a.queries + query * a.query_pitch;
  const int chain = static_cast<int>(chain_dims(a.rows.dims)) * Arith::kBits / 8;
  typename Arith::Sum sum = 0, self_dot = 0, chains = 0, self_chains = 0;
  const auto add = [&](int at, const uint4& raw) {
    if (kInChains<Arith> && (at & (chain - 1)) == 0) {
      chains += sum, self_chains += self_dot;
      sum = self_dot = 0;
    }
#pragma unroll
    for (int part = 0; part < Arith::kParts; ++part) {
      Operand x[4], y[4];
      Arith::expand(raw, part, x);
      read4(from + at * Arith::kParts + 16 * part, y);
#pragma unroll
      for (int i = 0; i < 4; ++i) sum = Arith::step(sum, y[i], x[i]);
      if (!with_self_dot) continue;
#pragma unroll
      for (int i = 0; i < 4; ++i) self_dot = Arith::add_self_dot(self_dot, x[i]);
    }
  };
  int at = 0;
#pragma unroll 4
  for (; at + 16 <= bytes; at += 16) add(at, *reinterpret_cast<const uint4*>(row + at));
  if (at < bytes) add(at, read_rest<typename Arith::Element>(row + at, bytes - at));
  if constexpr (kInChains<Arith>) sum = chains + sum, self_dot = self_chains + self_dot;
  const uint32_t row_word = with_self_dot ? Arith::row_word(a.metric, self_dot, row, a.rows.dims) : 0;
  const uint32_t query_word = a.query_words != nullptr ? a.query_words[query] : 0;
  uint32_t key_bits;
  visit_list(typename Arith::Metrics{}, a.metric,
             [&](auto metric) { key_bits = Arith::key_bits(metric, sum, query_word, row_word); });
  return key_bits;
}

// prefilter.h says why.
__device__ Threshold threshold(const PrefilterArgs& a, const QueryFacts& q, uint32_t limit) {
  const float key = key_of_bits(limit);
  if (limit == kNoKey || !(key < INFINITY) || !(q.squared_norm >= 0x1p-80f && q.squared_norm <= 0x1p80f))
    return {0.0f, 0.0f, NAN, 0.0f};
  const double d = static_cast<double>(a.rows.dims) + 16.0, h = d * 0x1p-22, scale = q.scale, wide = key;
  const double e = d * 0x1p-21 + (a.rows.dtype == DType::f32 ? 0x1p-10 : 0.0);
  double slope = 1.001 * (e * q.norm + 1.01 * q.error), square = 0.0, least = 0.0;
  if (a.metric == Metric::inner_product) {
    least = -scale * wide;
    least -= fabs(least) * h;
  } else if (a.metric == Metric::cosine) {
    slope += scale * (wide - 1.0 + fabs(wide - 1.0) * h + 0x1p-20);
  } else if (a.metric == Metric::sqeuclidean || a.metric == Metric::euclidean) {
    const double limit_squared = a.metric == Metric::euclidean ? wide * wide * (1.0 + 0x1p-22) : wide;
    square = -0.5 * scale * (1.0 - h);
    least = 0.5 * scale * ((1.0 - h) * q.squared_norm - (1.0 + h) * limit_squared);
    least -= 0x1p-22 * scale * (q.squared_norm + limit_squared);
  } else {
    return {0.0f, 0.0f, NAN, 0.0f};  // without a bound all survive, and the scan takes over
  }
  slope += fabs(slope) * 0x1p-22;
  return {static_cast<float>(slope), static_cast<float>(square), static_cast<float>(least), 0.0f};
}

// A block per query: the chains of its candidates, and the best of them.
template <class Arith, int kRegisters>
__global__ void __launch_bounds__(kThreads, 8) rank_kernel(const RankArgs args) {
  const PrefilterArgs& a = args.call;
  const int query = static_cast<int>(blockIdx.x);
  const uint32_t found = a.counts[query], there = found < a.capacity ? found : a.capacity;
  if (args.last && found > a.capacity) return;
  const uint32_t* rows = a.candidates + static_cast<int64_t>(query) * a.capacity;
  WarpSelect<kRegisters> list;
  KeyId worst = kNoKeyId;
  for (uint32_t first = static_cast<uint32_t>(warp_id()) * kWarp; first < there; first += kThreads) {
    const uint32_t at = first + static_cast<uint32_t>(lane_id());
    KeyId candidate = kNoKeyId;
    if (at < there) {
      const int64_t row = rows[at];
      candidate = make_key_id(exact_key_bits<Arith>(a, query, a.rows.row(row)), static_cast<uint32_t>(row * a.step));
    }
    if (!__any_sync(kAllLanes, candidate < worst)) continue;
    list.add(candidate < worst ? candidate : kNoKeyId);
    worst = list.worst(a.k);
  }
  merge_warps<kThreads / kWarp>(list, a.k);
  if (warp_id() != 0) return;
  if (!args.last) {
    worst = list.worst(a.k);
    if (lane_id() != 0) return;
    a.thresholds[query] = threshold(a, a.facts[query], key_bits_of(worst));
    a.counts[query] = 0;
    return;
  }
#pragma unroll
  for (int r = 0; r < kRegisters; ++r) {
    const int rank = r * kWarp + lane_id();
    const int64_t to = static_cast<int64_t>(query) * a.k + rank;
    if (rank < a.k) args.out.neighbor(to, key_bits_of(list.best[r]), position_of(list.best[r]));
  }
}

template <class Arith>
void launch(const RankArgs& args, void* stream) {
  require_listed(typename Arith::Metrics{}, args.call.metric);
  if (args.call.k <= kWarp) {
    ANNK_LAUNCH((rank_kernel<Arith, 1>), args.call.m, kThreads, 0, stream, args);
  } else {
    ANNK_LAUNCH((rank_kernel<Arith, 2>), args.call.m, kThreads, 0, stream, args);
  }
}

template <class Step>
void launch_widened(const RankArgs& args, void* stream) {
  switch (args.call.rows.dtype) {
    case DType::f32:
      return launch<FloatArith<Step, float>>(args, stream);
    case DType::f16:
      return launch<FloatArith<Step, Half>>(args, stream);
    case DType::bf16:
      return launch<FloatArith<Step, Bfloat16>>(args, stream);
    case DType::i8:
    case DType::u8:
    case DType::bits:
      break;
  }
  no_kernel("element type");
}

}  // namespace

void rank_candidates(const PrefilterArgs& a, Family family, const NeighborOut* out, void* stream) {
  const RankArgs args{a, out != nullptr ? *out : NeighborOut{}, out != nullptr};
  switch (family) {
    case Family::dot:
      return launch_widened<InnerProduct>(args, stream);
    case Family::l2:
      return launch_widened<SqEuclidean>(args, stream);
    case Family::integer:
      return a.rows.dtype == DType::i8 ? launch<IntArith<int8_t>>(args, stream) : launch<IntArith<uint8_t>>(args, stream);
    case Family::step:
    case Family::bits:
    case Family::store:
      break;
  }
  no_kernel("family");
}

}  // namespace annk::cuda
