// SPDX-License-Identifier: Apache-2.0
// The rows that a filter allows: how many, and which. Those of a filter that all queries share are found once.
#pragma once
#include "core/buffer.h"
#include "core/view.h"

namespace annk::ANNK_ISA {

class FilterRows {
 public:
  void begin(const Filter& filter, int64_t rows) {
    filter_ = filter;
    rows_ = rows;
    count_ = listed_ = -1;
  }

  int64_t count(int64_t query) {
    if (filter_.kind == Filter::Kind::none) return rows_;
    if (!filter_.shared() || count_ < 0) count_ = filter_.kind == Filter::Kind::bytes ? in_bytes(query) : in_bits(query);
    return count_;
  }

  // Ascending. Until it is asked for another query.
  const Growing<int64_t>& list(int64_t query) {
    if (listed_ == query || (listed_ >= 0 && filter_.shared())) return list_;
    listed_ = query;
    list_.clear();
    if (filter_.kind == Filter::Kind::bytes)
      list_bytes(bytes(query));
    else
      list_bits(words(query));
    return list_;
  }

 private:
  const unsigned char* bytes(int64_t query) const {
    return static_cast<const unsigned char*>(filter_.data) + query * filter_.query_stride;
  }
  const uint32_t* words(int64_t query) const { return reinterpret_cast<const uint32_t*>(bytes(query)); }
  // The last word, without what lies behind the last row.
  uint32_t last_word(const uint32_t* words) const { return words[rows_ / 32] & ((1u << rows_ % 32) - 1u); }

  int64_t in_bytes(int64_t query) const {
    const unsigned char* const allowed = bytes(query);
    int64_t count = 0;
    for (int64_t i = 0; i < rows_; ++i) count += allowed[i] != 0;
    return count;
  }
  int64_t in_bits(int64_t query) const {
    const uint32_t* const allowed = words(query);
    int64_t count = 0;
    for (int64_t w = 0; w < rows_ / 32; ++w) count += __builtin_popcount(allowed[w]);
    return rows_ % 32 == 0 ? count : count + __builtin_popcount(last_word(allowed));
  }

  void list_bytes(const unsigned char* allowed) {
    constexpr uint64_t kLow = 0x7f7f7f7f7f7f7f7fu;
    int64_t i = 0;
    for (; i + 8 <= rows_; i += 8) {
      uint64_t eight;
      __builtin_memcpy(&eight, allowed + i, 8);
      // The highest bit of each byte that is not 0.
      for (uint64_t set = (((eight & kLow) + kLow) | eight) & ~kLow; set != 0; set &= set - 1)
        list_.push(i + __builtin_ctzll(set) / 8);
    }
    for (; i < rows_; ++i)
      if (allowed[i] != 0) list_.push(i);
  }
  void list_bits(const uint32_t* allowed) {
    for (int64_t w = 0; w * 32 < rows_; ++w)
      for (uint32_t set = (w + 1) * 32 <= rows_ ? allowed[w] : last_word(allowed); set != 0; set &= set - 1)
        list_.push(w * 32 + __builtin_ctz(set));
  }

  Filter filter_;
  int64_t rows_ = 0, count_ = -1, listed_ = -1;
  Growing<int64_t> list_;
};

}  // namespace annk::ANNK_ISA
