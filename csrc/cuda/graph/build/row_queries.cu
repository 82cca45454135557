// SPDX-License-Identifier: Apache-2.0
#include "cuda/codec/decode.h"
#include "cuda/device/device.cuh"
#include "cuda/graph/build/row_queries.h"

namespace annk::cuda {
namespace {

constexpr int kThreads = 256;

// to[i] = row ids[i] of a matrix of `bytes` a row, zeros for none, by pieces of a type that divides addresses and strides.
template <class Piece>
__global__ void __launch_bounds__(kThreads)
    gather_rows(const Matrix from, int64_t bytes, const int64_t* ids, int64_t count, unsigned char* to, int64_t pitch) {
  const int64_t pieces = pitch / static_cast<int64_t>(sizeof(Piece)), all = count * pieces;
  for (int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; at < all;
       at += static_cast<int64_t>(gridDim.x) * kThreads) {
    const int64_t i = at / pieces, byte = at % pieces * static_cast<int64_t>(sizeof(Piece)), id = ids[i];
    Piece piece{};
    if (id >= 0 && byte < bytes) piece = *reinterpret_cast<const Piece*>(from.row(id) + byte);
    *reinterpret_cast<Piece*>(to + i * pitch + byte) = piece;
  }
}

template <class Piece>
void gather(const Matrix& from, int64_t bytes, const int64_t* ids, int64_t count, unsigned char* to, int64_t pitch,
            void* stream) {
  const int64_t blocks = ceil_div<int64_t>(count * pitch / static_cast<int64_t>(sizeof(Piece)), kThreads);
  ANNK_LAUNCH(gather_rows<Piece>, (blocks < 8 * kTargetBlocks ? blocks : 8 * kTargetBlocks), kThreads, 0, stream, from,
              bytes, ids, count, to, pitch);
}

int64_t row_bytes(const Matrix& x) { return x.dims * kDTypeBits[static_cast<int>(x.dtype)] / 8; }

}  // namespace

RowQueries::RowQueries(const Dataset& base, Metric metric)
    : base_(base),
      metric_(metric == Metric::euclidean ? Metric::sqeuclidean : metric),
      dtype_(base.kind == StoreKind::array ? base.dtype : DType::f32) {
  Matrix row = base;
  row.dtype = dtype_;
  row.rows = 1;
  plan_ = plan_graph_keys(row, base, metric_, 1, 1);
  own_rows_ = plan_.store != nullptr && plan_.store->prepare_rows != nullptr;
  pitch_ = own_rows_ ? 0 : ceil_div<int64_t>(row_bytes(row), 16) * 16;
}

// Some queries beyond the last are read, without effect on what is written.
void RowQueries::take(Workspace& workspace, int64_t queries, int64_t positions) {
  plan_.launch_queries = queries + kJoinQueries;
  if (plan_.decoded_rows > 0) plan_.decoded_rows = ceil_div<int64_t>(positions, kRowTile) * kRowTile;
  prepared_ = take_prepared(workspace, plan_);
  rows_ = workspace.take<unsigned char>(queries * pitch_);
}

void RowQueries::prepare(const int64_t* ids, int64_t m, void* stream) const {
  const int64_t tile = plan_.tile_queries(), padded = ceil_div(m, tile) * tile;
  if (own_rows_) {
    plan_.store->prepare_rows({{}, ids, base_, metric_, 0, m, padded, plan_.pitch, false, prepared_.rows, prepared_.words},
                              stream);
    return;
  }
  const Matrix rows{rows_, m, base_.dims, pitch_, dtype_};
  if (base_.kind != StoreKind::array) {
    require_success(cudaMemsetAsync(rows_, 0, static_cast<size_t>(m * pitch_), static_cast<cudaStream_t>(stream)),
                    "clearing the workspace");
    decode_rows(base_, ids, 0, m, reinterpret_cast<float*>(rows_), pitch_ / static_cast<int64_t>(sizeof(float)), stream);
  } else if (m * pitch_ > 0) {
    const int64_t bytes = row_bytes(base_),
                  unaligned = static_cast<int64_t>(reinterpret_cast<uintptr_t>(base_.data)) | base_.stride | bytes;
    unaligned % 16 == 0  ? gather<uint4>(base_, bytes, ids, m, rows_, pitch_, stream)
    : unaligned % 4 == 0 ? gather<uint32_t>(base_, bytes, ids, m, rows_, pitch_, stream)
                         : gather<uint8_t>(base_, bytes, ids, m, rows_, pitch_, stream);
  }
  cuda::prepare(plan_, prepared_, rows, base_, metric_, 0, m, stream);
}

void RowQueries::join(JoinArgs keys, void* stream) const {
  keys.scan = scan(1);
  if (plan_.decoded_rows > 0) {
    decode_rows(base_, keys.ids, 0, keys.positions, reinterpret_cast<float*>(prepared_.decoded),
                keys.scan.base.stride / static_cast<int64_t>(sizeof(float)), stream);
    keys.gathered = true;
  }
  switch (plan_.family) {
    case Family::integer:
    case Family::bits:
      return join_codes(plan_.family, keys, stream);
    case Family::store:
      return plan_.store->join(keys, stream);
    case Family::dot:
    case Family::l2:
    case Family::step:
      return join_floats(plan_.family, keys, stream);
  }
}

}  // namespace annk::cuda
