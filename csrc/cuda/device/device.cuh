// SPDX-License-Identifier: Apache-2.0
// What kernels and launchers share: shared memory and launches by macro (csrc/emu gives them another meaning), launch
// errors, lanes of a warp.
#pragma once
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>
#include <type_traits>

#include "core/platform.h"

// ANNK_SHARED(float, tile, [32][33]);       one array a block
// ANNK_DYN_SHARED(unsigned char, bytes);    the bytes that the launch asked for, 16-byte aligned
// ANNK_LAUNCH((kernel<A, B>), grid, threads, shared_bytes, stream, arguments...);
#if defined(ANNK_EMULATED)
#define ANNK_SHARED(type, name, dims) EMU_SHARED(type, name, dims)
#define ANNK_DYN_SHARED(type, name) EMU_DYN_SHARED(type, name)
#define ANNK_LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                                  \
  do {                                                                                               \
    ::annk::cuda::allow_shared(kernel, shared_bytes);                                                \
    EMU_LAUNCH(kernel, ::annk::cuda::grid_of(grid), dim3(block), shared_bytes, stream, __VA_ARGS__); \
  } while (false)
#else
#define ANNK_SHARED(type, name, dims) __shared__ __align__(16)::std::type_identity_t<type dims> name
#define ANNK_DYN_SHARED(type, name)                                    \
  extern __shared__ __align__(16) unsigned char annk_dynamic_shared[]; \
  type* name = reinterpret_cast<type*>(annk_dynamic_shared)
#define ANNK_LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
  ::annk::cuda::launch(kernel, grid, block, shared_bytes, stream, __VA_ARGS__)
#endif

namespace annk::cuda {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;
// Beyond this a kernel needs an attribute that allows it.
inline constexpr size_t kPlainSharedBytes = 48 * 1024;

inline void require_success(cudaError_t status, const char* what) {
  if (status == cudaSuccess) [[likely]]
    return;
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
}

// One-dimensional grids only: y and z end at 65,535.
inline dim3 grid_of(int64_t blocks) {
  if (blocks > 0x7fffffff) throw std::runtime_error("kernel launch: grid of " + std::to_string(blocks) + " blocks");
  return dim3(static_cast<unsigned>(blocks));
}

template <class... Parameters>
void allow_shared(void (*kernel)(Parameters...), size_t bytes) {
  if (bytes <= kPlainSharedBytes) return;
  require_success(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
                  "shared memory of a kernel");
}

#if !defined(ANNK_EMULATED)
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), int64_t grid, int block, size_t shared_bytes, void* stream,
            const Arguments&... arguments) {
  allow_shared(kernel, shared_bytes);
  cudaLaunchConfig_t config{};
  config.gridDim = grid_of(grid);
  config.blockDim = dim3(static_cast<unsigned>(block));
  config.dynamicSmemBytes = shared_bytes;
  config.stream = static_cast<cudaStream_t>(stream);
  require_success(cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...), "kernel launch");
}
#endif

// Where no call comes: an error, rather than the result of another case.
[[noreturn]] inline void no_kernel(const char* what) { throw std::logic_error(std::string("no kernel for this ") + what); }
[[noreturn]] __device__ __forceinline__ void trap() {
  __trap();
  __builtin_unreachable();
}

template <class T>
ANNK_HD constexpr T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}

__device__ __forceinline__ int lane_id() { return static_cast<int>(threadIdx.x) % kWarp; }
__device__ __forceinline__ int warp_id() { return static_cast<int>(threadIdx.x) / kWarp; }

template <class T>
__device__ __forceinline__ T warp_sum(T value) {
  for (int step = kWarp / 2; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
  return value;
}

}  // namespace annk::cuda
