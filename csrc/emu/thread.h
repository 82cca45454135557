// SPDX-License-Identifier: Apache-2.0
// The running CUDA thread, and the calls by which device code enters the emulator.
#pragma once
#include <cstddef>
#include <cstdint>

#include "types.h"

// Device code may be compiled with -fsanitize=thread, whose hooks report every load and store to the race detector.
// Functions that touch the emulator's own memory are kept out of that.
#if defined(__SANITIZE_THREAD__)
#define EMU_UNTRACED __attribute__((noinline, no_sanitize("thread")))
#else
#define EMU_UNTRACED
#endif
// Out of line always, so that the return address is the place in the kernel that called.
#define EMU_ENTRY __attribute__((noinline)) EMU_UNTRACED

// Where the caller stands. Two plain default arguments are resolved at the call; a braced Location{...} as one default
// argument would name this header instead.
#define EMU_HERE const char *file_ = __builtin_FILE(), int line_ = __builtin_LINE()
#define EMU_LOCATION (::emu::Location{file_, line_, __builtin_return_address(0)})

namespace emu {

struct Location {
  const char* file = nullptr;
  int line = 0;
  const void* pc = nullptr;
};

// What a lane brings to a warp operation and takes away from it.
struct Lane {
  uint64_t in[6], out[2];
  int argument, width;
};

struct Thread {
  uint3 index, block;
  dim3 block_dim, grid_dim;
  unsigned linear, lane, warp;
  Lane* lanes;
  unsigned char* dynamic_shared;
};

extern thread_local Thread* current;  // null on the host

EMU_UNTRACED inline uint3 thread_index() { return current->index; }
EMU_UNTRACED inline uint3 block_index() { return current->block; }
EMU_UNTRACED inline dim3 block_dimensions() { return current->block_dim; }
EMU_UNTRACED inline dim3 grid_dimensions() { return current->grid_dim; }
EMU_UNTRACED inline unsigned char* dynamic_shared() { return current->dynamic_shared; }
EMU_UNTRACED inline Lane& my_lane() { return current->lanes[current->lane]; }

enum class Op : uint8_t {
  syncwarp,
  shfl,
  shfl_up,
  shfl_down,
  shfl_xor,
  ballot,
  any,
  all,
  match_any,
  add,
  min_signed,
  max_signed,
  min_unsigned,
  max_unsigned,
  bit_and,
  bit_or,
  bit_xor,
  mma_f16,
  mma_bf16,
  mma_tf32,
  mma_s8,
  mma_u8,
  ldmatrix,
  ldmatrix_trans,
  bar_sync,
  bar_arrive
};
// Waits for every lane in the mask; the last to come computes `out` of all from `in` of all.
void collective(unsigned mask, Op op, Location);

// Waits for the whole block. Returns in how many threads `vote` was true.
int block_barrier(bool vote, Location);
// Barriers 1..15 among `threads` threads, whole warps; op is bar_sync or bar_arrive.
void named_barrier(int id, int threads, Op op, Location);

enum class Access : uint8_t { read, write, atomic_read, atomic_write, atomic_update, async_write };
enum class Order : uint8_t { relaxed, acquire, release };
enum class Scope : uint8_t { block, device };
// To be called just before the atomic operation itself: other threads may run inside it, but not after it.
void atomic_access(const volatile void* address, size_t bytes, Access, Order, Location);
void fence(Scope);

void* static_shared(const void* key, size_t bytes, size_t alignment, const char* name);

void copy_async(void* shared, const void* global, int bytes, int source_bytes, Location);
void commit_copies();
void wait_copies(int groups_in_flight);

// Ends the launch with this text and the place of the running thread.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace emu

#define threadIdx (::emu::thread_index())
#define blockIdx (::emu::block_index())
#define blockDim (::emu::block_dimensions())
#define gridDim (::emu::grid_dimensions())
inline constexpr int warpSize = 32;
