// SPDX-License-Identifier: Apache-2.0
#include "cuda/scan.cuh"

namespace annk::cuda {

void scan_integer(const ScanArgs& a, bool wide, void* stream) {
  const auto run = [&]<class T>(T) {
    wide ? launch_scan<IntArith<T>, true>(a, stream) : launch_scan<IntArith<T>, false>(a, stream);
  };
  a.base.dtype == DType::i8 ? run(int8_t{}) : run(uint8_t{});
}

}  // namespace annk::cuda
