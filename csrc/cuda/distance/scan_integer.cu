// SPDX-License-Identifier: Apache-2.0
#include "cuda/distance/scan.cuh"

namespace annk::cuda {

namespace {
struct ByteRows {
  template <class Body>
  static void visit(const ScanArgs& a, Body&& body) {
    a.base.dtype == DType::i8 ? body(std::type_identity<IntArith<int8_t>>()) : body(std::type_identity<IntArith<uint8_t>>());
  }
};
}  // namespace

const ScanKernels integer_kernels = kScanKernels<ByteRows>;

}  // namespace annk::cuda
