// SPDX-License-Identifier: Apache-2.0
// Tensor cores as a prefilter for large batches. Every pair's distance is chains of fused multiply-adds
// (docs/determinism.md), which no tensor core computes; but one dot product of lower precision and a bound on its error say
// of almost every pair that its key cannot be below a limit. The candidates, a few hundred of a query, get their chain, so
// results are those of the scan, bit for bit.
//   limits     A query's limit is the k-th best key of some rows. Levels take every 17^j-th row, j falling to 0, and each
//              gives the limit of the next: about 17 k rows of a level survive, in whatever order the rows lie.
//   candidates  lie in the workspace, `capacity` of a query. A query with more at the last level (many equal rows, zero
//              vectors, NaN) is left to the scan, which is launched behind and skips all others (ScanArgs::redo).
//
// The bound. q' and x' are the operands (q' may be scaled by a power of two s), d dimensions, u = 2^-24:
//   A, from tensor cores   |A - q'.x'| <= d 2^-22 |q'||x'|. Products are exact; each sum of one instruction aligns its terms
//                          to the largest and truncates below 24 bits: at most 1.5 d 2^-23 of the sum of all magnitudes for
//                          blocks of 4 terms or more, which is at most |q'||x'|.
//   x'                     = x, but for float32 rows: tensor cores read 10 bits after the point, |x' - x| <= 2^-10 |x|.
//   q'                     |q' - s q| is measured when q' is made.
//   C, the chain           of a dot product: |C - q.x| <= (d + 2) u |q||x|; of squared differences: a factor of
//                          1 +- (d + 3) u.
// Together, with room for the rounding of what follows: |A - s C| <= R |x|, R = 1.001 (e |q'| + 1.01 |q' - s q|), where
// e = (d + 16) 2^-21, and 2^-10 more for float32 rows. A key K <= L, the limit, then implies
//   inner_product  C >= -L                           so  A + R |x| >= -s L
//   sqeuclidean    2 q.x >= |q|^2 + |x|^2 - (1+h) L  so  A + R |x| - s (1-h) |x|^2 / 2 >= s ((1-h) |q|^2 - (1+h) L) / 2
//   euclidean      the same with L^2
//   cosine         C >= (1 - L - 2^-21) |x|          so  A + (R + s (L - 1) + s |L - 1| h + s 2^-20) |x| >= 0
// with h = (d + 16) 2^-22 for the norms' own rounding: A + a |x| + b |x|^2 >= c, the three of a Threshold. For bytes A is
// exact and cosine's s is |q|. Norms outside [2^-40, 2^40], where squares might overflow or vanish, make a term NaN, and
// what compares with NaN survives.
#pragma once
#include "cuda/device/emit.cuh"
#include "cuda/distance/prepare.h"

namespace annk::cuda {

// Whether the prefilter can take a call, and whether it should: policy.h.
bool can_prefilter(const Matrix& base, const Matrix& queries, Metric metric, int64_t k);

// Pairs of this query and a row of norm x survive unless A + a x + b x^2 < c.
struct alignas(16) Threshold {
  float a, b, c, unused;
};
// What a query's thresholds are made from.
struct QueryFacts {
  float squared_norm;  // of the prepared query
  float norm;          // of the operand, |q'|
  float error;         // |q' - s q|
  float scale;         // s; for bytes |q| under cosine, else 1
};

// The workspace of one launch's queries.
struct Prefilter {
  int64_t queries = 0, k = 0;
  uint32_t capacity = 0;
  Family family = Family::dot;
  int32_t chunks = 1;                 // of 64 bytes of a row
  unsigned char* operands = nullptr;  // (queries, chunks * 64), zero beyond d; null where the prepared queries serve
  QueryFacts* facts = nullptr;
  Threshold* thresholds = nullptr;
  uint32_t* counts = nullptr;      // candidates found, in the end of the last level
  uint32_t* candidates = nullptr;  // (queries, capacity): numbers of rows of a level
};
Prefilter take_prefilter(Workspace& workspace, const ScanPlan& plan, const Matrix& base, int64_t k);

// Enqueues the neighbors of the prepared queries of `scan`, of those with at most `capacity` candidates.
void prefilter(const Prefilter& plan, const ScanArgs& scan, const Filter& filter, const NeighborOut& out, void* stream);

// The steps of prefilter(), each in a source of its own.
struct PrefilterArgs {
  Matrix rows;  // of the level
  int64_t row_bytes = 0;
  int64_t step = 1;  // row i of the level is row i * step of the base
  Filter filter;
  Metric metric = Metric::sqeuclidean;
  int64_t query_begin = 0;
  int32_t m = 0, k = 0, chunks = 1, query_tiles = 0;
  Splits splits;
  uint32_t capacity = 0;
  const unsigned char* operands = nullptr;
  int64_t operand_pitch = 0;
  const unsigned char* queries = nullptr;  // as prepared
  const uint32_t* query_words = nullptr;
  int64_t query_pitch = 0;
  QueryFacts* facts = nullptr;
  Threshold* thresholds = nullptr;
  uint32_t* counts = nullptr;
  uint32_t* candidates = nullptr;
};
void make_operands(const PrefilterArgs&, unsigned char* operands, void* stream);
void find_candidates(const PrefilterArgs&, void* stream);
// Chains of the candidates. Not at the last level: their k-th best becomes the threshold, and the counts become zero.
void rank_candidates(const PrefilterArgs&, Family family, const NeighborOut* out, void* stream);

}  // namespace annk::cuda
