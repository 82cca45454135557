// SPDX-License-Identifier: Apache-2.0
// Locally-adaptive vector quantization (LVQ, Aguerrebere et al., arXiv 2304.04759): each row is scaled by itself. Also the
// scalar quantizers sq8 and sq4, which are the same with one scale for all rows and a mean of zero.
//
//   x' = (x - mean) 2^-e        low = min x' rounded down to binary16, step = (max x' - low) / (2^bits - 1) rounded up
//   code_j = rint((x'_j - low) / step), clamped to [0, 2^bits)          x_j ~ mean_j + 2^e (low + step code_j)
//   residual_j = rint((x'_j - (low + step code_j)) 2^r / step), clamped to [-2^(r-1), 2^(r-1)), stored with 2^(r-1) added
//                                                    x_j ~ mean_j + 2^e (low + step code_j + step 2^-r residual_j)
// Since low is rounded down and step up, |error| <= 2^e step / 2, and with a residual 2^e step / 2^(r+1), save for the
// float32 roundings; a residual at its upper end, clamped, may miss by twice that. The exponent e is 0 unless the data is
// so large or so small that binary16 would not hold its scales.
//
// With several centroids each row names the one that is nearest, and its `mean` above is that one:
//   selector = the c that minimises sum_j ((x_j - centroid_cj) 2^-e)^2, ties to the smaller c; float32, not fused, as 16
//              partial sums of every 16th term, added one by one
//
// Codes lie in turbo order: 64-byte blocks of 16 32-bit lanes; element i of a block is in lane i % 16, at bits
// [bits * (i / 16), ...) of the lane. So 8-bit blocks hold 64 dimensions, 4-bit blocks 128, and one load and a shift
// unpack a register of them; rows end in whole blocks, filled with zeros.
//
// Arrays  0 codes (n, blocks * 64) u8        1 scales (n or 1, 2) f16: step, low
//         2 norms (n, 2) f32: sum of squares of 2^e (low + step code), inverse norm of the decoded row; zero where no number
//           of the row exceeds half a step, so that rounding made its direction up; -0 where the row is zero and is read
//           decoded: then it decodes to zeros
//         3 mean (d,) f32, or (centroids, d)        4 residual (n, blocks * 64) u8        5 selectors (n,) u8, or absent
//         6 offset (1,) f32: |mean|, of stores whose rows lie far from zero for their spread, else absent
// Numbers 0 bits (4, 8)   1 residual bits (0, 4, 8)   2 exponent e   3 rows that share a scale: 1, or 0 for all
//         4 centroids (2 .. 256), or absent
#pragma once
#include "core/numeric.h"
#include "core/view.h"
#include "metric/metric.h"

namespace annk::ANNK_ISA {

inline constexpr int64_t kTurboBytes = 64;
constexpr int64_t turbo_bytes(int64_t dims, int bits) { return (dims * bits + 511) / 512 * kTurboBytes; }

// The codes of a row are read in the order in which they lie in memory, low nibbles of a block before high ones. Position p
// of that order is this dimension.
template <int kBits>
ANNK_HD int64_t turbo_dim(int64_t p) {
  constexpr int64_t kInBlock = 512 / kBits;
  const int64_t block = p / kInBlock, in_block = p % kInBlock, byte = in_block % kTurboBytes, high = in_block / kTurboBytes;
  return block * kInBlock + byte / 4 + 16 * (byte % 4 * (8 / kBits) + high);
}

struct LvqScales {
  Half step, low;
};
static_assert(sizeof(LvqScales) == 4);
struct LvqNorms {
  float squared, inverse;
};
static_assert(sizeof(LvqNorms) == 8);

// rint(x / step), clamped to [least, top], whose ends are whole. A step of zero belongs to a row of zeros. There is no
// branch and no call, so that loops become vectors: next to 1.5 * 2^23 float32 holds whole numbers alone.
ANNK_HD int whole_steps(float x, float step, float least, float top) {
  constexpr float kWhole = 12582912.0f;
  float steps = x / (step > 0.0f ? step : INFINITY);
  steps = steps < least ? least : steps;
  steps = steps > top ? top : steps;
  return static_cast<int>((steps + kWhole) - kWhole);
}

// One row's scale, or what is left of a step to its residual (low = 0).
struct LvqScale {
  float step, low;
  int bits;
  ANNK_HD int code(float x) const { return whole_steps(x - low, step, 0.0f, static_cast<float>((1 << bits) - 1)); }
  ANNK_HD float value(int code) const { return low + step * static_cast<float>(code); }

  // Of a row whose numbers end at low and high. The sum with zero leaves zeros one sign, whichever came first.
  ANNK_HD static LvqScales of(float low, float high, int bits) {
    const Half least = narrow_down(low + 0.0f);
    return {narrow_up(((high + 0.0f) - widen(least)) / static_cast<float>((1 << bits) - 1)), least};
  }
};

// sum of (2^e (low + step c))^2 over the codes, from the sums of c and c^2, which are exact.
ANNK_HD float lvq_squared(const LvqScale& scale, int64_t dims, double unit, int64_t sum, int64_t squares) {
  const double low = scale.low, step = scale.step;
  const double squared = static_cast<double>(dims) * (low * low) + 2.0 * low * step * static_cast<double>(sum) +
                         step * step * static_cast<double>(squares);
  return static_cast<float>(squared * (unit * unit));
}

// The residual of what the code left over.
struct LvqResidual {
  float step;
  int bits;
  ANNK_HD LvqResidual(const LvqScale& scale, int residual_bits)
      : step(scale.step / static_cast<float>(1 << residual_bits)), bits(residual_bits) {}
  ANNK_HD int half() const { return 1 << (bits - 1); }
  ANNK_HD int code(float left) const {
    return whole_steps(left, step, static_cast<float>(-half()), static_cast<float>(half() - 1)) + half();
  }
  ANNK_HD float value(int code) const { return step * static_cast<float>(code - half()); }
};

struct LvqView {
  uint8_t* codes;
  LvqScales* scales;
  LvqNorms* norms;
  const float* mean;
  uint8_t* residual;
  uint8_t* selectors;  // null: one mean
  const float* offset_of_rows;
  int64_t dims, code_bytes, residual_bytes, scales_stride;
  int bits, residual_bits, centroids;
  float unit;  // 2^e

  // What numbers mean, for those who choose a kernel.
  ANNK_HD static int bits_of(const Dataset& b) { return static_cast<int>(b.numbers[0]); }
  ANNK_HD static int residual_bits_of(const Dataset& b) { return static_cast<int>(b.numbers[1]); }
  ANNK_HD static int exponent_of(const Dataset& b) { return static_cast<int>(b.numbers[2]); }
  ANNK_HD static int64_t scales_stride_of(const Dataset& b) { return b.numbers[3]; }
  ANNK_HD static int centroids_of(const Dataset& b) { return static_cast<int>(b.numbers[4]); }

  ANNK_HD explicit LvqView(const Dataset& b)
      : codes(b.array<uint8_t>(0)),
        scales(b.array<LvqScales>(1)),
        norms(b.array<LvqNorms>(2)),
        mean(b.array<const float>(3)),
        residual(b.array<uint8_t>(4)),
        selectors(b.array<uint8_t>(5)),
        offset_of_rows(b.array<const float>(6)),
        dims(b.dims),
        scales_stride(scales_stride_of(b)),
        bits(bits_of(b)),
        residual_bits(residual_bits_of(b)),
        centroids(centroids_of(b)),
        unit(float_of_bits(static_cast<uint32_t>(exponent_of(b) + 127) << 23)) {
    code_bytes = turbo_bytes(dims, bits);
    residual_bytes = residual_bits == 0 ? 0 : turbo_bytes(dims, residual_bits);
  }

  ANNK_HD const uint8_t* code_row(int64_t row) const { return codes + row * code_bytes; }
  ANNK_HD const uint8_t* residual_row(int64_t row) const { return residual + row * residual_bytes; }
  ANNK_HD float step(int64_t row) const { return widen(scales[row * scales_stride].step); }
  ANNK_HD float low(int64_t row) const { return widen(scales[row * scales_stride].low); }
  ANNK_HD const float* centroid(int c) const { return mean + c * dims; }
  ANNK_HD const float* mean_of(int64_t row) const { return selectors == nullptr ? mean : centroid(selectors[row]); }
  ANNK_HD float offset() const { return offset_of_rows == nullptr ? 0.0f : *offset_of_rows; }
  ANNK_HD bool is_zero(int64_t row) const { return bits_of_float(norms[row].inverse) == 0x80000000u; }
  // The inverse norm that is kept of a row whose largest magnitude is `most`.
  ANNK_HD float kept_inverse(double decoded, float most, float step) const {
    if (most > 0.5f * (unit * step)) return inverse_norm(decoded);
    return most == 0.0f && !codes_are_all() ? -0.0f : 0.0f;
  }
  // One product with the codes is all that such rows ask of a query. Others are decoded: those with a residual, as only the
  // few that are reranked are asked for, those of several centroids, under each of which a query has other terms, and those
  // of so many dimensions that int32 would not hold the product.
  ANNK_HD bool codes_are_all() const {
    return residual_bits == 0 && selectors == nullptr && dims <= most_code_dims(bits, 127);
  }
};

// Where rows lie far from zero, a query q is split into what lies along the mean and the rest, under inner_product and
// cosine, which do not centre it: rounding the rest costs less, and the parts along the mean are multiplied without loss.
//   q = along mean / |mean| + v         x = mean + x', its part along the mean from its norms, as <mean, x'> is half of
//                                           |x|^2 - |mean|^2 - |x'|^2
// A row's part is <mean, x'> / |mean| under inner_product, 1 - cos(mean, x) under cosine.
ANNK_HD float lvq_along(bool cosine, float squared, float inverse, float offset) {
  const double length = offset, apart = squared, norm = inverse > 0.0f ? 1.0 / static_cast<double>(inverse) : 0.0;
  const double along = 0.5 * ((norm - length) * (norm + length) - apart) / length;
  if (!cosine) return static_cast<float>(along);
  return tilt_from_mean(length + along, apart - along * along, inverse);
}

// A query's terms, and a row's. Without an offset `start` is 1 and `along` zero.
template <class V>
struct LvqQueryTerms {
  V scale, sum, shift;  // shift: <q, mean> (of v, under cosine) or |v|^2
  V start, along;       // start: 1 - along
};
template <class V>
struct LvqRowTerms {
  V low, step, norm, along;  // norm: |x'|^2 or the inverse norm
};

// V is float or F32. The root of `euclidean` is left to the caller.
template <class M, class V>
ANNK_HD V lvq_key(V dot, const LvqQueryTerms<V>& query, const LvqRowTerms<V>& row, V zero, V two) {
  static_assert(is_one_of<M, Metric::sqeuclidean, Metric::euclidean, Metric::inner_product, Metric::cosine>);
  const V product = row.low * query.sum + row.step * (query.scale * dot);
  if constexpr (M::kMetric == Metric::inner_product) return zero - ((query.shift + query.along * row.along) + product);
  if constexpr (M::kMetric == Metric::cosine) {
    const V key = (query.start + query.along * row.along) - (query.shift + product) * row.norm;
    return smaller(two, larger(zero, key));
  }
  return larger(zero, (query.shift + row.norm) - two * product);
}

}  // namespace annk::ANNK_ISA
