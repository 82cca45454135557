// SPDX-License-Identifier: Apache-2.0
// The tensor-core instructions, by the fragment layouts of the PTX manual ("Matrix Fragments for mma.m16n8k16", ".m16n8k8",
// ".m16n8k32", "ldmatrix"): lane = 4 * group + position holds row `group` of A and column `group` of B. Products are exact,
// sums of floats lose bits: compare with a tolerance.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "worker.h"

namespace emu {

static float from_half(uint32_t bits) {
  const int exponent = static_cast<int>(bits >> 10 & 31u), mantissa = static_cast<int>(bits & 1023u);
  const float sign = bits & 0x8000u ? -1.0f : 1.0f;
  if (exponent == 31) return mantissa ? std::nanf("") : sign * INFINITY;
  return sign * (exponent ? std::ldexp(static_cast<float>(1024 + mantissa), exponent - 25)
                          : std::ldexp(static_cast<float>(mantissa), -24));
}

// How many columns of A (rows of B) one instruction spans, and how many elements a register holds.
struct Depth {
  int k, pack;
};
static Depth depth_of(Op op) {
  if (op == Op::mma_tf32) return {8, 1};
  return op == Op::mma_s8 || op == Op::mma_u8 ? Depth{32, 4} : Depth{16, 2};
}

// Element i of a fragment of registers. The low 13 bits of tf32 are ignored.
static float element(const uint32_t* registers, int i, Op op) {
  if (op == Op::mma_tf32) return std::bit_cast<float>(registers[i] & ~0x1fffu);
  if (op == Op::mma_s8) return static_cast<int8_t>(registers[i / 4] >> (8 * (i % 4)));
  if (op == Op::mma_u8) return static_cast<uint8_t>(registers[i / 4] >> (8 * (i % 4)));
  const uint32_t bits = registers[i / 2] >> (16 * (i % 2)) & 0xffffu;
  return op == Op::mma_bf16 ? std::bit_cast<float>(bits << 16) : from_half(bits);
}

// The power of two under which `x` (not 0) loses no bit of a float: that of its 24th bit.
static double unit_of(double x) {
  const uint64_t exponent = std::bit_cast<uint64_t>(x) >> 52 & 2047u;
  return std::bit_cast<double>((exponent > 23 ? exponent - 23 : 1) << 52);
}
static double truncate(double x, double unit) { return static_cast<double>(static_cast<int64_t>(x / unit)) * unit; }

// Four products at a time are aligned with the sum so far, to the largest of the five, and truncated to its 24 bits, as is
// their sum: what the least exact hardware does. Infinity and NaN go their way.
static float add_products(float sum, const float* a, const float (*b)[8], int column, int k) {
  for (int x = 0; x < k; x += 4) {
    double terms[5] = {sum}, largest = std::abs(terms[0]), total = 0, plain = sum;
    for (int i = 0; i < 4; ++i) {
      terms[i + 1] = static_cast<double>(a[x + i]) * b[x + i][column];
      plain += terms[i + 1];
      largest = std::max(largest, std::abs(terms[i + 1]));
    }
    if (largest == 0 || !std::isfinite(plain)) {
      sum = static_cast<float>(plain);
      continue;
    }
    const double unit = unit_of(largest);
    for (const double term : terms) total += truncate(term, unit);
    sum = total == 0 ? 0 : static_cast<float>(truncate(total, unit_of(total)));
  }
  return sum;
}
// Integers are exact, and wrap.
static int32_t add_products(int32_t sum, const float* a, const float (*b)[8], int column, int k) {
  auto total = static_cast<uint32_t>(sum);
  for (int x = 0; x < k; ++x) total += static_cast<uint32_t>(static_cast<int32_t>(a[x] * b[x][column]));
  return static_cast<int32_t>(total);
}

template <class Sum>
static void multiply(Lane* lanes, Op op) {
  const auto [k, pack] = depth_of(op);
  float a[16][32], b[32][8];
  Sum c[16][8];
  for (int l = 0; l < 32; ++l) {
    const int group = l / 4, position = l % 4;
    uint32_t registers_a[4], registers_b[2];
    Sum sums[4];
    std::memcpy(registers_a, lanes[l].in, sizeof registers_a);
    std::memcpy(registers_b, lanes[l].in + 2, sizeof registers_b);
    std::memcpy(sums, lanes[l].in + 3, sizeof sums);
    for (int r = 0; r < 4; ++r)
      for (int e = 0; e < pack; ++e)
        a[group + r % 2 * 8][position * pack + e + r / 2 * (k / 2)] = element(registers_a, r * pack + e, op);
    for (int r = 0; r < 2; ++r)
      for (int e = 0; e < pack; ++e) b[position * pack + e + r * (k / 2)][group] = element(registers_b, r * pack + e, op);
    for (int i = 0; i < 4; ++i) c[group + i / 2 * 8][position * 2 + i % 2] = sums[i];
  }
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; ++j) c[i][j] = add_products(c[i][j], a[i], b, j, k);
  for (int l = 0; l < 32; ++l) {
    Sum sums[4];
    for (int i = 0; i < 4; ++i) sums[i] = c[l / 4 + i / 2 * 8][l % 4 * 2 + i % 2];
    std::memcpy(lanes[l].out, sums, sizeof sums);
  }
}

void combine_mma(Lane* lanes, Op op) {
  op == Op::mma_s8 || op == Op::mma_u8 ? multiply<int32_t>(lanes, op) : multiply<float>(lanes, op);
}

static void load_row(Worker& w, const Lane& lane, unsigned index, uint16_t (&row)[8]) {
  const auto* address = reinterpret_cast<const char*>(lane.in[0]);
  Fiber& reader = w.fibers[w.running->thread.warp * 32 + index];
  if (lane.in[0] % 16 != 0) {
    fail("ALIGN: ldmatrix row of lane %u is not 16-byte aligned, at %s", index, place(reader.where).c_str());
  }
  if (!in_shared(w, address, 16)) {
    fail("SMEM: ldmatrix row of lane %u is not in shared memory, at %s", index, place(reader.where).c_str());
  }
  race::access(w, reader, address, 16, Access::read, reader.where);
  std::memcpy(row, address, 16);
}

void combine_ldmatrix(Lane* lanes, Op op) {
  const int count = lanes[0].argument;
  for (int m = 0; m < count; ++m) {
    uint16_t matrix[8][8];
    for (int row = 0; row < 8; ++row) load_row(*worker, lanes[m * 8 + row], static_cast<unsigned>(m * 8 + row), matrix[row]);
    for (int l = 0; l < 32; ++l) {
      const int row = l / 4, column = l % 4 * 2;
      uint16_t pair[2] = {matrix[row][column], matrix[row][column + 1]};
      if (op == Op::ldmatrix_trans) {
        pair[0] = matrix[column][row];
        pair[1] = matrix[column + 1][row];
      }
      std::memcpy(reinterpret_cast<char*>(lanes[l].out) + m * 4, pair, 4);
    }
  }
}

}  // namespace emu
