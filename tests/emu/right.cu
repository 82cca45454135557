// SPDX-License-Identifier: Apache-2.0
// Kernels that are right: every mode and every seed must agree, and stay silent.
#include <cmath>
#include <numeric>

#include "check.h"

static constexpr unsigned kAll = 0xffffffffu;

template <class T>
__global__ void block_sums(const T* values, int n, T* sums) {
  EMU_SHARED(T, parts, [8]);
  EMU_DYN_SHARED(T, own);
  T sum = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) sum += values[i];
  own[threadIdx.x] = sum;
  __syncthreads();
  sum = own[(threadIdx.x + 1) % blockDim.x];
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(kAll, sum, step);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  T total = 0;
  for (unsigned w = 0; w < blockDim.x / 32; ++w) total += parts[w];
  sums[blockIdx.x] = total;
}

CASE(sums) {
  std::vector<int> values(1000), sums(5);
  std::iota(values.begin(), values.end(), 1);
  EMU_LAUNCH((block_sums<int>), dim3(5), dim3(256), 256 * sizeof(int), nullptr, values.data(), 1000, sums.data());
  EXPECT(std::accumulate(sums.begin(), sums.end(), 0) == 500500);
}

__global__ void warp_operations(int* failures) {
  const auto expect = [&](bool holds) {
    if (!holds) atomicAdd(failures, 1);
  };
  const int lane = threadIdx.x % 32;
  expect(__shfl_sync(kAll, lane, 5) == 5 && __shfl_sync(kAll, lane, 3, 8) == lane / 8 * 8 + 3);
  expect(__shfl_up_sync(kAll, lane, 2) == (lane < 2 ? lane : lane - 2));
  expect(__shfl_down_sync(kAll, lane, 1, 16) == (lane % 16 == 15 ? lane : lane + 1));
  if (lane < 16)
    expect(__shfl_xor_sync(0xffffu, lane, 8) == (lane ^ 8));
  else
    expect(__shfl_xor_sync(0xffff0000u, lane, 4) == (lane ^ 4));
  const float4 v = __shfl_sync(kAll, make_float4(static_cast<float>(lane), 1, 2, 3), 9);
  expect(v.x == 9 && v.w == 3);
  expect(__ballot_sync(kAll, lane & 1) == 0xaaaaaaaau);
  expect(__any_sync(kAll, lane == 7) && !__all_sync(kAll, lane == 7) && __all_sync(kAll, 1));
  expect(__match_any_sync(kAll, lane / 8) == 0xffu << (lane / 8 * 8));
  expect(__reduce_add_sync(kAll, 1u) == 32u && __reduce_min_sync(kAll, lane - 40) == -40 &&
         __reduce_max_sync(kAll, lane) == 31);
  expect(__reduce_min_sync(kAll, ~0u - lane) == ~0u - 31 && __reduce_or_sync(kAll, 1u << lane) == kAll);
  expect(__reduce_and_sync(kAll, ~(1u << lane)) == 0 && __reduce_xor_sync(kAll, static_cast<unsigned>(lane)) == 0);
  expect(__syncthreads_count(lane < 8) == static_cast<int>(blockDim.x) / 4);
  expect(__syncthreads_or(lane == 3) && !__syncthreads_and(lane == 3) && __syncthreads_and(1));
}

CASE(warp) {
  int failures = 0;
  EMU_LAUNCH(warp_operations, dim3(2), dim3(96), 0, nullptr, &failures);
  EXPECT(failures == 0);
}

__global__ void scalar_operations(int* failures) {
  const auto expect = [&](bool holds) { *failures += !holds; };
  expect(__popc(0xf0f0u) == 8 && __popcll(~0ull) == 64 && __clz(1) == 31 && __clz(0) == 32 && __clzll(1) == 63);
  expect(__ffs(8) == 4 && __ffs(0) == 0 && __ffsll(1ll << 40) == 41 && __brev(1u) == 0x80000000u);
  expect(__dp4a(0x01ff02fe, 0x02020202, 5) == 5 && __dp4a(0x01ff02feu, 0x02020202u, 5u) == 5 + 2 * (1 + 255 + 2 + 254));
  expect(__byte_perm(0x33221100u, 0x77665544u, 0x5410u) == 0x55441100u && __byte_perm(0x80u, 0, 0x0008u) == 0x808080ffu);
  expect(__funnelshift_l(0x80000000u, 1u, 1) == 3u && __funnelshift_r(1u, 1u, 1) == 0x80000000u);
  expect(__float_as_uint(1.0f) == 0x3f800000u && __int_as_float(0x40000000) == 2.0f);
  unsigned counter = 5;
  expect(atomicInc(&counter, 5u) == 5 && counter == 0 && atomicDec(&counter, 7u) == 0 && counter == 7);
  expect(atomicCAS(&counter, 7u, 9u) == 7 && atomicCAS(&counter, 7u, 1u) == 9 && atomicExch(&counter, 3u) == 9 &&
         counter == 3);
  expect(atomicMax(&counter, 8u) == 3 && atomicMin(&counter, 2u) == 8 && atomicOr(&counter, 4u) == 2 && counter == 6);
}

CASE(scalar) {
  int failures = 0;
  EMU_LAUNCH(scalar_operations, dim3(1), dim3(1), 0, nullptr, &failures);
  EXPECT(failures == 0);
}

// Two stages of asynchronous copies, the second in flight while the first is read; the tail is filled with zeros.
__global__ void pipeline(const float* values, int n, float* sums) {
  EMU_SHARED(float, stage, [2][128]);
  const int t = threadIdx.x, tiles = (n + 127) / 128;
  const auto fetch = [&](int tile) {
    const int at = tile * 128 + t * 4, left = n - at < 0 ? 0 : n - at > 4 ? 4 : n - at;
    emu::cp_async<16>(&stage[tile % 2][t * 4], values + (left ? at : 0), left * 4);
    emu::cp_async_commit();
  };
  float sum = 0;
  fetch(0);
  for (int tile = 0; tile < tiles; ++tile) {
    if (tile + 1 < tiles) {
      fetch(tile + 1);
      emu::cp_async_wait<1>();
    } else {
      emu::cp_async_wait<0>();
    }
    __syncwarp();
    for (int i = 0; i < 4; ++i) sum += stage[tile % 2][t + 32 * i];
    __syncwarp();
  }
  sums[t] = sum;
}

CASE(copies) {
  alignas(16) static float values[1002];
  std::iota(values, values + 1002, 1.0f);
  std::vector<float> sums(32);
  EMU_LAUNCH(pipeline, dim3(1), dim3(32), 0, nullptr, values, 1002, sums.data());
  EXPECT(std::accumulate(sums.begin(), sums.end(), 0.0f) == 1002 * 1003 / 2);
}

// Warps 0 and 1 make what warps 2 and 3 use, with a full and an empty barrier; block-wide barriers are never met.
__global__ void producers(int rounds, int* sums) {
  EMU_SHARED(int, box, [64]);
  const int t = threadIdx.x;
  int sum = 0;
  for (int round = 0; round < rounds; ++round) {
    if (t < 64) {
      if (round != 0) emu::bar_sync(2, 128);
      box[t] = round * 64 + t;
      emu::bar_arrive(1, 128);
    } else {
      emu::bar_sync(1, 128);
      sum += box[(t + 7) % 64];
      if (round + 1 != rounds) emu::bar_arrive(2, 128);
    }
  }
  if (t >= 64) sums[t - 64] = sum;
}

CASE(named_barriers) {
  std::vector<int> sums(64);
  EMU_LAUNCH(producers, dim3(1), dim3(128), 0, nullptr, 5, sums.data());
  EXPECT(std::accumulate(sums.begin(), sums.end(), 0) == 320 * 319 / 2);
}

// The last block to finish adds up what all have written.
__global__ void last_block(int* parts, unsigned* finished, int* total) {
  EMU_SHARED(bool, last, [1]);
  parts[blockIdx.x * blockDim.x + threadIdx.x] = threadIdx.x;
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    last[0] = atomicAdd(finished, 1u) == gridDim.x - 1;
    __threadfence();
  }
  __syncthreads();
  if (!last[0] || threadIdx.x != 0) return;
  for (unsigned i = 0; i < gridDim.x * blockDim.x; ++i) *total += parts[i];
}

CASE(last_block) {
  std::vector<int> parts(7 * 64);
  unsigned finished = 0;
  int total = 0;
  EMU_LAUNCH(last_block, dim3(7), dim3(64), 0, nullptr, parts.data(), &finished, &total);
  EXPECT(total == 7 * 63 * 32);
}

// One warp waits for a flag of another, by release and acquire; another by fences of block scope.
__global__ void flags(int* out) {
  EMU_SHARED(int, data, [3]);
  EMU_SHARED(int, ready, [2]);
  const int warp = threadIdx.x / 32;
  if (threadIdx.x < 2) ready[threadIdx.x] = 0;
  __syncthreads();
  if (threadIdx.x % 32 != 0) return;
  if (warp == 0) {
    data[0] = 41;
    emu::store_release(&ready[0], 1);
  } else if (warp == 1) {
    while (emu::load_acquire(&ready[0]) == 0) continue;
    data[1] = data[0] + 1;
    __threadfence_block();
    emu::store_relaxed(&ready[1], 1);
  } else {
    while (emu::load_relaxed(&ready[1]) == 0) continue;
    __threadfence_block();
    *out = data[0] + data[1];
  }
}

CASE(flags) {
  int out = 0;
  EMU_LAUNCH(flags, dim3(1), dim3(96), 0, nullptr, &out);
  EXPECT(out == 83);
}

// Bytes of one word belong to different threads; relaxed loads and plain loads of the same value meet.
__global__ void neighbours(unsigned char* bytes, const int* value, int* out) {
  bytes[threadIdx.x] = static_cast<unsigned char>(threadIdx.x);
  out[threadIdx.x] = threadIdx.x % 2 ? emu::load_relaxed(value) : *value;
}

CASE(neighbours) {
  std::vector<unsigned char> bytes(64);
  std::vector<int> out(64);
  const int value = 3;
  EMU_LAUNCH(neighbours, dim3(1), dim3(64), 0, nullptr, bytes.data(), &value, out.data());
  for (int i = 0; i < 64; ++i) EXPECT(bytes[i] == i && out[i] == 3);
}

__global__ void large_dynamic(int n, int* out) {
  EMU_DYN_SHARED(int, values);
  for (int i = threadIdx.x; i < n; i += blockDim.x) values[i] = i;
  __syncthreads();
  out[threadIdx.x] = values[n - 1 - threadIdx.x];
}

CASE(dynamic_shared) {
  std::vector<int> out(32);
  EXPECT(cudaFuncSetAttribute(large_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 100'000) == cudaSuccess);
  EXPECT(cudaFuncSetAttribute(large_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 1'000'000) != cudaSuccess);
  EXPECT(cudaGetLastError() == cudaErrorInvalidValue && cudaGetLastError() == cudaSuccess);
  EMU_LAUNCH(large_dynamic, dim3(1), dim3(32), 100'000, nullptr, 25'000, out.data());
  EXPECT(out[0] == 24'999 && out[31] == 24'968);
}

int main(int count, char** names) { return run_cases(count, names); }
