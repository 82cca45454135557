// SPDX-License-Identifier: Apache-2.0
#include "cuda/device/policy.h"
#include "cuda/select/radix.cuh"
#include "cuda/select/sort.cuh"
#include "cuda/select/warp_select.cuh"
#include "ops/select_k.h"

namespace annk {
namespace {

using namespace cuda;

struct RowsOut {
  float* values;
  int64_t* ids;
  int64_t k;

  __device__ __forceinline__ void write(const ValueSource& source, int64_t row, int64_t rank, KeyId key_id) const {
    const bool there = key_id != kNoKeyId;
    const ValueSource::Place at = source.place(position_of(key_id));
    values[row * k + rank] = there ? source.value(row, at) : source.largest ? -INFINITY : INFINITY;
    ids[row * k + rank] = there ? source.id(row, at) : -1;
  }
};

// k <= 64: lists in registers. A row belongs to one warp, or to the four of a block and to `splits` such blocks, whose lists
// then wait in memory.
constexpr int kListThreads = 128, kListWarps = kListThreads / kWarp;
constexpr int kReads = 4;  // reads of four candidates that a lane has on their way

struct ListArgs {
  ValueSource source;
  RowsOut out;
  int64_t m;
  int32_t splits;
  bool warp_per_row;
  KeyId* lists;  // (splits, m, k)
};

template <int kRegisters>
using ValueList = WarpSelect<kRegisters, BySource<ValueSource>>;

template <int kRegisters>
__device__ __forceinline__ void write_list(const ListArgs& a, const ValueList<kRegisters>& list, int64_t row) {
#pragma unroll
  for (int r = 0; r < kRegisters; ++r)
    if (r * kWarp + lane_id() < a.out.k) a.out.write(a.source, row, r * kWarp + lane_id(), list.best[r]);
}

// Candidates [begin, end) of the row.
template <int kRegisters>
__device__ __forceinline__ void read_into(ValueList<kRegisters>& list, const ListArgs& a, int64_t row, int64_t begin,
                                          int64_t end) {
  KeyId worst = kNoKeyId;
  for (int64_t first = begin; first < end; first += 4 * kWarp * kReads) {
    uint32_t sortable_keys[4 * kReads];
    bool any = false;
#pragma unroll
    for (int u = 0; u < kReads; ++u) {
      KeyId key_ids[4];
      a.source.read4(row, first + 4 * (u * kWarp + lane_id()), end, key_ids);
#pragma unroll
      for (int j = 0; j < 4; ++j) sortable_keys[4 * u + j] = key_bits_of(key_ids[j]);
    }
#pragma unroll
    for (int i = 0; i < 4 * kReads; ++i) any = any || sortable_keys[i] <= key_bits_of(worst);
    if (!__any_sync(kAllLanes, any)) continue;
#pragma unroll 1
    for (int i = 0; i < 4 * kReads; ++i) {
      uint32_t key_bits = sortable_keys[0];
#pragma unroll
      for (int at = 1; at < 4 * kReads; ++at) key_bits = at == i ? sortable_keys[at] : key_bits;
      const KeyId key_id = make_key_id(key_bits, static_cast<uint32_t>(first + 4 * (i / 4 * kWarp + lane_id()) + i % 4));
      const bool enters = list.less(key_id, worst);
      if (!__any_sync(kAllLanes, enters)) continue;
      list.add(enters ? key_id : kNoKeyId);
      worst = list.worst(static_cast<int>(a.out.k));
    }
  }
}

template <int kRegisters>
__global__ void __launch_bounds__(kListThreads, 6) select_lists(const ListArgs a) {
  const int64_t length = a.source.length();
  const int64_t row = a.warp_per_row ? static_cast<int64_t>(blockIdx.x) * kListWarps + warp_id() : blockIdx.x / a.splits;
  if (row >= a.m) return;
  ValueList<kRegisters> list({&a.source, row});
  if (a.warp_per_row) {
    read_into(list, a, row, 0, length);
    write_list(a, list, row);
    return;
  }
  const int64_t split = blockIdx.x % a.splits, pieces = static_cast<int64_t>(a.splits) * kListWarps;
  const int64_t each = ceil_div<int64_t>(length, 4 * pieces) * 4, begin = (split * kListWarps + warp_id()) * each;
  read_into(list, a, row, begin, begin + each < length ? begin + each : length);
  merge_warps<kListWarps>(list, static_cast<int>(a.out.k));
  if (warp_id() != 0) return;
  if (a.splits == 1) {
    write_list(a, list, row);
  } else {
    list.store(a.lists + (split * a.m + row) * a.out.k, static_cast<int>(a.out.k));
  }
}

template <int kRegisters>
__global__ void __launch_bounds__(kListThreads) merge_select_lists(const ListArgs a) {
  const int64_t row = blockIdx.x;
  const int k = static_cast<int>(a.out.k);
  ValueList<kRegisters> list({&a.source, row});
  for (int split = warp_id(); split < a.splits; split += kListWarps) {
    const KeyId* from = a.lists + (split * a.m + row) * k;
#pragma unroll
    for (int r = 0; r < kRegisters; ++r)
      list.merge_sorted(r * kWarp + lane_id() < k ? from[r * kWarp + lane_id()] : kNoKeyId);
  }
  merge_warps<kListWarps>(list, k);
  if (warp_id() == 0) write_list(a, list, row);
}

__global__ void __launch_bounds__(kSortThreads)
    write_sorted(const ValueSource source, const RowsOut out, const KeyId* sorted, int64_t rows) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kSortThreads + threadIdx.x;
  if (at < rows * out.k) out.write(source, at / out.k, at % out.k, sorted[at]);
}

// Selection from rows of fewer than most_candidates candidates.
struct Selection {
  ValueSource source;
  int64_t m, k;
  // Lists.
  ListArgs lists{};
  // Radix.
  RadixArgs<ValueSource> radix;
  KeyId* other = nullptr;

  Selection(const ValueSource& from, int64_t rows, int64_t wanted, Workspace& workspace) : source(from), m(rows), k(wanted) {
    by_lists() ? plan_lists(workspace) : plan_radix(workspace);
  }
  bool by_lists() const { return k <= kListMax; }

  void plan_lists(Workspace& workspace) {
    const int64_t length = source.length();
    lists.warp_per_row = length <= 4 * kWarp * kReads || (m >= 2 * kTargetBlocks && length <= 4096);
    const int64_t wanted = 2 * kTargetBlocks / (m < 1 ? 1 : m), most = length / (kListThreads * 4 * kReads);
    const int64_t splits = wanted < most ? wanted : most;
    lists.splits = static_cast<int32_t>(lists.warp_per_row || splits < 1 ? 1 : splits);
    lists.m = m;
    if (lists.splits > 1) lists.lists = workspace.take<KeyId>(lists.splits * m * k);
  }

  void plan_radix(Workspace& workspace) {
    const int64_t length = source.length();
    const int tie_bits = source.ids != nullptr ? 63 : bits_of(length);
    const int64_t row_bytes = passes_for(tie_bits) * kBins * 4 + (buffer_capacity(length, k) + 2 * k) * 8;
    const int64_t rows = kSelectBytes / row_bytes < 1 ? 1 : kSelectBytes / row_bytes;
    radix = take_radix<ValueSource>(workspace, m < rows ? m : rows, length, k, tie_bits);
    other = workspace.take<KeyId>(radix.rows * k);
  }

  void run(RowsOut out, void* stream) { by_lists() ? run_lists(out, stream) : run_radix(out, stream); }

  void run_lists(RowsOut out, void* stream) {
    ListArgs a = lists;
    a.source = source;
    a.out = out;
    const int64_t grid = a.warp_per_row ? ceil_div<int64_t>(m, kListWarps) : m * a.splits;
    if (k <= kWarp) {
      ANNK_LAUNCH(select_lists<1>, grid, kListThreads, 0, stream, a);
      if (a.splits > 1) ANNK_LAUNCH(merge_select_lists<1>, m, kListThreads, 0, stream, a);
    } else {
      ANNK_LAUNCH(select_lists<2>, grid, kListThreads, 0, stream, a);
      if (a.splits > 1) ANNK_LAUNCH(merge_select_lists<2>, m, kListThreads, 0, stream, a);
    }
  }

  void run_radix(RowsOut out, void* stream) {
    for (int64_t begin = 0; begin < m; begin += radix.rows) {
      RadixArgs<ValueSource> a = radix;
      a.source = source;
      a.source.values += begin * source.row_stride;
      if (source.ids != nullptr) a.source.ids += begin * source.ids_row_stride;
      const int64_t rows = m - begin < a.rows ? m - begin : a.rows;
      a.rows = rows;
      radix_select(a, stream);
      const KeyId* sorted = sort_rows(a.source, a.selected, other, a.selected_counts, rows, k, stream);
      const RowsOut part{out.values + begin * k, out.ids + begin * k, k};
      ANNK_LAUNCH(write_sorted, (ceil_div<int64_t>(rows * k, kSortThreads)), kSortThreads, 0, stream, a.source, part, sorted,
                  rows);
    }
  }
};

ValueSource source_of(const SelectKArgs& args) {
  ValueSource source;
  source.values = args.values;
  source.ids = args.ids;
  source.parts = args.n == 0 ? 1 : args.parts;  // places are found by dividing by n
  source.n = args.n;
  source.part_stride = args.part_stride;
  source.row_stride = args.row_stride;
  source.ids_part_stride = args.ids_part_stride;
  source.ids_row_stride = args.ids_row_stride;
  source.largest = args.largest;
  source.vector_loads =
      args.parts == 1 && reinterpret_cast<uintptr_t>(args.values) % 16 == 0 && (args.row_stride % 4 == 0 || args.m == 1);
  return source;
}

// Rows with more candidates than positions can tell: the best of each piece, then the best of those by their ids.
struct Pieces {
  int64_t each, in_part, count;
  float* values;
  int64_t* ids;

  Pieces(const SelectKArgs& args, Workspace& workspace)
      : each(args.n < most_candidates ? args.n : most_candidates),
        in_part(ceil_div(args.n, each)),
        count(in_part * args.parts),
        values(workspace.take<float>(count * args.m * args.k)),
        ids(workspace.take<int64_t>(count * args.m * args.k)) {}

  ValueSource piece(const ValueSource& source_of_all, int64_t i) const {
    const int64_t part = i / in_part, column = i % in_part * each;
    ValueSource source = source_of_all;
    source.parts = 1;
    source.n = source_of_all.n - column < each ? source_of_all.n - column : each;
    source.values += part * source_of_all.part_stride + column;
    if (source_of_all.ids != nullptr) source.ids += part * source_of_all.ids_part_stride + column;
    source.first_id = part * source_of_all.n + column;
    return source;
  }
  ValueSource results(const ValueSource& source_of_all, int64_t m, int64_t k) const {
    ValueSource source;
    source.values = values;
    source.ids = ids;
    source.parts = count;
    source.n = k;
    source.part_stride = source.ids_part_stride = m * k;
    source.row_stride = source.ids_row_stride = k;
    source.largest = source_of_all.largest;
    return source;
  }
};

// Counts, and with memory also runs.
int64_t select(const SelectKArgs& args, Workspace workspace, bool runs) {
  const ValueSource source = source_of(args);
  const RowsOut out{args.out_values, args.out_ids, args.k};
  if (source.length() < most_candidates) {
    Selection selection(source, args.m, args.k, workspace);
    if (runs) {
      workspace.require();
      selection.run(out, args.exec.stream);
    }
    return workspace.bytes();
  }
  const Pieces pieces(args, workspace);
  check(pieces.count * args.k < most_candidates, "k: expected fewer than 2^31 / ", pieces.count, " for rows this long, got ",
        args.k);
  Selection piece(pieces.piece(source, 0), args.m, args.k, workspace);
  Selection last(pieces.results(source, args.m, args.k), args.m, args.k, workspace);
  if (runs) {
    workspace.require();
    for (int64_t i = 0; i < pieces.count; ++i) {
      piece.source = pieces.piece(source, i);
      const int64_t at = i * args.m * args.k;
      piece.run({pieces.values + at, pieces.ids + at, args.k}, args.exec.stream);
    }
    last.run(out, args.exec.stream);
  }
  return workspace.bytes();
}

}  // namespace

int64_t select_k_workspace(const SelectKArgs& args) {
  if (args.m == 0 || args.k == 0) return 0;
  return select(args, Workspace(), false);
}

void select_k(const SelectKArgs& args) {
  if (args.m == 0 || args.k == 0) return;
  check(args.k < most_candidates, "k: expected fewer than 2^31, got ", args.k);
  select(args, Workspace(args.exec), true);
}

}  // namespace annk
