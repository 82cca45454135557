// SPDX-License-Identifier: Apache-2.0
#include "cuda/device/emit.cuh"
#include "cuda/distance/prepare.h"
#include "cuda/exact/knn_radix.h"
#include "cuda/select/radix.cuh"
#include "cuda/select/sort.cuh"
#include "ops/select_k.h"

namespace annk::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    write_neighbors(const NeighborOut out, const KeyId* sorted, int64_t count, int64_t part_row) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at < count) out.neighbor(at, key_bits_of(sorted[at]), part_row + position_of(sorted[at]));
}

// Where the base has more rows than positions, the best of each part wait as keys and ids.
__global__ void __launch_bounds__(kThreads)
    write_part(float* keys, int64_t* ids, const KeyId* sorted, int64_t count, int64_t part_row) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= count) return;
  keys[at] = key_of_bits(key_bits_of(sorted[at]));
  ids[at] = sorted[at] == kNoKeyId ? -1 : part_row + position_of(sorted[at]);
}
__global__ void __launch_bounds__(kThreads) report_keys(const NeighborOut out, const float* keys, int64_t count) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at < count) out.distance(at, out.indices[at] < 0 ? kNoKey : sortable_bits(keys[at]));
}

struct Plan {
  KeyChunk chunk;
  ScanPlan scan;
  Prepared prepared;
  uint32_t* keys;
  RadixArgs<KeySource> radix[2];  // turn about: one selects from what the other left
  int64_t parts;
  float* part_keys = nullptr;
  int64_t* part_ids = nullptr;
  float* merged_keys = nullptr;
  SelectKArgs merge;

  Plan(const KnnArgs& args, Workspace& workspace)
      : chunk(plan_chunk(args.queries, args.base, args.metric, args.k)),
        scan(plan_scan(args.queries, args.base, args.metric, chunk.queries)),
        prepared(take_prepared(workspace, scan)),
        keys(workspace.take<uint32_t>(chunk.rows * chunk.queries)),
        parts(args.base.rows > most_candidates ? ceil_div(args.base.rows, most_candidates) : 1) {
    const int64_t n = args.base.rows, k = args.k;
    const int64_t length = ceil_div<int64_t>(k, 4) * 4 + chunk.rows;
    radix[0] = take_radix<KeySource>(workspace, chunk.queries, k < n ? length : 0, k,
                                     bits_of(n < most_candidates ? n : most_candidates));
    radix[0].shares = shares_for(chunk.queries, length);
    radix[1] = radix[0];
    radix[1].selected = workspace.take<KeyId>(chunk.queries * k);
    radix[1].selected_counts = workspace.take<uint32_t>(chunk.queries);
    if (parts > 1) plan_parts(args, workspace);
  }

  void plan_parts(const KnnArgs& args, Workspace& workspace) {
    const int64_t each = chunk.queries * args.k;
    part_keys = workspace.take<float>(parts * each);
    part_ids = workspace.take<int64_t>(parts * each);
    merged_keys = workspace.take<float>(each);
    merge.values = part_keys;
    merge.ids = part_ids;
    merge.parts = parts;
    merge.m = chunk.queries;
    merge.n = merge.k = merge.row_stride = merge.ids_row_stride = args.k;
    merge.part_stride = merge.ids_part_stride = each;
    merge.out_values = merged_keys;
    merge.exec = args.exec;
    merge.exec.workspace_bytes = select_k_workspace(merge);
    merge.exec.workspace = workspace.take<unsigned char>(merge.exec.workspace_bytes);
  }
};

// The sorted best of rows [part_row, part_end) for the prepared queries.
KeyId* best_of_part(const Plan& plan, const KnnArgs& args, ScanArgs scan_args, int64_t part_row, int64_t part_end) {
  void* stream = args.exec.stream;
  int turn = 0;
  KeySource source;
  source.keys = plan.keys;
  source.pitch = plan.chunk.rows;
  source.part_row = part_row;
  source.filter = args.filter;
  source.query_begin = scan_args.query_begin;
  const Write keys{plan.keys, plan.chunk.rows, Write::kSortable};
  RadixArgs<KeySource> radix = plan.radix[0];
  for (int64_t row = part_row; row < part_end || row == part_row; row += plan.chunk.rows, turn ^= 1) {
    scan_args.row_begin = row;
    scan_args.row_end = part_end - row < plan.chunk.rows ? part_end : row + plan.chunk.rows;
    scan_args.splits = splits_of(plan.scan, scan_args.query_tiles, scan_args.row_end - row);
    scan(plan.scan, scan_args, keys, stream);

    source.first_row = row;
    source.chunk = scan_args.row_end - row;
    radix = plan.radix[turn];
    radix.rows = scan_args.m;
    radix.source = source;
    radix_select(radix, stream);
    source.kept = radix.selected;
    source.kept_counts = radix.selected_counts;
    source.kept_room = args.k;
  }
  return sort_rows(source, radix.selected, plan.radix[turn].selected, radix.selected_counts, scan_args.m, args.k, stream);
}

}  // namespace

int64_t knn_radix_workspace(const KnnArgs& args) {
  Workspace workspace;
  Plan(args, workspace);
  return workspace.bytes();
}

void knn_radix(const KnnArgs& args) {
  check(args.k < most_candidates, "k: expected fewer than 2^31, got ", args.k);
  Workspace workspace(args.exec);
  Plan plan(args, workspace);
  workspace.require();
  void* stream = args.exec.stream;
  const int64_t m = args.queries.rows, n = args.base.rows, k = args.k;
  for (int64_t begin = 0; begin < m; begin += plan.chunk.queries) {
    const int64_t queries = m - begin < plan.chunk.queries ? m - begin : plan.chunk.queries;
    const int64_t count = queries * k, grid = ceil_div<int64_t>(count, kThreads);
    const ScanArgs scan_args =
        prepare(plan.scan, plan.prepared, args.queries, args.base, args.metric, begin, queries, stream);
    const NeighborOut out{static_cast<uint32_t*>(args.distances) + begin * k, args.indices + begin * k, args.metric};
    for (int64_t part = 0; part < plan.parts; ++part) {
      const int64_t row = part * most_candidates, end = part + 1 == plan.parts ? n : row + most_candidates;
      const KeyId* sorted = best_of_part(plan, args, scan_args, row, end);
      if (plan.parts == 1) {
        ANNK_LAUNCH(write_neighbors, grid, kThreads, 0, stream, out, sorted, count, row);
      } else {
        const int64_t at = part * plan.merge.part_stride;
        ANNK_LAUNCH(write_part, grid, kThreads, 0, stream, plan.part_keys + at, plan.part_ids + at, sorted, count, row);
      }
    }
    if (plan.parts == 1) continue;
    plan.merge.m = queries;
    plan.merge.out_ids = out.indices;
    select_k(plan.merge);
    ANNK_LAUNCH(report_keys, grid, kThreads, 0, stream, out, plan.merged_keys, count);
  }
}

}  // namespace annk::cuda
