// SPDX-License-Identifier: Apache-2.0
// The k smallest candidates of each row, for any k: digits of 11 bits are counted from the top down until the k-th is
// known, then what is not greater is gathered, unordered. Digits of the key first, then of the tie, and those only where
// the k-th key is shared. Many blocks work on a row; each finds out for itself, from the counts of the pass before, where
// the k-th lies, so that passes follow each other on the stream without a wait. The second pass also copies what may
// still be selected to a buffer, where that is little enough, and later passes read the buffer.
#pragma once
#include "cuda/device/workspace.h"
#include "cuda/select/select_source.cuh"

namespace annk::cuda {

inline constexpr int kRadixThreads = 256;
inline constexpr int kRadixBits = 11, kBins = 1 << kRadixBits;
inline constexpr int kKeyPasses = 3;

// Bits [shift, shift + bits) of the key (11, 11, 10) or of the tie.
struct Digit {
  bool of_tie;
  int shift, bits;
};
ANNK_HD constexpr Digit digit_of(int pass, int tie_bits) {
  const int width = pass < kKeyPasses ? 32 : tie_bits;
  const int top = width - kRadixBits * (pass < kKeyPasses ? pass : pass - kKeyPasses);
  const int shift = top > kRadixBits ? top - kRadixBits : 0;
  return {pass >= kKeyPasses, shift, top - shift};
}
constexpr int passes_for(int tie_bits) { return kKeyPasses + (tie_bits + kRadixBits - 1) / kRadixBits; }
static_assert(digit_of(2, 0).shift == 0 && digit_of(2, 0).bits == 10);

// What is known of a row's k-th before a pass: the digits above, and how many of those that share them are wanted. Once
// done, (order, tie) is the greatest that is selected.
struct RowState {
  uint64_t tie;
  uint32_t key_bits;
  uint32_t wanted;
  uint32_t buffered;  // candidates in the buffer, 0 where it is not used
  bool done;
};

template <class Source>
struct RadixArgs {
  Source source;
  int64_t rows = 0, k = 0, capacity = 0;
  int32_t shares = 1;  // blocks of a row
  int32_t tie_bits = 0, passes = 0;
  RowState* states = nullptr;           // (rows, passes + 1)
  uint32_t* counts = nullptr;           // (rows, passes, bins)
  KeyId* buffer = nullptr;              // (rows, capacity)
  uint32_t* buffered = nullptr;         // (rows)
  KeyId* selected = nullptr;            // (rows, k)
  uint32_t* selected_counts = nullptr;  // (rows)
};

// body(entries of four places) for the share of a row that this block has. All lanes of a warp come along.
template <class Source, class Body>
__device__ __forceinline__ void for_share(const RadixArgs<Source>& a, int64_t row, uint32_t share, uint32_t buffered,
                                          Body&& body) {
  // Fewer than 2^32 candidates: 32-bit divisions, which need no call.
  const uint32_t length = buffered > 0 ? buffered : static_cast<uint32_t>(a.source.length());
  const int64_t each = 4 * static_cast<int64_t>((length >> 2) / a.shares + 1);
  const int64_t begin = share * each, end = begin + each < length ? begin + each : length;
  const KeyId* buffer = a.buffer + row * a.capacity;
  for (int64_t first = begin; first < end; first += 4 * kRadixThreads) {
    const int64_t i = first + 4 * static_cast<int64_t>(threadIdx.x);
    KeyId key_ids[4];
    if (buffered > 0 || i >= end) {
#pragma unroll
      for (int j = 0; j < 4; ++j) key_ids[j] = i + j < end ? buffer[i + j] : kNoKeyId;
    } else {
      a.source.read4(row, i, end, key_ids);
    }
    body(key_ids);
  }
}

// Appends the entries that `wanted` marks to a list in memory: one atomic a warp.
__device__ __forceinline__ void append(KeyId key_id, bool wanted, KeyId* list, uint32_t* count) {
  const unsigned lanes = __ballot_sync(kAllLanes, wanted);
  if (lanes == 0) return;
  const int leader = __ffs(static_cast<int>(lanes)) - 1;
  uint32_t at = 0;
  if (lane_id() == leader) at = atomicAdd(count, static_cast<uint32_t>(__popc(lanes)));
  at = __shfl_sync(kAllLanes, at, leader) + __popc(lanes & ((1u << lane_id()) - 1u));
  if (wanted) list[at] = key_id;
}

// Where the wanted-th of the counted digits lies: its bin, what lies below it and in it.
struct Found {
  uint32_t bin, below, inside, total;
};
__device__ __forceinline__ Found find_bin(const uint32_t* counts, uint32_t wanted) {
  constexpr int kEach = kBins / kRadixThreads, kWarps = kRadixThreads / kWarp;
  static_assert(kEach == 8);
  ANNK_SHARED(uint32_t, warp_sums, [kWarps]);
  ANNK_SHARED(Found, found, [1]);
  const int thread = static_cast<int>(threadIdx.x);
  const uint4 low = reinterpret_cast<const uint4*>(counts)[2 * thread],
              high = reinterpret_cast<const uint4*>(counts)[2 * thread + 1];
  const uint32_t mine[kEach] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
  uint32_t sum = 0;
#pragma unroll
  for (int i = 0; i < kEach; ++i) sum += mine[i];
  uint32_t upto = sum;
  for (int step = 1; step < kWarp; step *= 2) {
    const uint32_t left = __shfl_up_sync(kAllLanes, upto, step);
    if (lane_id() >= step) upto += left;
  }
  if (lane_id() == kWarp - 1) warp_sums[warp_id()] = upto;
  if (thread == 0) found[0] = Found{0, 0, 0, 0};
  __syncthreads();
  uint32_t below = upto - sum, total = 0;
  for (int w = 0; w < kWarps; ++w) {
    if (w < warp_id()) below += warp_sums[w];
    total += warp_sums[w];
  }
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    if (below < wanted && wanted <= below + mine[i])
      found[0] = Found{static_cast<uint32_t>(thread * kEach + i), below, mine[i], total};
    below += mine[i];
  }
  __syncthreads();
  Found result = found[0];
  result.total = total;
  return result;
}

// The state before `pass`, from the state and the counts of the pass before. All threads of the block take part.
template <class Source>
__device__ __forceinline__ RowState state_before(const RadixArgs<Source>& a, int64_t row, int pass) {
  if (pass == 0) return RowState{0, 0, static_cast<uint32_t>(a.k), 0, a.passes == 0};
  RowState state = a.states[row * (a.passes + 1) + pass - 1];
  if (state.done) return state;
  const Found found = find_bin(a.counts + (row * a.passes + pass - 1) * kBins, state.wanted);
  if (found.total <= state.wanted) {
    state.done = true;
    state.key_bits = kNoKey;
    state.tie = ~uint64_t{0};
    return state;
  }
  const Digit digit = digit_of(pass - 1, a.tie_bits);
  state.wanted -= found.below;
  state.done = state.wanted == found.inside;
  const uint64_t lower = state.done ? (uint64_t{1} << digit.shift) - 1 : 0;
  const uint64_t bits = static_cast<uint64_t>(found.bin) << digit.shift | lower;
  if (digit.of_tie) {
    state.tie |= bits;
  } else {
    state.key_bits |= static_cast<uint32_t>(bits);
    if (state.done) state.tie = ~uint64_t{0};
  }
  const uint32_t candidates = found.below + found.inside;
  if (pass == 1 && !state.done && candidates <= a.capacity) state.buffered = candidates;
  return state;
}

template <class Source>
__global__ void __launch_bounds__(kRadixThreads, 4) radix_count(const RadixArgs<Source> a, int pass) {
  ANNK_SHARED(uint32_t, bins, [kBins]);
  const uint32_t row = blockIdx.x / a.shares, share = blockIdx.x % a.shares;
  const RowState state = state_before(a, row, pass);
  if (share == 0 && threadIdx.x == 0) a.states[row * (a.passes + 1) + pass] = state;
  if (state.done) return;
  for (int i = static_cast<int>(threadIdx.x); i < kBins; i += kRadixThreads) bins[i] = 0;
  __syncthreads();

  const Digit digit = digit_of(pass, a.tie_bits);
  const int above = digit.shift + digit.bits;
  const bool collect = pass == 1 && state.buffered > 0;
  for_share(a, row, share, pass > 1 ? state.buffered : 0, [&](const KeyId(&key_ids)[4]) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const KeyId key_id = key_ids[j];
      const uint32_t key_bits = key_bits_of(key_id);
      const uint64_t tie = digit.of_tie && key_bits == state.key_bits ? a.source.tie(row, key_id) : 0;
      const uint64_t known = digit.of_tie ? state.tie : state.key_bits, number = digit.of_tie ? tie : key_bits;
      const bool counts =
          key_id != kNoKeyId && (!digit.of_tie || key_bits == state.key_bits) && number >> above == known >> above;
      const uint32_t bin = static_cast<uint32_t>(number >> digit.shift) & ((1u << digit.bits) - 1u);
      // Distances share their leading bits: one lane counts for all that agree with it.
      const unsigned lanes = __ballot_sync(kAllLanes, counts);
      if (lanes != 0) {
        const int leader = __ffs(static_cast<int>(lanes)) - 1;
        const uint32_t common = __shfl_sync(kAllLanes, bin, leader);
        const unsigned same = __ballot_sync(kAllLanes, counts && bin == common);
        if (lane_id() == leader) atomicAdd(&bins[common], static_cast<uint32_t>(__popc(same)));
        if (counts && bin != common) atomicAdd(&bins[bin], 1u);
      }
      if (collect)
        append(key_id, key_id != kNoKeyId && key_bits >> above <= state.key_bits >> above, a.buffer + row * a.capacity,
               a.buffered + row);
    }
  });
  __syncthreads();
  uint32_t* counts = a.counts + (row * a.passes + pass) * kBins;
  for (int i = static_cast<int>(threadIdx.x); i < kBins; i += kRadixThreads)
    if (bins[i] != 0) atomicAdd(counts + i, bins[i]);
}

template <class Source>
__global__ void __launch_bounds__(kRadixThreads, 4) radix_gather(const RadixArgs<Source> a) {
  const uint32_t row = blockIdx.x / a.shares, share = blockIdx.x % a.shares;
  const RowState last = state_before(a, row, a.passes);
  const bool all = a.passes == 0;
  for_share(a, row, share, last.buffered, [&](const KeyId(&key_ids)[4]) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const KeyId key_id = key_ids[j];
      const uint32_t key_bits = key_bits_of(key_id);
      const bool wanted = key_id != kNoKeyId && (all || key_bits < last.key_bits ||
                                                 (key_bits == last.key_bits && a.source.tie(row, key_id) <= last.tie));
      append(key_id, wanted, a.selected + row * a.k, a.selected_counts + row);
    }
  });
}

constexpr int bits_of(int64_t most) {
  int bits = 0;
  while (bits < 63 && most >> bits != 0) ++bits;
  return bits;
}

// The arrays of a selection from `rows` rows of at most `length` candidates, in the workspace.
template <class Source>
RadixArgs<Source> take_radix(Workspace& workspace, int64_t rows, int64_t length, int64_t k, int tie_bits) {
  RadixArgs<Source> a;
  a.rows = rows;
  a.k = k;
  a.tie_bits = tie_bits;
  a.passes = k < length ? passes_for(tie_bits) : 0;
  a.capacity = buffer_capacity(length, k);
  a.shares = shares_for(rows, length);
  a.states = workspace.take<RowState>(rows * (a.passes + 1));
  a.counts = workspace.take<uint32_t>(rows * (a.passes * kBins + 1));
  a.buffered = a.counts + rows * a.passes * kBins;
  a.selected = workspace.take<KeyId>(rows * k);
  a.selected_counts = workspace.take<uint32_t>(rows);
  a.buffer = workspace.take<KeyId>(rows * a.capacity);
  return a;
}

// Enqueues the selection.
template <class Source>
void radix_select(const RadixArgs<Source>& a, void* stream) {
  const auto clear = [&](uint32_t* from, int64_t count) {
    require_success(
        cudaMemsetAsync(from, 0, static_cast<size_t>(count) * sizeof(uint32_t), static_cast<cudaStream_t>(stream)),
        "clearing the workspace");
  };
  clear(a.counts, a.buffered + a.rows - a.counts);
  clear(a.selected_counts, a.rows);
  const int64_t grid = a.rows * a.shares;
  for (int pass = 0; pass < a.passes; ++pass) ANNK_LAUNCH(radix_count<Source>, grid, kRadixThreads, 0, stream, a, pass);
  ANNK_LAUNCH(radix_gather<Source>, grid, kRadixThreads, 0, stream, a);
}

}  // namespace annk::cuda
