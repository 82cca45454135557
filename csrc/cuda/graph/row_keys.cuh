// SPDX-License-Identifier: Apache-2.0
// Keys of chosen rows within a block, for kernels that choose the rows themselves: those of pairs.cuh, bit for bit. Few
// types, so that such kernels are few: metric and element type are decided once a call.
//   kThreads, kBlocks                               of a block, and of an SM at least: ptxas, which knows both, spills less
//   keys(query, ids, count, scratch, to)            to[i] = the entry of row ids[i] for prepared query `query`; for all
//                                                   threads of the block, which are to be synchronised before and after
//   scratch_bytes()                                 of shared memory that keys() wants
#pragma once
#include "cuda/codec/codecs.cuh"
#include "cuda/distance/pairs.cuh"

namespace annk::cuda {

// An entry that also says whether its row was expanded: the position is twice the row, and one more where it was. Rows are
// below 2^31.
__device__ __forceinline__ KeyId key_id_of_row(uint32_t key_bits, int32_t row) {
  return static_cast<KeyId>(key_bits) << 32 | static_cast<uint32_t>(row) << 1;
}
__device__ __forceinline__ int32_t row_of(KeyId key_id) { return static_cast<int32_t>(position_of(key_id) >> 1); }
__device__ __forceinline__ bool expanded(KeyId key_id) { return (key_id & 1u) != 0; }

// body.template run<Arith>() for the arithmetic of float32 sums.
template <class T, class Body>
__device__ __forceinline__ void visit_family(Family family, Metric metric, const Body& body) {
  switch (family) {
    case Family::dot:
      return body.template run<FloatArith<InnerProduct, T>>();
    case Family::l2:
      return body.template run<FloatArith<SqEuclidean, T>>();
    case Family::step:
      return visit_list(MetricsOfFamily<Family::step>{}, metric,
                        [&]<class M>(M) { body.template run<FloatArith<typename M::Step, T>>(); });
    case Family::integer:
    case Family::bits:
    case Family::store:
      break;
  }
  trap();
}

// A team for each of ids[0, count), whose rows lie at scan.base or, where `room` is not null, one after the other there.
template <int kThreads, class Team>
struct EachRow {
  const ScanArgs& scan;
  int64_t query;
  const int32_t* ids;
  int count;
  KeyId* to;
  const unsigned char* room;

  template <class Arith>
  __device__ __forceinline__ void run() const {
    const Team team;
    for (int i = static_cast<int>(threadIdx.x) / Team::kSize; i < count; i += kThreads / Team::kSize) {
      const int32_t id = ids[i];
      const unsigned char* const row = room != nullptr ? room + i * scan.base.stride : scan.base.row(id);
      const uint32_t key_bits = key_bits_of_pair<Arith>(scan, query, row, id, team);
      if (team.lane == 0) to[i] = key_id_of_row(key_bits, id);
    }
  }
};

// Arrays of numbers that widen to float32: a thread a row. Two warps, since a hop seldom finds more than 64 rows.
struct FloatRows {
  static constexpr int kThreads = 64, kBlocks = 8;
  ScanArgs scan;
  Family family;

  size_t scratch_bytes() const { return 0; }
  __device__ __forceinline__ void keys(int64_t query, const int32_t* ids, int count, unsigned char*, KeyId* to) const {
    const EachRow<kThreads, RowTeam<1>> each{scan, query, ids, count, to, nullptr};
    switch (scan.base.dtype) {
      case DType::f32:
        return visit_family<float>(family, scan.metric, each);
      case DType::f16:
        return visit_family<Half>(family, scan.metric, each);
      case DType::bf16:
        return visit_family<Bfloat16>(family, scan.metric, each);
      case DType::i8:
        return visit_family<int8_t>(family, scan.metric, each);
      case DType::u8:
        return visit_family<uint8_t>(family, scan.metric, each);
      case DType::bits:
        break;
    }
    trap();
  }
};

// Arrays whose sums are of integers: 8-bit rows under 8-bit queries, and bits. Four threads share a row, 64 bytes at a time.
struct CodeRows {
  static constexpr int kThreads = 128, kBlocks = 4;
  using Team = RowTeam<4>;
  ScanArgs scan;
  Family family;

  size_t scratch_bytes() const { return 0; }
  __device__ __forceinline__ void keys(int64_t query, const int32_t* ids, int count, unsigned char*, KeyId* to) const {
    const EachRow<kThreads, Team> each{scan, query, ids, count, to, nullptr};
    switch (family) {
      case Family::integer:
        return scan.base.dtype == DType::i8 ? each.template run<IntArith<int8_t>>() : each.template run<IntArith<uint8_t>>();
      case Family::bits:
        return visit_list(MetricsOfFamily<Family::bits>{}, scan.metric,
                          [&]<class M>(M) { each.template run<BitArith<M>>(); });
      case Family::dot:
      case Family::l2:
      case Family::step:
      case Family::store:
        break;
    }
    trap();
  }
};

// Rows of a store in its own form. Of: LvqRows and the like (stores/<kind>_arith.cuh).
template <class Of>
struct StoreRows {
  static constexpr int kThreads = Of::kLanes > 1 ? 128 : 64, kBlocks = 512 / kThreads;
  ScanArgs scan;

  size_t scratch_bytes() const { return 0; }
  __device__ __forceinline__ void keys(int64_t query, const int32_t* ids, int count, unsigned char*, KeyId* to) const {
    const EachRow<kThreads, RowTeam<Of::kLanes>> each{scan, query, ids, count, to, nullptr};
    Of::visit(scan, [&]<class Arith>(std::type_identity<Arith>) { each.template run<Arith>(); });
  }
};

// Rows of a store that is decoded: kDecodedAtOnce of them in the block's part of the memory at scan.base, then a thread a
// row.
inline constexpr int kDecodedAtOnce = 32;
inline constexpr int64_t kMostDecodeScratch = 40 * 1024;  // beside what a search keeps in shared memory

template <class Codec>
struct DecodedRows {
  static constexpr int kThreads = 128, kBlocks = 4;
  Codec codec;
  ScanArgs scan;
  Family family;
  int teams;  // that decode side by side, as many as have their scratch

  DecodedRows(const Codec& of, const ScanArgs& args, Family how) : codec(of), scan(args), family(how) {
    const int64_t each = scratch_of_team();
    check(each <= kMostDecodeScratch, "store: too many dimensions to search it on a GPU, which takes rows of ",
          kMostDecodeScratch, " bytes of floats, got ", each);
    teams = kThreads / Codec::kLanes;
    while (teams > 1 && teams * each > kMostDecodeScratch) teams /= 2;
  }
  int64_t scratch_of_team() const {
    return static_cast<int64_t>(codec.scratch_floats) * static_cast<int64_t>(sizeof(float));
  }
  size_t scratch_bytes() const { return static_cast<size_t>(teams * scratch_of_team()); }

  __device__ __forceinline__ void keys(int64_t query, const int32_t* ids, int count, unsigned char* scratch,
                                       KeyId* to) const {
    const RowTeam<Codec::kLanes> team;
    const int in_block = static_cast<int>(threadIdx.x) / Codec::kLanes;
    float* const decoded = reinterpret_cast<float*>(scratch) + in_block * codec.scratch_floats;
    unsigned char* const room =
        static_cast<unsigned char*>(const_cast<void*>(scan.base.data)) + blockIdx.x * (kDecodedAtOnce * scan.base.stride);
    for (int first = 0; first < count; first += kDecodedAtOnce) {
      const int here = count - first < kDecodedAtOnce ? count - first : kDecodedAtOnce;
      if (in_block < teams)
        for (int i = in_block; i < here; i += teams) {
          codec.decode_row(team, ids[first + i], reinterpret_cast<float*>(room + i * scan.base.stride), decoded);
          team.sync();  // all have read the scratch
        }
      __syncthreads();
      visit_family<float>(family, scan.metric,
                          EachRow<kThreads, RowTeam<1>>{scan, query, ids + first, here, to + first, room});
      __syncthreads();
    }
  }
};

}  // namespace annk::cuda
