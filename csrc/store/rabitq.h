// SPDX-License-Identifier: Apache-2.0
// RaBitQ (Gao and Long, arXiv 2405.12497; Gao et al., arXiv 2409.09913): the direction of each row, randomly rotated, is
// rounded to the nearest of a grid of directions, and a factor makes its products with any vector right on average. Also the
// store `bin`, sign bits alone.
//
//   r = x - mean,   along = <r, axis>,   p = r - along axis            axis: the unit vector of the mean (zero for no mean)
//   z = P p, padded with zeros to a multiple of 64 dimensions, D       P: store/rotation.h
//   code u_j in [0, 2^bits): v_j = u_j - (2^bits - 1) / 2 has the sign of z_j and |v_j| = 1/2 + min(floor(t |z_j|), most)
//   step = |p|^2 / <z, v>
// The part along the mean, which all queries ask for, is kept exactly: the codes hold what is orthogonal to it, so that a
// mean far from zero costs nothing. Of 16 values of t the one whose v has the smallest angle to z is taken. For a random P
//   <w, p> ~ step <P w, v>,   its mean exact, its error about |w| |p| sqrt((|z|^2 |v|^2 / <z, v>^2 - 1) / (D - 1)).
// x decodes to  mean + along axis + the part orthogonal to axis of step P^T v:  inner products with it are the estimates.
// Distances take |p|^2 and |x| as they were, not those of the decoded row.
//
// A row lies in groups of 64 dimensions, 8 bits bytes each. Element i of a group: its 4 highest bits, where it has so many,
// in byte i % 32 of 32 from bit 4 (i / 32) on; the next 2, where 2 are left, in byte i % 16 of 16 from bit 2 (i / 16) on;
// then the last, bit i % 8 of byte i / 8 of 8. With 8 bits a byte each. Behind the groups: 4 floats, the row's terms.
//
// bin: the codes are the signs of P (x - threshold), step is twice the mean of |P (x - threshold)| over all. Where neither
// threshold nor rotation is asked for, all rows share their terms, and a row is its bits.
//
// Arrays  0 rows (n, D bits / 8 + 16, or D / 8) u8   1 terms (1, 4) f32: of all rows (bin)   2 mean (d,) f32
//         3 axis (d,) f32   4 signs (rounds, D) i8   5 offset (1,) f32: |mean|, where rows lie far from zero, else absent
// Numbers 0 bits 1 .. 8   1 rounds of the rotation, 0 for none   2 whether it is bin   3 whether rows have their own terms
#pragma once
#include "core/numeric.h"
#include "core/view.h"
#include "metric/metric.h"
#include "store/rotation.h"

namespace annk::ANNK_ISA {

inline constexpr int64_t kRabitqGroup = 64;
constexpr int64_t rabitq_dims(int64_t dims) { return (dims + kRabitqGroup - 1) / kRabitqGroup * kRabitqGroup; }

struct RabitqTerms {
  float step, along;
  float squared;  // |p|^2
  float inverse;  // 1 / |x|, zero for a row of zeros, and for one that is lost in the rounding of the mean
};
static_assert(sizeof(RabitqTerms) == 16);

struct RabitqView {
  uint8_t* rows;
  const RabitqTerms* shared;
  const float* mean;
  const float* axis;
  const float* offset_of_rows;
  Rotation rotation;
  int64_t dims, padded, code_bytes, row_bytes;
  int bits;
  bool binary, own_terms;

  // What numbers mean, for those who choose a kernel.
  ANNK_HD static int bits_of(const Dataset& b) { return static_cast<int>(b.numbers[0]); }
  ANNK_HD static int rounds_of(const Dataset& b) { return static_cast<int>(b.numbers[1]); }
  ANNK_HD static bool is_binary(const Dataset& b) { return b.numbers[2] != 0; }
  ANNK_HD static const RabitqTerms* shared_of(const Dataset& b) { return b.array<const RabitqTerms>(1); }
  ANNK_HD static bool has_own_terms(const Dataset& b) { return b.numbers[3] != 0; }
  ANNK_HD static const float* offset_of(const Dataset& b) { return b.array<const float>(5); }  // null: there is none

  ANNK_HD explicit RabitqView(const Dataset& b)
      : rows(b.array<uint8_t>(0)),
        shared(shared_of(b)),
        mean(b.array<const float>(2)),
        axis(b.array<const float>(3)),
        offset_of_rows(offset_of(b)),
        rotation(b.array<const int8_t>(4), rounds_of(b), rabitq_dims(b.dims)),
        dims(b.dims),
        padded(rabitq_dims(b.dims)),
        code_bytes(padded / 8 * bits_of(b)),
        row_bytes(code_bytes + (has_own_terms(b) ? static_cast<int64_t>(sizeof(RabitqTerms)) : 0)),
        bits(bits_of(b)),
        binary(is_binary(b)),
        own_terms(has_own_terms(b)) {}

  ANNK_HD float offset() const { return offset_of_rows == nullptr ? 0.0f : *offset_of_rows; }
  // What stands behind the last dimension. Rows that are their signs end in zero bits, as those of numpy.packbits do.
  ANNK_HD float filling() const { return binary && rotation.rounds == 0 ? -1.0f : 0.0f; }
  ANNK_HD uint8_t* row(int64_t i) const { return rows + i * row_bytes; }
  ANNK_HD RabitqTerms terms(int64_t i) const {
    RabitqTerms terms;
    __builtin_memcpy(&terms, own_terms ? row(i) + code_bytes : static_cast<const void*>(shared), sizeof terms);
    return terms;
  }
};

// Where a code's bits lie in a group: `width` bits of it from `shift` on are in byte `at` from bit `place` on.
struct RabitqPart {
  int width, shift, at, place;
};
// body(part) for each part of element i.
template <class Body>
ANNK_HD void rabitq_parts(int bits, int i, Body&& body) {
  if (bits == 8) return body(RabitqPart{8, 0, i, 0});
  int at = 0;
  if (bits & 4) body(RabitqPart{4, bits & 3, at + i % 32, i / 32 * 4}), at += 32;
  if (bits & 2) body(RabitqPart{2, bits & 1, at + i % 16, i / 16 * 2}), at += 16;
  if (bits & 1) body(RabitqPart{1, 0, at + i / 8, i % 8});
}
ANNK_HD int rabitq_get(const uint8_t* group, int bits, int i) {
  int code = 0;
  rabitq_parts(bits, i, [&](RabitqPart p) { code |= (group[p.at] >> p.place & ((1 << p.width) - 1)) << p.shift; });
  return code;
}
// The group's bytes are zero before.
ANNK_HD void rabitq_put(uint8_t* group, int bits, int i, int code) {
  rabitq_parts(bits, i, [&](RabitqPart p) {
    group[p.at] = static_cast<uint8_t>(group[p.at] | (code >> p.shift & ((1 << p.width) - 1)) << p.place);
  });
}

// Rows shorter than 2^-18 of the mean are what its rounding left: they have no direction.
inline constexpr double kLostShare = 0x1p-36;

// A power of two near the largest of some magnitudes, and its inverse, both normal numbers.
struct PowerOfTwo {
  float power, inverse;
  ANNK_HD explicit PowerOfTwo(float largest) {
    int exponent = static_cast<int>(bits_of_float(largest) >> 23) - 127;
    exponent = exponent < -126 ? -126 : exponent > 126 ? 126 : exponent;
    power = float_of_bits(static_cast<uint32_t>(127 + exponent) << 23);
    inverse = float_of_bits(static_cast<uint32_t>(127 - exponent) << 23);
  }
};

// Queries. w is the query (minus the mean, under L2; times its inverse norm, under cosine), split as rows are; its rotated
// part is rounded to whole numbers a_j of magnitude up to rabitq_query_top, scale apart:
//   <w, p> ~ step (scale (<u, a> - (2^bits - 1) / 2 sum(a))),      in integers but for the half that an odd sum leaves over
//   inner_product   <w, mean> + along_w along + that               cosine   1 - the same times inverse, within [0, 2]
//   sqeuclidean     max(0, ((|p_w|^2 + |p|^2) + (along_w - along)^2) - 2 that)
// Where rows lie far from zero, what the query has along the mean is taken out of w first, under cosine, and of bin under
// inner_product, whose rows have no axis: it is multiplied by 1 - cos(mean, x) or <mean, x - mean> / |mean| of a row
// unrounded. Rows of more dimensions are decoded.
constexpr int64_t rabitq_most_dims(int bits) { return most_code_dims(bits, bits == 1 ? 31 : 127); }
constexpr int rabitq_query_top(int bits) { return bits == 1 ? 31 : bits < 7 ? 127 : 127 * 128; }

template <class V>
struct RabitqQueryTerms {
  V scale, half, along, shift;  // shift: <w, mean> or |p_w|^2
  V start, share;               // 1 - share and share, what the query has along the mean: 1 and 0 without an offset
};
template <class V>
struct RabitqRowTerms {
  V step, along, norm;  // norm: |p|^2 or the inverse norm
  V tilt;               // what is multiplied by share
};

ANNK_HD float rabitq_tilt(bool binary, bool cosine, const RabitqTerms& row, float offset) {
  const double length = offset, inverse = row.inverse, apart = row.squared;
  if (!binary) return cosine ? tilt_from_mean(length + static_cast<double>(row.along), apart, inverse) : 0.0f;
  const double norm = inverse > 0.0 ? 1.0 / inverse : 0.0;
  const double along = 0.5 * ((norm - length) * (norm + length) - apart) / length;
  return cosine ? tilt_from_mean(length + along, apart - along * along, inverse) : static_cast<float>(along);
}

// V is float or F32. The root of `euclidean` is left to the caller.
template <class M, class V>
ANNK_HD V rabitq_key(V dot, const RabitqQueryTerms<V>& query, const RabitqRowTerms<V>& row, V zero, V two) {
  const V product = row.step * (query.scale * (dot + query.half));
  static_assert(is_one_of<M, Metric::sqeuclidean, Metric::euclidean, Metric::inner_product, Metric::cosine>);
  if constexpr (M::kFromProduct) {
    if constexpr (M::kMetric == Metric::inner_product)
      return zero - (((query.shift + query.share * row.tilt) + query.along * row.along) + product);
    const V sum = (query.shift + query.along * row.along) + product;
    return smaller(two, larger(zero, (query.start + query.share * row.tilt) - sum * row.norm));
  }
  const V gap = query.along - row.along;
  return larger(zero, ((query.shift + row.norm) + gap * gap) - two * product);
}

}  // namespace annk::ANNK_ISA
