// SPDX-License-Identifier: Apache-2.0
// Product-quantized stores by tables, with the keys of cpu/distance/pq_tiles.h bit for bit.
#include "cuda/codec/block_team.cuh"
#include "cuda/codec/codecs.cuh"
#include "cuda/device/elements.h"
#include "cuda/distance/scan.cuh"
#include "cuda/distance/store_scan.h"
#include "cuda/stores/pq_arith.cuh"

namespace annk::cuda {

StoreBeamSearch beam_search_pq;
StoreJoin join_pq;

namespace {

constexpr int kThreads = 128;
using Team = BlockTeam<kThreads>;

// A query in the form that the codebook is compared with.
struct PqQuery {
  const PqView& view;
  const float* y;
  bool product;

  __device__ __forceinline__ float entry(int64_t s, int64_t c) const {
    const float* const book = view.codebook_of(s) + c;
    const int64_t first = view.parts.first(s), width = view.parts.width(s);
    float sum = 0.0f;
    for (int64_t j = 0; j < width; ++j) {
      const float value = y[first + j], word = book[j * view.codewords];
      sum = product ? sum - value * word : sum + (value - word) * (value - word);
    }
    return sum;
  }
};

// Tables of bytes: half a warp makes the 16 entries of a part, once for their range and once to round them. low: a float a
// part.
__device__ PqQueryTerm nibble_table(const StoreQueries& a, const Team& team, const PqQuery& query, float* low) {
  constexpr float kMost = 0x1p126f, kMostNibble = 127.0f;
  const RowTeam<16> half;
  const int64_t parts = query.view.parts.parts, number = blockIdx.x;
  const auto entry = [&](int64_t s) {
    const float exact = query.entry(s, half.lane);
    return !(exact < kMost) ? kMost : exact < -kMost ? -kMost : exact;
  };
  float span = 0.0f;
  for (int64_t s = team.lane / 16; s < parts; s += kThreads / 16) {
    const float value = entry(s), least = half.all(value, [](float x, float y) { return y < x ? y : x; });
    span = larger(half.all(value, [](float x, float y) { return larger(x, y); }) - least, span);
    if (half.lane == 0) low[s] = least;
  }
  span = team.all(span, [](float x, float y) { return larger(x, y); });
  const float lift = pq_lift(span), steps = span > 0.0f ? kMostNibble / (span * lift) : 0.0f;
  const double bias = team.sum16(parts, [&](int64_t s) { return static_cast<double>(low[s]); });
  for (int64_t s = team.lane / 16; s < a.pitch / 16; s += kThreads / 16) {
    const float rounded = s < parts ? rintf((entry(s) - low[s]) * lift * steps) : 0.0f;
    a.rows[nibble_entry(a.wide, number, a.pitch, s, half.lane)] =
        static_cast<unsigned char>(rounded < kMostNibble ? rounded : kMostNibble);
  }
  return {span / kMostNibble, static_cast<float>(bias), {}};
}

// A block per query.
template <class T>
__global__ void __launch_bounds__(kThreads, 8) prepare_pq(const StoreQueries a) {
  ANNK_DYN_SHARED(float, x);
  const Team team;
  const PqView view(a.base);
  const int64_t number = blockIdx.x, dims = number < a.m ? view.parts.dims : 0;
  PqQueryTerm* const term = reinterpret_cast<PqQueryTerm*>(a.words) + number;
  if (dims == 0) {
    team.each(a.pitch, [&](int64_t at) {
      const int64_t to =
          view.blocked ? nibble_entry(a.wide, number, a.pitch, at / 16, static_cast<int>(at % 16)) : number * a.pitch + at;
      a.rows[to] = 0;
    });
    if (team.lane == 0) *term = {};
    return;
  }
  const T* const from = reinterpret_cast<const T*>(a.queries.row(a.begin + number));
  team.each(dims, [&](int64_t j) { x[j] = widen(from[j]); });
  const bool cosine = a.metric == Metric::cosine, splits = cosine && view.tilts != nullptr;
  const double scale = cosine ? wide_inverse_norm(team.product16(x, x, dims)) : 1.0;
  if (cosine && !splits) team.each(dims, [&](int64_t j) { x[j] = x[j] * static_cast<float>(scale); });
  team.sync();
  float* const rotated = x + dims;
  if (view.rotation != nullptr) {
    team.each(dims, [&](int64_t i) {
      float sum = 0.0f;
      for (int64_t j = 0; j < dims; ++j) sum = sum + x[j] * view.rotation[j * dims + i];
      rotated[i] = sum;
    });
    team.sync();
  }
  float* const y = view.rotation != nullptr ? rotated : x;
  PqShare share{1.0f, 0.0f};
  if (splits) {
    const float length = static_cast<float>(sqrt(team.product16(view.mean, view.mean, dims)));
    const MeanSplit split(scale, team.product16(y, view.mean, dims), length);
    team.each(dims, [&](int64_t j) { y[j] = split.across(y[j], view.mean[j]); });
    team.sync();
    share = {static_cast<float>(1.0 - split.along), static_cast<float>(split.along)};
  }
  const PqQuery query{view, y, from_product(a.metric)};
  if (view.blocked) {
    PqQueryTerm made = nibble_table(a, team, query, rotated + dims);
    made.share = share;
    if (team.lane == 0) *term = made;
  } else {
    float* const table = reinterpret_cast<float*>(a.rows + number * a.pitch);
    team.each(a.pitch / static_cast<int64_t>(sizeof(float)), [&](int64_t at) {
      const int64_t s = at / PqByteTile::kEntries, c = at % PqByteTile::kEntries;
      table[at] = s < view.parts.parts && c < view.codewords ? query.entry(s, c) : 0.0f;
    });
    if (team.lane == 0) *term = {0.0f, 0.0f, share};
  }
}

// The query, the same rotated, and the least entry of each part.
void prepare_queries(const StoreQueries& a, void* stream) {
  const int64_t bytes = scratch_bytes(2 * a.base.dims + PqView::part_count(a.base));
  visit_element(a.queries.dtype, [&]<class T>(T) { ANNK_LAUNCH(prepare_pq<T>, a.padded, kThreads, bytes, stream, a); });
}

StoreChunk nibble_chunk(const Dataset&, bool wide) {
  const int64_t parts = nibble_shape(wide).parts;
  return {parts, parts * 16};
}
StoreChunk byte_chunk(const Dataset&, bool) { return {PqByteTile::kParts, PqByteTile::kTableBytes}; }

// Positions are parts. Blocks are no rows: their stride says only how they are aligned.
Matrix code_blocks(const Dataset& store) {
  const PqView view(store);
  return {view.codes, store.rows, view.code_parts, view.block_bytes(), DType::u8};
}
Matrix code_rows(const Dataset& store) {
  const PqView view(store);
  return {view.codes, store.rows, view.parts.parts, view.parts.parts, DType::u8};
}

constexpr int kQueryWords = sizeof(PqQueryTerm) / sizeof(uint32_t);
constexpr StoreScan kNibbleScan{kQueryWords,     {scan_shape(false), scan_shape(true)},
                                nibble_chunk,    code_blocks,
                                prepare_queries, kScanKernels<PqRows>,
                                beam_search_pq,  join_pq};
constexpr StoreScan kByteScan{kQueryWords,     {PqByteTile::kShape, PqByteTile::kShape},
                              byte_chunk,      code_rows,
                              prepare_queries, kScanKernels<PqRows>,
                              beam_search_pq,  join_pq};

}  // namespace

const StoreScan* pq_scan(const Dataset& store, Metric metric) {
  if (!from_dot(metric)) return nullptr;
  if (metric == Metric::cosine && PqView::norms_of(store) == nullptr) return nullptr;
  return PqView::is_blocked(store) ? &kNibbleScan : &kByteScan;
}

}  // namespace annk::cuda
