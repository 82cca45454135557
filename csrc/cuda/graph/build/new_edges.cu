// SPDX-License-Identifier: Apache-2.0
// Segments and targets are placed by atomics, in whatever order, which does not show: what fits in a list is put in the
// order of the batch, and what is pruned is put in order by its keys.
#include "cuda/graph/build/new_edges.h"

namespace annk::cuda {
namespace {

constexpr int kThreads = 256;

// Places of the lists of a batch.
struct BatchLists {
  GraphLists lists;
  const int32_t* rows;  // (count,)
  int64_t count, degree;

  // Of a row of the batch to one that does not lead to it yet.
  struct Edge {
    int32_t place, row, to;  // place: of the row, in the batch; to: -1 where there is no edge
  };
  __device__ __forceinline__ Edge edge(int64_t at) const {
    if (at >= count * degree) return {0, 0, -1};
    const int32_t place = static_cast<int32_t>(at / degree), row = rows[place];
    const int64_t e = at % degree;
    const int32_t to = e < lists.states[row].length ? lists.of(row)[e] : -1;
    return {place, row, to >= 0 && !leads(to, row) ? to : -1};
  }
  __device__ __forceinline__ bool leads(int32_t from, int32_t to) const {
    const int32_t* const list = lists.of(from);
    const int length = lists.states[from].length;
    bool found = false;
    for (int e = 0; e < length && !found; ++e) found = list[e] == to;
    return found;
  }
};

__device__ __forceinline__ int64_t thread_in_grid() { return static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; }

__device__ __forceinline__ bool outgrows(const GraphLists& lists, int64_t row, uint32_t more) {
  return more > 0 && lists.states[row].length + static_cast<int64_t>(more) > lists.room;
}

__global__ void __launch_bounds__(kThreads) widen_rows(const int32_t* batch, int64_t count, int64_t* rows) {
  const int64_t at = thread_in_grid();
  if (at < count) rows[at] = batch[at];
}

__global__ void __launch_bounds__(kThreads) count_edges(const BatchLists batch, uint32_t* counts) {
  const BatchLists::Edge edge = batch.edge(thread_in_grid());
  if (edge.to >= 0) atomicAdd(counts + edge.to, 1u);
}

__global__ void __launch_bounds__(kThreads)
    count_outgrown(const GraphLists lists, const uint32_t* counts, unsigned long long* outgrown) {
  const int64_t row = thread_in_grid();
  const unsigned lanes = __ballot_sync(kAllLanes, row < lists.rows && outgrows(lists, row, counts[row]));
  if (lane_id() == 0 && lanes != 0) atomicAdd(outgrown, static_cast<unsigned long long>(__popc(lanes)));
}

// ends[row] = where its segment begins: scatter_edges moves it to the end.
__global__ void __launch_bounds__(kThreads) place_segments(const GraphLists lists, const NewEdges edges, int64_t* targets,
                                                           int64_t most, unsigned long long* cursors) {
  const int64_t row = thread_in_grid();
  if (row >= lists.rows || edges.counts[row] == 0) return;
  edges.ends[row] = atomicAdd(cursors, static_cast<unsigned long long>(edges.counts[row]));
  if (!outgrows(lists, row, edges.counts[row])) return;
  const unsigned long long place = atomicAdd(cursors + 1, 1ull);
  if (place < static_cast<unsigned long long>(most)) targets[place] = row;
}

// Rows, where the list is pruned; else places in the batch, by which they are put in order.
__global__ void __launch_bounds__(kThreads) scatter_edges(const BatchLists batch, const NewEdges edges) {
  const BatchLists::Edge edge = batch.edge(thread_in_grid());
  if (edge.to < 0) return;
  const bool pruned = outgrows(batch.lists, edge.to, edges.counts[edge.to]);
  edges.sources[atomicAdd(edges.ends + edge.to, 1ull)] = pruned ? edge.row : edge.place;
}

__global__ void __launch_bounds__(kThreads)
    append_edges(const GraphLists lists, const NewEdges edges, const int32_t* batch) {
  const int64_t row = thread_in_grid();
  if (row >= lists.rows) return;
  const int count = static_cast<int>(edges.counts[row]);
  if (count == 0 || outgrows(lists, row, edges.counts[row])) return;
  const int32_t* const places = edges.sources + (edges.ends[row] - edges.counts[row]);
  int32_t* const to = lists.of(row) + lists.states[row].length;
  for (int i = 0; i < count; ++i) {
    int rank = 0;
    for (int j = 0; j < count; ++j) rank += places[j] < places[i] ? 1 : 0;
    to[rank] = batch[places[i]];
  }
  lists.states[row].length += count;
}

__global__ void __launch_bounds__(kThreads)
    find_long(const GraphLists lists, int64_t degree, int64_t* rows, unsigned long long* cursor) {
  const int64_t row = thread_in_grid();
  if (row < lists.rows && lists.states[row].length > degree) rows[atomicAdd(cursor, 1ull)] = row;
}

BatchLists batch_of(const BuildGraphArgs& args) {
  return {lists_of(args), args.order + args.first, args.count, args.degree};
}
int64_t blocks_for(int64_t threads) { return ceil_div<int64_t>(threads, kThreads); }

}  // namespace

void fill_bytes(void* from, int byte, int64_t bytes, void* stream) {
  if (bytes == 0) return;
  require_success(cudaMemsetAsync(from, byte, static_cast<size_t>(bytes), static_cast<cudaStream_t>(stream)),
                  "clearing the workspace");
}

void name_batch(const BuildGraphArgs& args, int64_t* rows) {
  ANNK_LAUNCH(widen_rows, blocks_for(args.count), kThreads, 0, args.exec.stream, args.order + args.first, args.count, rows);
}

void count_new_edges(const BuildGraphArgs& args, const NewEdges& edges, int64_t* outgrown) {
  void* stream = args.exec.stream;
  const int64_t n = args.base.rows;
  fill_bytes(edges.counts, 0, 4 * n, stream);
  fill_bytes(outgrown, 0, 8, stream);
  ANNK_LAUNCH(count_edges, blocks_for(args.count * args.degree), kThreads, 0, stream, batch_of(args), edges.counts);
  ANNK_LAUNCH(count_outgrown, blocks_for(n), kThreads, 0, stream, lists_of(args), edges.counts,
              reinterpret_cast<unsigned long long*>(outgrown));
}

void Turning::take(Workspace& workspace, const BuildGraphArgs& args) {
  edges.counts = workspace.take<uint32_t>(args.base.rows);
  edges.ends = workspace.take<unsigned long long>(args.base.rows);
  edges.sources = workspace.take<int32_t>(args.count * args.degree);
  targets = workspace.take<int64_t>(args.pruned);
  cursors = workspace.take<unsigned long long>(2);
}

void turn_edges(const BuildGraphArgs& args, const Turning& turning) {
  void* stream = args.exec.stream;
  const int64_t n = args.base.rows, edges = blocks_for(args.count * args.degree), rows = blocks_for(n);
  fill_bytes(turning.edges.counts, 0, 4 * n, stream);
  fill_bytes(turning.targets, 0xff, 8 * args.pruned, stream);
  fill_bytes(turning.cursors, 0, 16, stream);
  ANNK_LAUNCH(count_edges, edges, kThreads, 0, stream, batch_of(args), turning.edges.counts);
  ANNK_LAUNCH(place_segments, rows, kThreads, 0, stream, lists_of(args), turning.edges, turning.targets, args.pruned,
              turning.cursors);
  ANNK_LAUNCH(scatter_edges, edges, kThreads, 0, stream, batch_of(args), turning.edges);
  ANNK_LAUNCH(append_edges, rows, kThreads, 0, stream, lists_of(args), turning.edges, args.order + args.first);
}

void find_long_lists(const BuildGraphArgs& args, int64_t* rows, unsigned long long* cursor) {
  void* stream = args.exec.stream;
  fill_bytes(rows, 0xff, 8 * args.base.rows, stream);
  fill_bytes(cursor, 0, 8, stream);
  ANNK_LAUNCH(find_long, blocks_for(args.base.rows), kThreads, 0, stream, lists_of(args), args.degree, rows, cursor);
}

}  // namespace annk::cuda
