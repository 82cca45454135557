// SPDX-License-Identifier: Apache-2.0
// The tensor-core twins against plain matrix products, fragments filled by the PTX manual's formulas for row and column.
#include <cmath>
#include <random>

#include "check.h"

enum class Kind { f16, bf16, tf32, s8, u8 };
template <Kind kKind>
using SumOf = std::conditional_t<kKind == Kind::s8 || kKind == Kind::u8, int32_t, float>;
constexpr int depth_of(Kind kind) { return kind == Kind::tf32 ? 8 : kind == Kind::s8 || kind == Kind::u8 ? 32 : 16; }

static float value_of(Kind kind, uint32_t bits) {
  if (kind == Kind::tf32) return __uint_as_float(bits & ~0x1fffu);
  if (kind == Kind::bf16) return __uint_as_float(bits << 16);
  if (kind == Kind::s8) return static_cast<int8_t>(bits);
  if (kind == Kind::u8) return static_cast<uint8_t>(bits);
  const float magnitude = __uint_as_float((bits & 0x7fffu) << 13) * 0x1p112f;
  return bits & 0x8000u ? -magnitude : magnitude;
}

// Row-major A (16, k), B stored as rows of its columns (8, k): one element a place.
template <Kind kKind>
__global__ void multiply(const uint32_t* a, const uint32_t* b, const SumOf<kKind>* c, SumOf<kKind>* d) {
  constexpr int k = depth_of(kKind), pack = k / 8, bits = 32 / pack;
  const int group = threadIdx.x / 4, position = threadIdx.x % 4;
  uint32_t fragment_a[4] = {}, fragment_b[2] = {};
  SumOf<kKind> sums[4];
  for (int i = 0; i < 4; ++i) {
    const int row = group + (i % 2 ? 8 : 0), column = position * pack + (i >= 2 ? k / 2 : 0);
    for (int e = 0; e < pack; ++e) fragment_a[i] |= a[row * k + column + e] << e * bits;
    sums[i] = c[(group + (i >= 2 ? 8 : 0)) * 8 + position * 2 + i % 2];
  }
  for (int i = 0; i < 2; ++i)
    for (int e = 0; e < pack; ++e) fragment_b[i] |= b[group * k + position * pack + i * (k / 2) + e] << e * bits;
  if constexpr (kKind == Kind::f16) emu::mma_m16n8k16_f16(sums, fragment_a, fragment_b, sums);
  if constexpr (kKind == Kind::bf16) emu::mma_m16n8k16_bf16(sums, fragment_a, fragment_b, sums);
  if constexpr (kKind == Kind::tf32) emu::mma_m16n8k8_tf32(sums, fragment_a, fragment_b, sums);
  if constexpr (kKind == Kind::s8) emu::mma_m16n8k32_s8(sums, fragment_a, fragment_b, sums);
  if constexpr (kKind == Kind::u8) emu::mma_m16n8k32_u8(sums, fragment_a, fragment_b, sums);
  for (int i = 0; i < 4; ++i) d[(group + (i >= 2 ? 8 : 0)) * 8 + position * 2 + i % 2] = sums[i];
}

template <Kind kKind>
static void check_product() {
  constexpr int k = depth_of(kKind);
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(-2, 2);
  const auto draw = [&] {
    const uint32_t bits = __float_as_uint(uniform(random));
    if (kKind == Kind::tf32) return bits;
    if (kKind == Kind::bf16) return bits >> 16;
    if (kKind == Kind::f16) return static_cast<uint32_t>(random()) & 0xbfffu;  // below 2 in magnitude, subnormals included
    return static_cast<uint32_t>(random()) & 0xffu;
  };
  std::vector<uint32_t> a(16 * k), b(8 * k);
  std::vector<SumOf<kKind>> c(128), d(128);
  for (auto& x : a) x = draw();
  for (auto& x : b) x = draw();
  for (auto& x : c) x = static_cast<SumOf<kKind>>(100 * uniform(random));
  EMU_LAUNCH(multiply<kKind>, dim3(1), dim3(32), 0, nullptr, a.data(), b.data(), c.data(), d.data());
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 8; ++j) {
      double sum = c[i * 8 + j];
      for (int x = 0; x < k; ++x) sum += static_cast<double>(value_of(kKind, a[i * k + x])) * value_of(kKind, b[j * k + x]);
      const double allowed = std::is_same_v<SumOf<kKind>, float> ? 1e-5 * (1 + std::abs(sum)) : 0;
      EXPECT(std::abs(sum - d[i * 8 + j]) <= allowed);
    }
  }
}

CASE(mma_f16) { check_product<Kind::f16>(); }
CASE(mma_bf16) { check_product<Kind::bf16>(); }
CASE(mma_tf32) { check_product<Kind::tf32>(); }
CASE(mma_s8) { check_product<Kind::s8>(); }
CASE(mma_u8) { check_product<Kind::u8>(); }

// Matrix m holds 100 m + 10 row + column.
template <int kCount, bool kTransposed>
__global__ void load_matrices(uint32_t* out) {
  EMU_SHARED(uint16_t, rows, [kCount * 8][8]);
  const int lane = threadIdx.x;
  for (int i = lane; i < kCount * 64; i += 32)
    rows[i / 8][i % 8] = static_cast<uint16_t>(i / 64 * 100 + i / 8 % 8 * 10 + i % 8);
  __syncwarp();
  uint32_t registers[kCount];
  emu::ldmatrix<kCount, kTransposed>(registers, rows[lane % (kCount * 8)]);
  for (int m = 0; m < kCount; ++m) out[lane * kCount + m] = registers[m];
}

template <int kCount, bool kTransposed>
static void check_matrices() {
  std::vector<uint32_t> out(32 * kCount);
  EMU_LAUNCH((load_matrices<kCount, kTransposed>), dim3(1), dim3(32), 0, nullptr, out.data());
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < kCount * 2; ++i) {
      const int row = lane / 4, column = lane % 4 * 2 + i % 2;
      const int expected = i / 2 * 100 + (kTransposed ? column * 10 + row : row * 10 + column);
      EXPECT(static_cast<int>(out[lane * kCount + i / 2] >> (i % 2 * 16) & 0xffffu) == expected);
    }
  }
}

CASE(ldmatrix_x1) { check_matrices<1, false>(); }
CASE(ldmatrix_x2) { check_matrices<2, false>(); }
CASE(ldmatrix_x4) { check_matrices<4, false>(); }
CASE(ldmatrix_x2_trans) { check_matrices<2, true>(); }
CASE(ldmatrix_x4_trans) { check_matrices<4, true>(); }

int main(int count, char** names) { return run_cases(count, names); }
