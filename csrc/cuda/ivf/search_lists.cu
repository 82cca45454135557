// SPDX-License-Identifier: Apache-2.0
// Lists are taken by a kernel, which writes the rows that each query compares; the rest are knn, distances and select_k.
#include <algorithm>

#include "cuda/device/emit.cuh"
#include "cuda/device/workspace.h"
#include "ops/distances.h"
#include "ops/knn.h"
#include "ops/search_lists.h"
#include "ops/select_k.h"

namespace annk {
namespace {

using namespace cuda;

constexpr int kThreads = 256, kWarps = kThreads / kWarp;
constexpr int64_t kLaunchBytes = 256 << 20;  // of the rows that queries of a launch compare, if that is enough for one

struct TakeArgs {
  ListsView lists;
  Filter filter;
  const int64_t* order;  // (m, depth)
  int64_t first, depth, probes, k, width;
  bool base_in_order;
  int64_t *rows, *ids;  // (m, width); -1 at the end
};

// One block a query.
__global__ void __launch_bounds__(kThreads) take_lists(const TakeArgs a) {
  ANNK_SHARED(int32_t, passed, [kWarps]);
  const int64_t query = blockIdx.x, *const order = a.order + query * a.depth, *const offsets = a.lists.offsets;
  int64_t *const rows = a.rows + query * a.width, *const ids = a.ids + query * a.width;
  int64_t wanted = 0, held = 0;
  for (int64_t i = 0; i < a.probes; ++i) wanted += offsets[order[i] + 1] - offsets[order[i]];
  if (wanted < a.lists.copies * a.k) wanted = a.lists.copies * a.k;
  for (int64_t i = 0; i < a.depth && held < wanted; ++i) {
    const int64_t end = offsets[order[i] + 1];
    for (int64_t first = offsets[order[i]]; first < end; first += kThreads) {
      const int64_t place = first + threadIdx.x;
      const int32_t id = place < end ? a.lists.ids[place] : -1;
      const bool passes = id >= 0 && a.filter.is_allowed(a.first + query, id);
      const unsigned lanes = __ballot_sync(kAllLanes, passes);
      if (lane_id() == 0) passed[warp_id()] = __popc(lanes);
      __syncthreads();
      int64_t at = held;
      for (int w = 0; w < kWarps; ++w) {
        at += w < warp_id() ? passed[w] : 0;
        held += passed[w];
      }
      at += __popc(lanes & ((1u << lane_id()) - 1u));
      if (passes) {
        rows[at] = a.base_in_order ? place : id;
        ids[at] = id;
      }
      __syncthreads();
    }
  }
  for (int64_t at = held + threadIdx.x; at < a.width; at += kThreads) {
    rows[at] = -1;
    ids[at] = -1;
  }
}

struct UniqueArgs {
  const float* values;  // (m, width), in order: copies of a row stand side by side
  const int64_t* ids;
  int64_t m, width, k;
  const int32_t* places;  // null: rows are ids
  float missing;
  float* out_values;  // (m, k), or null
  int64_t *out_rows, *out_ids;
};

// Each row once. One thread a query.
__global__ void __launch_bounds__(kThreads) keep_unique(const UniqueArgs a) {
  const int64_t query = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (query >= a.m) return;
  int64_t kept = query * a.k, last = -1;
  const int64_t end = kept + a.k;
  for (int64_t at = query * a.width; at < (query + 1) * a.width && kept < end; ++at) {
    const int64_t id = a.ids[at];
    if (id < 0 || id == last) continue;
    last = id;
    if (a.out_values != nullptr) a.out_values[kept] = a.values[at];
    if (a.out_rows != nullptr) a.out_rows[kept] = a.places == nullptr ? id : a.places[id];
    a.out_ids[kept++] = id;
  }
  for (; kept < end; ++kept) {
    if (a.out_values != nullptr) a.out_values[kept] = a.missing;
    if (a.out_rows != nullptr) a.out_rows[kept] = -1;
    a.out_ids[kept] = -1;
  }
}

// What a launch of `count` queries runs, one after the other, in memory that they share.
class Launch {
 public:
  Launch(const SearchListsArgs& args, int64_t count, Workspace& workspace) : args_(args), count_(count) {
    const int64_t width = args.width, kept = wanted() * args.lists.copies;
    order_ = workspace.take<int64_t>(count * args.depth);
    order_distances_ = workspace.take<float>(count * args.depth);
    rows_ = workspace.take<int64_t>(count * width);
    ids_ = workspace.take<int64_t>(count * width);
    distances_ = workspace.take<float>(count * width);
    best_ = workspace.take<float>(count * kept);
    best_ids_ = workspace.take<int64_t>(count * kept);
    if (args.rerank_k > 0) {
      fine_rows_ = workspace.take<int64_t>(count * args.rerank_k);
      fine_ids_ = workspace.take<int64_t>(count * args.rerank_k);
      fine_ = workspace.take<float>(count * args.rerank_k);
    }
    shared_bytes_ = std::max({knn_workspace(order(0)), distances_workspace(keys(0)), select_k_workspace(select())});
    if (args.rerank_k > 0)
      shared_bytes_ = std::max({shared_bytes_, distances_workspace(fine_keys(0)), select_k_workspace(select_fine(0))});
    shared_ = workspace.take<unsigned char>(shared_bytes_);
  }

  void run(int64_t first) const {
    void* stream = args_.exec.stream;
    knn(order(first));
    const TakeArgs take{args_.lists, args_.filter,        order_, first, args_.depth, args_.probes, args_.k,
                        args_.width, args_.base_in_order, rows_,  ids_};
    ANNK_LAUNCH(take_lists, count_, kThreads, 0, stream, take);
    distances(keys(first));
    select_k(select());
    const bool reranks = args_.rerank_k > 0;
    const UniqueArgs unique{best_,
                            best_ids_,
                            count_,
                            wanted() * args_.lists.copies,
                            wanted(),
                            args_.rerank_in_order ? args_.lists.places : nullptr,
                            missing_distance(args_.metric),
                            reranks ? nullptr : out_distances(first),
                            reranks ? fine_rows_ : nullptr,
                            reranks ? fine_ids_ : args_.indices + first * args_.k};
    ANNK_LAUNCH(keep_unique, ceil_div<int64_t>(count_, kThreads), kThreads, 0, stream, unique);
    if (!reranks) return;
    distances(fine_keys(first));
    select_k(select_fine(first));
  }

 private:
  int64_t wanted() const { return args_.rerank_k > 0 ? args_.rerank_k : args_.k; }
  float* out_distances(int64_t first) const { return static_cast<float*>(args_.distances) + first * args_.k; }
  Exec where() const { return {args_.exec.threads, args_.exec.stream, shared_, shared_bytes_, nullptr}; }
  Matrix part(Matrix queries, int64_t first) const {
    queries.data = queries.row(first);
    queries.rows = count_;
    return queries;
  }

  KnnArgs order(int64_t first) const {
    KnnArgs nearest;
    nearest.base = args_.centroids;
    nearest.queries = part(args_.centroid_queries, first);
    nearest.metric = args_.order_metric;
    nearest.k = args_.depth;
    nearest.distances = order_distances_;
    nearest.indices = order_;
    nearest.exec = where();
    return nearest;
  }
  DistancesArgs keys(int64_t first) const {
    return {args_.base, part(args_.queries, first), args_.metric, rows_, args_.width, distances_, nullptr, where()};
  }
  DistancesArgs fine_keys(int64_t first) const {
    return {args_.rerank, part(args_.rerank_queries, first), args_.metric, fine_rows_, args_.rerank_k, fine_, nullptr,
            where()};
  }
  SelectKArgs select() const {
    return select_from(distances_, ids_, args_.width, wanted() * args_.lists.copies, best_, best_ids_);
  }
  SelectKArgs select_fine(int64_t first) const {
    return select_from(fine_, fine_ids_, args_.rerank_k, args_.k, out_distances(first), args_.indices + first * args_.k);
  }
  SelectKArgs select_from(const float* values, const int64_t* ids, int64_t n, int64_t k, float* out,
                          int64_t* out_ids) const {
    SelectKArgs select;
    select.values = values;
    select.m = count_;
    select.n = n;
    select.row_stride = select.ids_row_stride = n;
    select.part_stride = select.ids_part_stride = count_ * n;
    select.ids = ids;
    select.k = k;
    select.largest = is_similarity(args_.metric);
    select.out_values = out;
    select.out_ids = out_ids;
    select.exec = where();
    return select;
  }

  const SearchListsArgs& args_;
  const int64_t count_;
  int64_t *order_, *rows_, *ids_, *best_ids_, *fine_rows_ = nullptr, *fine_ids_ = nullptr, shared_bytes_ = 0;
  float *order_distances_, *distances_, *best_, *fine_ = nullptr;
  unsigned char* shared_ = nullptr;
};

bool nothing(const SearchListsArgs& args) { return args.queries.rows == 0 || args.k == 0; }

int64_t launch_queries(const SearchListsArgs& args) {
  const int64_t bytes = 20 * args.width + 12 * (args.depth + 2 * std::max(args.k, args.rerank_k));
  return std::clamp<int64_t>(kLaunchBytes / std::max<int64_t>(bytes, 1), 1, args.queries.rows);
}

}  // namespace

int64_t search_lists_workspace(const SearchListsArgs& args) {
  if (nothing(args)) return 0;
  const int64_t most = launch_queries(args), rest = args.queries.rows % most;
  Workspace whole, last;
  const Launch first(args, most, whole);
  if (rest > 0) Launch(args, rest, last);
  return std::max(whole.bytes(), last.bytes());
}

void search_lists(const SearchListsArgs& args) {
  if (nothing(args)) return;
  const int64_t m = args.queries.rows, most = launch_queries(args);
  for (int64_t first = 0; first < m; first += most) {
    Workspace workspace(args.exec);
    const Launch launch(args, std::min(most, m - first), workspace);
    workspace.require();
    launch.run(first);
  }
}

}  // namespace annk
