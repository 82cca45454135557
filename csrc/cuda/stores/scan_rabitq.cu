// SPDX-License-Identifier: Apache-2.0
// RaBitQ stores by integer products, with the keys of cpu/distance/rabitq_tiles.h bit for bit.
#include "cuda/codec/block_team.cuh"
#include "cuda/codec/codecs.cuh"
#include "cuda/device/elements.h"
#include "cuda/distance/scan.cuh"
#include "cuda/distance/store_scan.h"
#include "cuda/stores/rabitq_arith.cuh"

namespace annk::cuda {

StoreBeamSearch beam_search_rabitq;
StoreJoin join_rabitq;

namespace {

constexpr int kThreads = 128;
using Team = BlockTeam<kThreads>;

// The query, split as rows are, rotated in place; its terms but for what the rounding decides. x: element j of the query;
// w, other: room for the dimensions of the rotation each.
template <class X>
__device__ RabitqQueryTerms<float> rotate_query(const Team& team, const RabitqView& view, Metric metric, const X& x,
                                                float* w, float* other) {
  const bool dot = from_product(metric);
  const int64_t dims = view.dims;
  const float offset = metric == Metric::cosine || (dot && view.binary) ? view.offset() : 0.0f;
  RabitqQueryTerms<float> terms{0.0f, 0.0f, 0.0f, 0.0f, 1.0f, 0.0f};
  team.each(dims, [&](int64_t j) { w[j] = x(j); });
  if (offset > 0.0f) {
    const double product = team.product16(w, view.mean, dims), squared = team.product16(w, w, dims);
    const MeanSplit split(metric == Metric::cosine ? wide_inverse_norm(squared) : 1.0, product, offset);
    team.each(dims, [&](int64_t j) { w[j] = split.across(w[j], view.mean[j]); });
    terms.shift = static_cast<float>(product);
    terms.start = static_cast<float>(1.0 - split.along);
    terms.share = static_cast<float>(split.along);
  } else if (metric == Metric::cosine) {
    const float inverse = inverse_norm(team.product16(w, w, dims));
    team.each(dims, [&](int64_t j) { w[j] = w[j] * inverse; });
  }
  if (dot) {
    if (metric == Metric::cosine || !(offset > 0.0f)) terms.shift = static_cast<float>(team.product16(w, view.mean, dims));
  } else {
    team.each(dims, [&](int64_t j) { w[j] = w[j] - view.mean[j]; });
  }
  terms.along = static_cast<float>(team.product16(w, view.axis, dims));
  team.each(dims, [&](int64_t j) { w[j] = w[j] - terms.along * view.axis[j]; });
  if (!dot) terms.shift = static_cast<float>(team.product16(w, w, dims));

  const PowerOfTwo unit(team.largest(w, dims));
  team.each(view.padded, [&](int64_t j) { w[j] = j < dims ? w[j] * unit.inverse : 0.0f; });
  team.sync();
  TeamRotation<Team>{team, view.rotation}.apply(w, other);
  terms.scale = unit.power;
  return terms;
}

// A block per query.
template <class T>
__global__ void __launch_bounds__(kThreads) prepare_rabitq(const StoreQueries a) {
  ANNK_DYN_SHARED(float, w);
  const Team team;
  const RabitqView view(a.base);
  signed char* const to = reinterpret_cast<signed char*>(a.rows + static_cast<int64_t>(blockIdx.x) * a.pitch);
  RabitqQueryTerm* const term = reinterpret_cast<RabitqQueryTerm*>(a.words) + blockIdx.x;
  if (blockIdx.x >= a.m || view.dims == 0) {
    team.each(a.pitch, [&](int64_t at) { to[at] = 0; });
    if (team.lane == 0) *term = {};
    return;
  }
  const T* const from = reinterpret_cast<const T*>(a.queries.row(a.begin + blockIdx.x));
  RabitqQueryTerm made{};
  made.terms = rotate_query(team, view, a.metric, [&](int64_t j) { return widen(from[j]); }, w, w + view.padded);

  const float top = static_cast<float>(rabitq_query_top(view.bits)), most = team.largest(w, view.padded);
  const float steps = most > 0.0f ? top / most : 0.0f;
  made.terms.scale = most / top * made.terms.scale;
  const RabitqChunk chunk(view.bits, a.wide);
  const bool two = rabitq_query_top(view.bits) > 127;
  int first_sum = 0, second_sum = 0;
  team.each(a.pitch, [&](int64_t at) {
    const int64_t run = at / chunk.dims(), in_chunk = at % chunk.dims();  // a run of positions of one part
    const int64_t j = (two ? run / 2 : run) * chunk.dims() + in_chunk / kRabitqGroup * kRabitqGroup +
                      rabitq_dim_at(view.bits, static_cast<int>(in_chunk % kRabitqGroup));
    const float exact = j < view.padded ? rintf(w[j] * steps) : 0.0f;
    const int code = static_cast<int>(exact > top ? top : exact < -top ? -top : exact);
    const int high = two ? (code + 64) >> 7 : code, part = two ? static_cast<int>(run % 2) : 0;
    const int here = part == 0 ? high : code - high * 128;
    to[at] = static_cast<signed char>(here);
    (part == 0 ? first_sum : second_sum) += here;
  });
#pragma unroll
  for (int part = 0; part < 2; ++part) {
    const long long twice =
        ((1 << view.bits) - 1) * team.all(part == 0 ? first_sum : second_sum, [](int a, int b) { return a + b; });
    made.zero_point[part] = static_cast<int32_t>(-((twice + 1) >> 1));
    made.terms.half += static_cast<float>(twice & 1) * (two && part == 0 ? 64.0f : 0.5f);
  }
  if (team.lane == 0) *term = made;
}

void prepare_queries(const StoreQueries& a, void* stream) {
  const int64_t bytes = scratch_bytes(2 * rabitq_dims(a.base.dims));
  visit_element(a.queries.dtype, [&]<class T>(T) { ANNK_LAUNCH(prepare_rabitq<T>, a.padded, kThreads, bytes, stream, a); });
}

StoreChunk chunk_of(const Dataset& store, bool wide) {
  const int bits = RabitqView::bits_of(store), parts = rabitq_query_top(bits) > 127 ? 2 : 1;
  const int64_t dims = RabitqChunk(bits, wide).dims();
  return {dims, parts * dims};
}

Matrix code_rows(const Dataset& store) {
  const RabitqView view(store);
  return {view.rows, store.rows, view.padded, view.row_bytes, DType::u8};
}

template <bool kOneBit, int kParts>
constexpr StoreScan kRabitqScan{sizeof(RabitqQueryTerm) / sizeof(uint32_t),
                                {scan_shape(false, kParts), scan_shape(true, kParts)},
                                chunk_of,
                                code_rows,
                                prepare_queries,
                                kScanKernels<RabitqRows>,
                                beam_search_rabitq,
                                join_rabitq};

}  // namespace

const StoreScan* rabitq_scan(const Dataset& store, Metric metric) {
  if (!from_dot(metric)) return nullptr;
  const int bits = RabitqView::bits_of(store);
  if (rabitq_dims(store.dims) > rabitq_most_dims(bits)) return nullptr;
  return bits == 1 ? &kRabitqScan<true, 1> : rabitq_query_top(bits) > 127 ? &kRabitqScan<false, 2> : &kRabitqScan<false, 1>;
}

}  // namespace annk::cuda
