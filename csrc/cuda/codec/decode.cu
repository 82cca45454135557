// SPDX-License-Identifier: Apache-2.0
#include "cuda/codec/codecs.cuh"
#include "cuda/codec/decode.h"
#include "ops/decode.h"

namespace annk {
namespace {

using namespace cuda;

struct Chosen {
  const int64_t* ids;
  int64_t first, count;
};

template <class Codec>
__global__ void __launch_bounds__(kCodecThreads)
    decode_kernel(const Codec codec, const Chosen rows, float* out, int64_t pitch) {
  ANNK_DYN_SHARED(float, scratch);
  const RowTeam<Codec::kLanes> team;
  const int in_block = static_cast<int>(threadIdx.x) / Codec::kLanes;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * (blockDim.x / Codec::kLanes) + in_block;
  if (i >= rows.count) return;
  const int64_t row = rows.ids != nullptr ? rows.ids[i] : rows.first + i;
  if (row >= 0) codec.decode_row(team, row, out + i * pitch, scratch + in_block * codec.scratch_floats);
}

}  // namespace

void cuda::decode_rows(const Dataset& store, const int64_t* ids, int64_t first, int64_t count, float* out, int64_t pitch,
                       void* stream) {
  if (count == 0 || store.dims == 0) return;
  visit_codec(store, [&]<class Codec>(const Codec& codec) {
    const CodecBlock block(codec);
    const int64_t grid = ceil_div<int64_t>(count, block.rows);
    ANNK_LAUNCH(decode_kernel<Codec>, grid, block.threads, block.scratch_bytes, stream, codec, (Chosen{ids, first, count}),
                out, pitch);
  });
}

void decode(const DecodeArgs& args) {
  decode_rows(args.store, args.ids, 0, args.count, args.out, args.store.dims, args.exec.stream);
}

}  // namespace annk
