// SPDX-License-Identifier: Apache-2.0
// Kernels that are each wrong in one way. The table in test_emulator.py says what each mode must report, and that the
// report names the line marked "// here" of the case.
#include "check.h"

static constexpr unsigned kAll = 0xffffffffu;

// ---- barriers

__global__ void two_barriers(int* out) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();  // here: divergent_barrier
  }
  out[threadIdx.x] = 1;
}
CASE(divergent_barrier) {
  int out[64];
  EMU_LAUNCH(two_barriers, dim3(1), dim3(64), 0, nullptr, out);
}

__global__ void leaves_early(int* out) {
  if (threadIdx.x >= 40) return;
  __syncthreads();  // here: exit_before_barrier
  out[threadIdx.x] = 1;
}
CASE(exit_before_barrier) {
  int out[64];
  EMU_LAUNCH(leaves_early, dim3(1), dim3(64), 0, nullptr, out);
}

__global__ void waits_for_each_other(int* out) {
  if (threadIdx.x < 16)
    out[0] = __shfl_sync(kAll, 1, 0);
  else
    __syncthreads();  // here: deadlock
}
CASE(deadlock) {
  int out[64];
  EMU_LAUNCH(waits_for_each_other, dim3(1), dim3(64), 0, nullptr, out);
}

__global__ void named(int which) {
  const int warp = threadIdx.x / 32;
  if (which == 0) emu::bar_sync(1, warp == 0 ? 64 : 96);  // here: named_counts_differ
  if (which == 1) emu::bar_sync(0, 96);                   // here: named_zero
  if (which == 2) emu::bar_sync(1, 80);                   // here: named_part_of_a_warp
  if (which == 3 && warp == 0) emu::bar_arrive(1, 96);
  if (which == 3 && warp == 0) emu::bar_arrive(1, 96);           // here: named_arrives_twice
  if (which == 4 && threadIdx.x % 32 < 8) emu::bar_sync(1, 96);  // here: named_divergent
  if (which == 5 && warp < 2) emu::bar_sync(1, 96);              // here: named_one_short
}
CASE(named_counts_differ) { EMU_LAUNCH(named, dim3(1), dim3(96), 0, nullptr, 0); }
CASE(named_zero) { EMU_LAUNCH(named, dim3(1), dim3(96), 0, nullptr, 1); }
CASE(named_part_of_a_warp) { EMU_LAUNCH(named, dim3(1), dim3(96), 0, nullptr, 2); }
CASE(named_arrives_twice) { EMU_LAUNCH(named, dim3(1), dim3(96), 0, nullptr, 3); }
CASE(named_divergent) { EMU_LAUNCH(named, dim3(1), dim3(96), 0, nullptr, 4); }
CASE(named_one_short) { EMU_LAUNCH(named, dim3(1), dim3(96), 0, nullptr, 5); }

// Barrier 1 orders warps 0 and 1, not warp 2.
__global__ void named_too_few(int* out) {
  EMU_SHARED(int, box, [96]);
  box[threadIdx.x] = 0;
  __syncthreads();
  box[threadIdx.x] = threadIdx.x;
  if (threadIdx.x < 64) {
    emu::bar_sync(1, 64);
    out[threadIdx.x] = box[threadIdx.x + 32];  // here: named_orders_others
  }
}
CASE(named_orders_others) {
  int out[64];
  EMU_LAUNCH(named_too_few, dim3(1), dim3(96), 0, nullptr, out);
}

// The warp that only arrives goes on; what it writes then is not ordered before those who wait.
__global__ void writes_after_arriving(int* out) {
  EMU_SHARED(int, box, [32]);
  if (threadIdx.x < 32) {
    box[threadIdx.x] = 1;
    emu::bar_arrive(1, 64);
    box[threadIdx.x] = 2;
  } else {
    emu::bar_sync(1, 64);
    out[threadIdx.x - 32] = box[threadIdx.x - 32];
  }
}
CASE(write_after_arrive) {
  int out[32];
  EMU_LAUNCH(writes_after_arriving, dim3(1), dim3(64), 0, nullptr, out);
}

// ---- masks

__global__ void masks(int which, int* out) {
  const int lane = threadIdx.x;
  int value = lane;
  if (which == 0) value = __shfl_sync(0x7fffffffu, value, 0);  // here: mask_without_caller
  if (which == 1 && lane >= 20) return;
  if (which == 1) value = __shfl_sync(kAll, value, 0);                                    // here: mask_of_exited
  if (which == 2) value = __shfl_sync(lane < 16 ? 0x0001ffffu : kAll, value, 0);          // here: masks_differ
  if (which == 3 && lane < 16) value = __shfl_xor_sync(0xffffu, value, 16);               // here: shuffle_from_outside
  if (which == 4) value = __shfl_sync(kAll, value, 0, 12);                                // here: shuffle_width
  if (which == 5) value = lane < 16 ? __any_sync(kAll, value) : __all_sync(kAll, value);  // here: operations_differ
  out[lane] = value;
}
CASE(mask_without_caller) {
  int out[32];
  EMU_LAUNCH(masks, dim3(1), dim3(32), 0, nullptr, 0, out);
}
CASE(mask_of_exited) {
  int out[32];
  EMU_LAUNCH(masks, dim3(1), dim3(32), 0, nullptr, 1, out);
}
CASE(masks_differ) {
  int out[32];
  EMU_LAUNCH(masks, dim3(1), dim3(32), 0, nullptr, 2, out);
}
CASE(shuffle_from_outside) {
  int out[32];
  EMU_LAUNCH(masks, dim3(1), dim3(32), 0, nullptr, 3, out);
}
CASE(shuffle_width) {
  int out[32];
  EMU_LAUNCH(masks, dim3(1), dim3(32), 0, nullptr, 4, out);
}
CASE(operations_differ) {
  int out[32];
  EMU_LAUNCH(masks, dim3(1), dim3(32), 0, nullptr, 5, out);
}

// ---- alignment and bounds

__global__ void wide_load(const float* values, float4* out) {
  *out = *reinterpret_cast<const float4*>(values);  // here: misaligned_vector
}
CASE(misaligned_vector) {
  alignas(16) float values[8] = {};
  float4 out;
  EMU_LAUNCH(wide_load, dim3(1), dim3(1), 0, nullptr, values + 1, &out);
}

__global__ void add_at(char* at) {
  atomicAdd(reinterpret_cast<int*>(at), 1);  // here: misaligned_atomic
}
CASE(misaligned_atomic) {
  alignas(16) char bytes[16] = {};
  EMU_LAUNCH(add_at, dim3(1), dim3(1), 0, nullptr, bytes + 2);
}

__global__ void copies(int which, const float* values, float* out) {
  EMU_SHARED(float, box, [64]);
  const int t = threadIdx.x;
  if (which == 0) emu::cp_async<16>(&box[1], values);     // here: misaligned_copy
  if (which == 1) emu::cp_async<4>(&box[t], values + t);  // here: copy_never_waited_for
  if (which == 2) emu::cp_async<4>(out + t, values + t);  // here: copy_to_global
  if (which != 3) return;
  emu::cp_async<4>(&box[t], values + t);
  emu::cp_async_commit();
  emu::cp_async_wait<1>();
  out[t] = box[t];  // here: copy_waited_one_short
  emu::cp_async_wait<0>();
}
static void launch_copies(int which) {
  alignas(16) float values[32] = {}, out[32] = {};
  EMU_LAUNCH(copies, dim3(1), dim3(32), 0, nullptr, which, values, out);
  for (const float x : out) EXPECT(x == 0);
}
CASE(misaligned_copy) { launch_copies(0); }
CASE(copy_never_waited_for) { launch_copies(1); }
CASE(copy_to_global) { launch_copies(2); }
CASE(copy_waited_one_short) { launch_copies(3); }

// The copy may land as soon as it is issued, while the other lanes still read.
__global__ void copies_too_early(const float* values, float* out) {
  EMU_SHARED(float, box, [32]);
  const int t = threadIdx.x;
  box[t] = 0;
  __syncwarp();
  out[t] = box[31 - t];
  emu::cp_async<4>(&box[t], values + t);  // here: copy_issued_too_early
  __syncwarp();
  emu::cp_async_commit();
  emu::cp_async_wait<0>();
}
CASE(copy_issued_too_early) {
  float values[32] = {}, out[32];
  EMU_LAUNCH(copies_too_early, dim3(1), dim3(32), 0, nullptr, values, out);
}

__global__ void past_the_end(int which, int* global, int n) {
  EMU_DYN_SHARED(int, dynamic);
  EMU_SHARED(int, fixed, [32]);
  int* at = which == 0 ? fixed : which == 1 ? dynamic : global;
  at[threadIdx.x + n] = 1;  // here: past_static past_dynamic past_global
}
CASE(past_static) { EMU_LAUNCH(past_the_end, dim3(1), dim3(32), 128, nullptr, 0, nullptr, 1); }
CASE(past_dynamic) { EMU_LAUNCH(past_the_end, dim3(1), dim3(32), 128, nullptr, 1, nullptr, 1); }
CASE(past_global) {
  const std::vector<int> exact(32);
  EMU_LAUNCH(past_the_end, dim3(1), dim3(32), 128, nullptr, 2, const_cast<int*>(exact.data()), 1);
}
CASE(null_pointer) { EMU_LAUNCH(past_the_end, dim3(1), dim3(32), 128, nullptr, 2, nullptr, 0); }

__global__ void recurses(int depth, volatile int* out) {
  volatile int frame[1024];
  frame[0] = depth;
  *out = depth;
  if (depth > 0) recurses(depth - 1, out);
  *out = frame[0];
}
CASE(stack_overflow) {
  int out;
  EMU_LAUNCH(recurses, dim3(1), dim3(32), 0, nullptr, 1000, &out);
}

// ---- configuration

__global__ void large_static(int* out) {
  EMU_SHARED(int, box, [13'000]);
  *out = box[0] = 1;
}
__global__ void nothing() {}
CASE(static_too_large) {
  int out;
  EMU_LAUNCH(large_static, dim3(1), dim3(1), 0, nullptr, &out);
}
CASE(dynamic_not_asked_for) { EMU_LAUNCH(nothing, dim3(1), dim3(1), 50'000, nullptr); }
CASE(block_too_large) { EMU_LAUNCH(nothing, dim3(1), dim3(1025), 0, nullptr); }
CASE(grid_empty) { EMU_LAUNCH(nothing, dim3(0), dim3(1), 0, nullptr); }
CASE(grid_too_high) { EMU_LAUNCH(nothing, dim3(1, 65536), dim3(1), 0, nullptr); }

// ---- shared memory: order and first use

__global__ void shared_order(int which, int* out) {
  EMU_SHARED(int, box, [64]);
  const int t = threadIdx.x;
  if (which != 0) box[t] = 0;
  __syncthreads();
  if (which == 1) box[t] = t;
  if (which == 1) out[t] = box[63 - t];  // here: no_barrier
  if (which == 0 && t < 32) box[t] = t;
  __syncthreads();
  if (which == 0) out[t] = box[t];  // here: never_written
  if (which == 2) out[t] = box[t ^ 1];
  if (which == 2) box[t] = t;   // here: no_syncwarp
  if (which == 3) box[0] += 1;  // here: plain_counter
  if (which == 4 && t == 0) atomicAdd(&box[0], 1);
  if (which == 4 && t == 1) out[0] = box[0];  // here: atomic_and_plain
}
static void launch_order(int which) {
  int out[64] = {};
  EMU_LAUNCH(shared_order, dim3(1), dim3(64), 0, nullptr, which, out);
  if (which == 0) EXPECT(out[63] >= 0 && out[63] < 64);
}
CASE(never_written) { launch_order(0); }
CASE(no_barrier) { launch_order(1); }
CASE(no_syncwarp) { launch_order(2); }
CASE(plain_counter) { launch_order(3); }
CASE(atomic_and_plain) { launch_order(4); }

__global__ void lends_a_local(int* out) {
  int mine = threadIdx.x;
  EMU_SHARED(int*, lent, [32]);
  lent[threadIdx.x] = &mine;
  __syncwarp();
  out[threadIdx.x] = *lent[(threadIdx.x + 1) % 32];  // here: local_of_another_thread
  __syncwarp();
}
CASE(local_of_another_thread) {
  int out[32];
  EMU_LAUNCH(lends_a_local, dim3(1), dim3(32), 0, nullptr, out);
}

// ---- global memory: order within and between blocks

__global__ void global_order(int which, int* values, int* out) {
  const int t = threadIdx.x;
  if (which == 0) values[t] = t;
  if (which == 0) out[t] = values[63 - t];           // here: global_within_a_block
  if (which == 1 && t == 0) values[0] = blockIdx.x;  // here: global_between_blocks
  if (which == 2) values[0] += 1;                    // here: global_plain_counter
}
static void launch_global(int which) {
  int values[64] = {}, out[64];
  EMU_LAUNCH(global_order, dim3(which == 0 ? 1 : 3), dim3(64), 0, nullptr, which, values, out);
}
CASE(global_within_a_block) { launch_global(0); }
CASE(global_between_blocks) { launch_global(1); }
CASE(global_plain_counter) { launch_global(2); }

enum Missing { kWriterFence, kReaderFence, kDeviceScope, kBarrier };
__global__ void last_block(Missing missing, int* parts, unsigned* finished, int* total) {
  EMU_SHARED(bool, last, [1]);
  parts[blockIdx.x * blockDim.x + threadIdx.x] = threadIdx.x;
  if (missing != kBarrier) __syncthreads();
  if (threadIdx.x == 0) {
    if (missing == kDeviceScope)
      __threadfence_block();
    else if (missing != kWriterFence)
      __threadfence();
    last[0] = atomicAdd(finished, 1u) == gridDim.x - 1;
    if (missing != kReaderFence) __threadfence();
  }
  __syncthreads();
  if (!last[0] || threadIdx.x != 0) return;
  // here, next line: no_writer_fence no_reader_fence fence_of_block_scope fence_without_barrier
  for (unsigned i = 0; i < gridDim.x * blockDim.x; ++i) *total += parts[i];
}
static void launch_last_block(Missing missing) {
  int parts[64 * 3], total = 0;
  unsigned finished = 0;
  EMU_LAUNCH(last_block, dim3(3), dim3(64), 0, nullptr, missing, parts, &finished, &total);
}
CASE(no_writer_fence) { launch_last_block(kWriterFence); }
CASE(no_reader_fence) { launch_last_block(kReaderFence); }
CASE(fence_of_block_scope) { launch_last_block(kDeviceScope); }
CASE(fence_without_barrier) { launch_last_block(kBarrier); }

// ---- no end

__global__ void spins(int which, int* flag) {
  if (which == 0)
    while (emu::load_relaxed(flag) == 0) continue;  // here: livelock
  if (which == 1)
    for (;;) __syncwarp();  // here: endless_syncwarp
}
CASE(livelock) {
  int flag = 0;
  EMU_LAUNCH(spins, dim3(1), dim3(32), 0, nullptr, 0, &flag);
}
CASE(endless_syncwarp) {
  int flag = 0;
  EMU_LAUNCH(spins, dim3(1), dim3(32), 0, nullptr, 1, &flag);
}

int main(int count, char** names) { return run_cases(count, names); }
