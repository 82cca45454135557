// SPDX-License-Identifier: Apache-2.0
// csrc/_template does what it says, on the CPU (ANNK_ISA set) and through the emulator (ANNK_EMULATED).
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "_template/row_sums.h"
#if defined(ANNK_EMULATED)  // whose device memory is the host's
namespace isa = annk;
#else
namespace annk::ANNK_ISA {
void row_sums(const RowSumsArgs&);
}
namespace isa = annk::ANNK_ISA;
#endif

void require(bool holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "template: %s\n", what);
  exit(1);
}

float element(int64_t i, int64_t j) { return static_cast<float>((i * 37 + j * 11) % 101) / 8.0f; }

void check_sums(int64_t rows, int64_t dims) {
  const int64_t stride = dims + 3;
  std::vector<float> x(rows * stride + 1), sums(rows + 1, -1.0f);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < dims; ++j) x[i * stride + j] = element(i, j);
  isa::row_sums({{x.data(), rows, dims, stride * 4, annk::DType::f32}, sums.data(), {}});
  for (int64_t i = 0; i < rows; ++i) {
    float sum = 0.0f;
    for (int64_t j = 0; j < dims; ++j) sum += element(i, j);
    require(sums[i] == sum, "a row's sum");
  }
  require(sums[rows] == -1.0f, "what lies behind the results");
}

int main() {
  for (int64_t rows : {0, 1, 33, 600})
    for (int64_t dims : {0, 1, 31, 32, 65}) check_sums(rows, dims);
}
