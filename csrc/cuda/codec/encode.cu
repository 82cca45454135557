// SPDX-License-Identifier: Apache-2.0
#include "cuda/codec/codecs.cuh"
#include "cuda/device/elements.h"
#include "ops/encode.h"

namespace annk {
namespace {

using namespace cuda;

template <class Codec, class T>
__global__ void __launch_bounds__(kCodecThreads, 8)
    encode_kernel(const Codec codec, const Matrix x, int64_t first, unsigned long long* bad_row) {
  ANNK_DYN_SHARED(float, scratch);
  const RowTeam<Codec::kLanes> team;
  const int in_block = static_cast<int>(threadIdx.x) / Codec::kLanes;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * (blockDim.x / Codec::kLanes) + in_block;
  if (i >= x.rows) return;
  const T* from = reinterpret_cast<const T*>(x.row(i));
  const auto element = [&](int64_t j) { return widen(from[j]); };
  bool finite = true;
  for (int64_t j = team.lane; j < x.dims; j += Codec::kLanes) finite = finite && absolute(element(j)) < INFINITY;
  if (team.every(finite) && codec.encode_row(team, element, first + i, scratch + in_block * codec.scratch_floats)) return;
  if (team.lane == 0) atomicMin(bad_row, static_cast<unsigned long long>(i));
}

}  // namespace

void encode(const EncodeArgs& args) {
  void* stream = args.exec.stream;
  // All bits set: -1, and more than any row.
  require_success(cudaMemsetAsync(args.bad_row, 0xff, sizeof(int64_t), static_cast<cudaStream_t>(stream)),
                  "clearing bad_row");
  if (args.x.rows == 0) return;
  auto* bad_row = reinterpret_cast<unsigned long long*>(args.bad_row);
  visit_codec(args.store, [&]<class Codec>(const Codec& codec) {
    const CodecBlock block(codec);
    const int64_t grid = ceil_div<int64_t>(args.x.rows, block.rows);
    visit_element(args.x.dtype, [&]<class T>(T) {
      ANNK_LAUNCH((encode_kernel<Codec, T>), grid, block.threads, block.scratch_bytes, stream, codec, args.x, args.first,
                  bad_row);
    });
  });
}

}  // namespace annk
