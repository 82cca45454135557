// SPDX-License-Identifier: Apache-2.0
// From lists of nearest rows to a graph (ops/nn_descent.h).
#include "core/check.h"
#include "cuda/device/policy.h"
#include "cuda/device/workspace.h"
#include "cuda/graph/build/nearest_lists.cuh"
#include "ops/nn_descent.h"

namespace annk {
namespace {

using namespace cuda;

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;
constexpr int64_t kMostWidth = 4096;  // 80 KiB of shared memory

struct PruneArgs {
  const KeyId* lists;
  int64_t rows, width, degree;
  int32_t* neighbors;
  int32_t table_bits;  // 2^bits slots, half of them empty or more
  uint32_t* heads;     // of each row: the first place that leads to it
  uint32_t* next;      // (n, degree): where a row leads to the same
};

// A block's list: its rows, where each stands, and the detours to each.
struct DetourTable {
  int32_t* ids;
  uint32_t* detours;
  int32_t* places;  // -1 where empty
  int bits;

  __device__ __forceinline__ uint32_t first(int32_t id) const {
    return static_cast<uint32_t>(id) * 2654435769u >> (32 - bits);
  }
  __device__ __forceinline__ uint32_t after(uint32_t at) const { return (at + 1) & ((1u << bits) - 1u); }
  // Rows of a list differ, so a thread that finds a slot empty may have it.
  __device__ __forceinline__ void put(int place) const {
    uint32_t at = first(ids[place]);
    while (atomicCAS(places + at, -1, place) != -1) at = after(at);
  }
  // -1: nowhere.
  __device__ __forceinline__ int find(int32_t id) const {
    uint32_t at = first(id);
    int place = places[at];
    while (place >= 0 && ids[place] != id) {
      at = after(at);
      place = places[at];
    }
    return place;
  }
};

// A block a row: of the entries i < j of its list, i is a detour to j where row i's list holds row j before place j. The
// `degree` entries with the fewest stay, ties to the earlier one, and are linked to the rows that they lead to.
__global__ void __launch_bounds__(kThreads) count_detours(const PruneArgs a) {
  ANNK_DYN_SHARED(int32_t, shared);
  ANNK_SHARED(int, filled, [1]);
  const int width = static_cast<int>(a.width), thread = static_cast<int>(threadIdx.x);
  const DetourTable table{shared, reinterpret_cast<uint32_t*>(shared + width), shared + 2 * width, a.table_bits};
  const int64_t row = blockIdx.x;
  if (thread == 0) filled[0] = 0;
  for (int i = thread; i < 1 << a.table_bits; i += kThreads) table.places[i] = -1;
  __syncthreads();
  int found = 0;
  for (int i = thread; i < width; i += kThreads) {
    const KeyId key_id = a.lists[row * a.width + i];
    table.detours[i] = 0;
    if (key_id == kNoKeyId) break;
    table.ids[i] = listed(row, key_id);
    ++found;
  }
  atomicAdd(&filled[0], found);
  __syncthreads();
  const int count = filled[0];
  for (int i = thread; i < count; i += kThreads) table.put(i);
  __syncthreads();
  for (int i = warp_id(); i + 1 < count; i += kWarps) {
    const int64_t by = table.ids[i];
    for (int r = lane_id(); r + 1 < count; r += kWarp) {
      const KeyId key_id = a.lists[by * a.width + r];
      if (key_id == kNoKeyId) break;
      const int j = table.find(listed(by, key_id));
      if (j > i && j > r) atomicAdd(table.detours + j, 1u);
    }
  }
  __syncthreads();
  int32_t* const out = a.neighbors + row * a.degree;
  for (int j = thread; j < count; j += kThreads) {
    const uint32_t mine = table.detours[j];
    int rank = 0;
    for (int i = 0; i < count; ++i) rank += table.detours[i] < mine || (table.detours[i] == mine && i < j) ? 1 : 0;
    if (rank >= a.degree) continue;
    out[rank] = table.ids[j];
    const uint32_t place = static_cast<uint32_t>(row * a.degree + rank);
    a.next[place] = atomicExch(a.heads + table.ids[j], place);
  }
  for (int64_t e = count + thread; e < a.degree; e += kThreads) out[e] = -1;
}

// Neighbors of a row: the first half of its own, then those that lead to it, first those that have it near the front, then
// the others of its own. By a warp.
struct Weaving {
  int32_t* woven;
  int degree, count = 0;

  __device__ __forceinline__ void add(int32_t id) {
    if (id < 0 || count == degree) return;
    bool present = false;
    for (int i = lane_id(); i < count; i += kWarp) present = present || woven[i] == id;
    if (__any_sync(kAllLanes, present)) return;
    if (lane_id() == 0) woven[count] = id;
    ++count;
    __syncwarp();
  }
};

__global__ void __launch_bounds__(kThreads) weave(const PruneArgs a) {
  ANNK_DYN_SHARED(KeyId, shared);
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + warp_id();
  if (row >= a.rows) return;
  const int degree = static_cast<int>(a.degree), half = (degree + 1) / 2, lane = lane_id();
  const WarpSlots leading{shared + warp_id() * degree, degree};
  Weaving weaving{reinterpret_cast<int32_t*>(shared + kWarps * degree) + warp_id() * degree, degree};
  for (int e = lane; e < degree; e += kWarp) leading.slots[e] = kNoKeyId;
  __syncwarp();
  for (uint32_t place = a.heads[row]; place != kNoLink; place = a.next[place]) {
    const KeyId key_id =
        key_id_at(place % static_cast<uint32_t>(degree), TieOrder::place(row, place / static_cast<uint32_t>(degree)));
    if (key_id < leading.last()) leading.insert<false>(key_id);
  }
  int32_t* const neighbors = a.neighbors + row * a.degree;
  for (int e = 0; e < half; ++e) weaving.add(neighbors[e]);
  for (int i = 0; i < degree && leading.slots[i] != kNoKeyId && weaving.count < degree; ++i)
    weaving.add(listed(row, leading.slots[i]));
  for (int e = half; e < degree; ++e) weaving.add(neighbors[e]);
  __syncwarp();
  for (int e = lane; e < degree; e += kWarp) neighbors[e] = e < weaving.count ? weaving.woven[e] : -1;
}

PruneArgs plan(const NnDescentArgs& args, Workspace& workspace) {
  PruneArgs a{reinterpret_cast<const KeyId*>(args.lists),
              args.base.rows,
              args.width,
              args.degree,
              args.neighbors,
              5,
              nullptr,
              nullptr};
  while ((int64_t{1} << a.table_bits) < 2 * args.width) ++a.table_bits;
  a.heads = workspace.take<uint32_t>(a.rows);
  a.next = workspace.take<uint32_t>(a.rows * a.degree);
  return a;
}

}  // namespace

int64_t nn_descent_prune_workspace(const NnDescentArgs& args) {
  Workspace workspace;
  plan(args, workspace);
  return workspace.bytes();
}

void nn_descent_prune(const NnDescentArgs& args) {
  if (args.base.rows == 0) return;
  check(args.width <= kMostWidth, "nn_descent: expected lists of at most ", kMostWidth, " rows on a device, got ",
        args.width);
  check(args.base.rows * args.degree < int64_t{kNoLink}, "nn_descent: expected fewer than 2^32 neighbours on a device, got ",
        args.base.rows, " rows of ", args.degree);
  Workspace workspace(args.exec);
  const PruneArgs a = plan(args, workspace);
  workspace.require();
  void* stream = args.exec.stream;
  require_success(
      cudaMemsetAsync(a.heads, 0xff, static_cast<size_t>(a.rows) * sizeof(uint32_t), static_cast<cudaStream_t>(stream)),
      "clearing the workspace");
  const size_t table = static_cast<size_t>(2 * a.width + (int64_t{1} << a.table_bits)) * sizeof(int32_t);
  ANNK_LAUNCH(count_detours, a.rows, kThreads, table, stream, a);
  const size_t lists = static_cast<size_t>(kWarps * a.degree) * (sizeof(KeyId) + sizeof(int32_t));
  ANNK_LAUNCH(weave, ceil_div<int64_t>(a.rows, kWarps), kThreads, lists, stream, a);
}

}  // namespace annk
