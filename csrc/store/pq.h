// SPDX-License-Identifier: Apache-2.0
// Product quantization (Jegou et al. 2011): the dimensions are cut into `parts` runs (core/parts.h), and each run of a row
// is replaced by the nearest of 16 or 256 codewords. OPQ rotates rows (and queries) first.
//
//   y = x, or y_i = sum over j ascending of x_j rotation[j, i]
//   code_s = the c that minimises sum over the dimensions j of part s, ascending, of (2^-e y_j - 2^-e codebook[s, j, c])^2,
//            ties to the smaller c; float32, not fused
//   a row decodes to its codewords, then x_j = sum over i ascending of y_i rotation[j, i]
// The exponent e is 0 unless squares would leave float32's range.
//
// Layouts  8 bits: code_s of row i is codes[i, s]. 4 bits: blocks of 32 rows, 16 bytes a part, so that a register of codes
//          is looked up in a register of 16 entries: codes[i / 32, s, i % 16] holds row i in its low half (i % 32 < 16) or
//          its high half. Blocks have a multiple of 4 parts, filled up with zeros, as is the last block.
// Arrays   0 codes u8 (n, parts) or (blocks, parts up to 4, 16)       1 codebook (parts, widest part, codewords) f32
//          2 norms (n,) f32: inverse norms of the decoded rows, zero for a row of zeros, or absent
//          3 rotation (d, d) f32, or absent
//          4 mean (d,) f32 of y, 5 tilts (n,) f32: 1 - cos(mean, y) of the decoded rows: of stores with norms whose rows lie
//            far from zero, else absent
// Numbers  0 parts   1 bits (4, 8)   2 exponent e   3 blocked: 1, or 0 for codes of one byte in rows
#pragma once
#include "core/numeric.h"
#include "core/parts.h"
#include "core/view.h"

namespace annk::ANNK_ISA {

inline constexpr int64_t kBlockRows = 32;  // of the 4-bit layout
inline constexpr int64_t kPartBytes = 16;
inline constexpr int64_t kPartStep = 4;  // parts of a block come in fours, 64 bytes

// What a query has along the mean of the rows, under cosine: 1 and 0 where there is no mean.
struct PqShare {
  float start, along;
};
// The key of a row under cosine; sum: that of the table. V is float or a register of floats.
template <class V>
ANNK_HD V pq_cosine(V sum, V start, V along, V inverse_norm, V tilt, V zero, V two) {
  return smaller(two, larger(zero, (start + along * tilt) + sum * inverse_norm));
}
ANNK_HD float pq_cosine(float sum, const PqShare& query, float inverse_norm, float tilt) {
  return pq_cosine(sum, query.start, query.along, inverse_norm, tilt, 0.0f, 2.0f);
}
// What a table of this span is multiplied by before it is rounded.
ANNK_HD float pq_lift(float span) { return span < 0x1p-100f ? 0x1p64f : 1.0f; }
ANNK_HD float pq_tilt(double squared, double product, double mean_squared) {
  return static_cast<float>(1.0 - product * wide_inverse_norm(squared) / sqrt(mean_squared));
}

struct PqView {
  uint8_t* codes;
  const float* codebook;
  float* norms;
  const float* rotation;
  const float* mean;
  float* tilts;
  Parts parts;
  int64_t rows, code_parts, codewords;  // code_parts: with those that fill up a block
  float unit_inverse;                   // 2^-e
  bool blocked;

  // What numbers and arrays mean, for those who choose a kernel.
  ANNK_HD static int64_t part_count(const Dataset& b) { return b.numbers[0]; }
  ANNK_HD static int bits_of(const Dataset& b) { return static_cast<int>(b.numbers[1]); }
  ANNK_HD static int exponent_of(const Dataset& b) { return static_cast<int>(b.numbers[2]); }
  ANNK_HD static bool is_blocked(const Dataset& b) { return b.numbers[3] != 0; }
  ANNK_HD static float* norms_of(const Dataset& b) { return b.array<float>(2); }  // null: there are none
  ANNK_HD static float* tilts_of(const Dataset& b) { return b.array<float>(5); }  // the same

  ANNK_HD explicit PqView(const Dataset& b)
      : codes(b.array<uint8_t>(0)),
        codebook(b.array<const float>(1)),
        norms(norms_of(b)),
        rotation(b.array<const float>(3)),
        mean(b.array<const float>(4)),
        tilts(tilts_of(b)),
        parts{b.dims, part_count(b)},
        rows(b.rows),
        code_parts((part_count(b) + kPartStep - 1) / kPartStep * kPartStep),
        codewords(int64_t{1} << bits_of(b)),
        unit_inverse(float_of_bits(static_cast<uint32_t>(127 - exponent_of(b)) << 23)),
        blocked(is_blocked(b)) {}

  // codewords[j * this->codewords + c] of part s
  ANNK_HD const float* codebook_of(int64_t s) const { return codebook + s * parts.widest() * codewords; }
  ANNK_HD int64_t block_bytes() const { return code_parts * kPartBytes; }
  ANNK_HD int64_t blocks() const { return (rows + kBlockRows - 1) / kBlockRows; }
  ANNK_HD const uint8_t* block(int64_t b) const { return codes + b * block_bytes(); }
  ANNK_HD int code(int64_t row, int64_t s) const {
    if (!blocked) return codes[row * parts.parts + s];
    const int64_t in_block = row % kBlockRows;
    const uint8_t both = block(row / kBlockRows)[s * kPartBytes + in_block % 16];
    return in_block < 16 ? both & 15 : both >> 4;
  }
  // y = x times the rotation, for one row.
  ANNK_HD void rotate(const float* x, float* y) const {
    for (int64_t i = 0; i < parts.dims; ++i) y[i] = 0.0f;
    for (int64_t j = 0; j < parts.dims; ++j)
      for (int64_t i = 0; i < parts.dims; ++i) y[i] = y[i] + x[j] * rotation[j * parts.dims + i];
  }
};

}  // namespace annk::ANNK_ISA
