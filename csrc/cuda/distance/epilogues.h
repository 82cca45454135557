// SPDX-License-Identifier: Apache-2.0
// The epilogues that scans are compiled with, and the kernels of each arithmetic under them. Another one is a file beside
// these and its name in AnyEpilogue.
#pragma once
#include <variant>

#include "cuda/distance/epilogue_count.cuh"
#include "cuda/distance/epilogue_select.cuh"
#include "cuda/distance/epilogue_write.cuh"

namespace annk::cuda {

using AnyEpilogue = std::variant<Write, Select, Count>;

struct ScanKernels {
  void (*scan)(const ScanArgs&, const AnyEpilogue&, bool wide, void* stream);
  void (*pairs)(const PairArgs&, void* stream);
};

// Of each family, in a source of its own: kernels compile side by side.
extern const ScanKernels dot_kernels, l2_kernels, step_kernels, integer_kernels, bit_kernels;

}  // namespace annk::cuda
