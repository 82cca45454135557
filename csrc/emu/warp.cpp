// SPDX-License-Identifier: Apache-2.0
// Operations of a warp: each lane leaves its operands, the last lane of the mask computes for all and wakes them.
#include <algorithm>
#include <bit>

#include "worker.h"

namespace emu {

const char* name_of(Op op) {
  static const char* const names[] = {"__syncwarp",        "__shfl_sync",       "__shfl_up_sync",    "__shfl_down_sync",
                                      "__shfl_xor_sync",   "__ballot_sync",     "__any_sync",        "__all_sync",
                                      "__match_any_sync",  "__reduce_add_sync", "__reduce_min_sync", "__reduce_max_sync",
                                      "__reduce_min_sync", "__reduce_max_sync", "__reduce_and_sync", "__reduce_or_sync",
                                      "__reduce_xor_sync", "mma m16n8k16 f16",  "mma m16n8k16 bf16", "mma m16n8k8 tf32",
                                      "mma m16n8k32 s8",   "mma m16n8k32 u8",   "ldmatrix",          "ldmatrix.trans",
                                      "bar.sync",          "bar.arrive"};
  static_assert(std::size(names) == static_cast<size_t>(Op::bar_arrive) + 1);
  return names[static_cast<int>(op)];
}

template <class F>
static void for_lanes(unsigned mask, F&& f) {
  for (; mask != 0; mask &= mask - 1) f(std::countr_zero(mask));
}

static void combine_shuffle(Lane* lanes, unsigned mask, Op op) {
  for_lanes(mask, [&](int i) {
    const int width = lanes[i].width, argument = lanes[i].argument;
    if (width < 1 || width > 32 || !std::has_single_bit(static_cast<unsigned>(width)))
      fail("SHFL: width %d of %s at %s", width, name_of(op), place(worker->running->where).c_str());
    const int first = i & ~(width - 1);
    int from = first | (argument & (width - 1));
    if (op == Op::shfl_up) from = i - argument < first ? i : i - argument;
    if (op == Op::shfl_down) from = i + argument >= first + width ? i : i + argument;
    if (op == Op::shfl_xor) from = (i ^ argument) >= first + width ? i : i ^ argument;
    if (from < 0 || from > 31 || !(mask >> from & 1u)) {
      fail("SHFL: lane %d reads lane %d, which is not in mask 0x%08x of %s at %s", i, from, mask, name_of(op),
           place(worker->running->where).c_str());
    }
    std::copy_n(lanes[from].in, 2, lanes[i].out);
  });
}

static unsigned reduce(unsigned a, unsigned b, Op op) {
  const int signed_a = static_cast<int>(a), signed_b = static_cast<int>(b);
  switch (op) {
    case Op::add:
      return a + b;
    case Op::min_signed:
      return static_cast<unsigned>(std::min(signed_a, signed_b));
    case Op::max_signed:
      return static_cast<unsigned>(std::max(signed_a, signed_b));
    case Op::min_unsigned:
      return std::min(a, b);
    case Op::max_unsigned:
      return std::max(a, b);
    case Op::bit_and:
      return a & b;
    case Op::bit_or:
      return a | b;
    default:
      return a ^ b;
  }
}

static void combine_values(Lane* lanes, unsigned mask, Op op) {
  unsigned ballot = 0, result = static_cast<unsigned>(lanes[std::countr_zero(mask)].in[0]);
  for_lanes(mask, [&](int i) { ballot |= static_cast<unsigned>(lanes[i].in[0] != 0) << i; });
  for_lanes(mask & (mask - 1), [&](int i) { result = reduce(result, static_cast<unsigned>(lanes[i].in[0]), op); });
  if (op == Op::ballot) result = ballot;
  if (op == Op::any) result = ballot != 0;
  if (op == Op::all) result = ballot == mask;
  for_lanes(mask, [&](int i) { lanes[i].out[0] = result; });
}

static void combine_match(Lane* lanes, unsigned mask) {
  for_lanes(mask, [&](int i) {
    lanes[i].out[0] = 0;
    for_lanes(mask, [&](int j) { lanes[i].out[0] |= static_cast<uint64_t>(lanes[i].in[0] == lanes[j].in[0]) << j; });
  });
}

static void combine(Worker& w, Warp& warp, unsigned mask, Op op) {
  switch (op) {
    case Op::syncwarp:
      race::sync_warp(w, warp, mask);
      return;
    case Op::shfl:
    case Op::shfl_up:
    case Op::shfl_down:
    case Op::shfl_xor:
      combine_shuffle(warp.lanes, mask, op);
      return;
    case Op::match_any:
      combine_match(warp.lanes, mask);
      return;
    case Op::mma_f16:
    case Op::mma_bf16:
    case Op::mma_tf32:
    case Op::mma_s8:
    case Op::mma_u8:
      combine_mma(warp.lanes, op);
      return;
    case Op::ldmatrix:
    case Op::ldmatrix_trans:
      combine_ldmatrix(warp.lanes, op);
      return;
    case Op::bar_sync:
    case Op::bar_arrive:
      arrive(w, w.running->thread.warp, op);
      return;
    default:
      combine_values(warp.lanes, mask, op);
  }
}

static void check_mask(const Warp& warp, unsigned lane, unsigned mask, Op op, const Location& here) {
  if (!(mask >> lane & 1u)) {
    fail("MASK: lane %u calls %s at %s, but is not in mask 0x%08x", lane, name_of(op), place(here).c_str(), mask);
  }
  if (const unsigned gone = mask & (warp.exited | ~warp.exists)) {
    fail("MASK: mask 0x%08x of %s at %s names lanes 0x%08x that have exited or do not exist", mask, name_of(op),
         place(here).c_str(), gone);
  }
}

// The lanes that wait for the same collective; others that wait must not want the caller.
static unsigned partners(const Warp& warp, const Fiber* lanes, const Fiber& self, const Location& here) {
  unsigned same = 0;
  for_lanes(self.mask & warp.waiting, [&](int i) {
    const Fiber& other = lanes[i];
    if (other.mask == self.mask && other.op == self.op) {
      same |= 1u << i;
    } else if (other.mask >> self.thread.lane & 1u) {
      fail("MASK: %s with mask 0x%08x at %s meets lane %d, which waits in %s with mask 0x%08x at %s", name_of(self.op),
           self.mask, place(here).c_str(), i, name_of(other.op), other.mask, place(other.where).c_str());
    }
  });
  return same;
}

void collective(unsigned mask, Op op, Location here) {
  Worker& w = *worker;
  Fiber& self = *w.running;
  Warp& warp = w.warps[self.thread.warp];
  const unsigned lane = self.thread.lane, bit = 1u << lane;
  spend(self, here);
  check_mask(warp, lane, mask, op, here);
  self.mask = mask;
  self.op = op;
  Fiber* lanes = &w.fibers[self.thread.warp * 32];
  if (warp.waiting == 0) {
    warp.one_group = true;
    warp.member = &self;
  }
  warp.one_group = warp.one_group && warp.member->mask == mask && warp.member->op == op;
  const unsigned arrived = bit | (warp.one_group ? warp.waiting : partners(warp, lanes, self, here));
  if (arrived != mask) {
    warp.waiting |= bit;
    wait(self, State::in_collective);
    return;
  }
  combine(w, warp, mask, op);
  warp.waiting &= ~mask;
  for_lanes(mask & ~bit, [&](int i) { wake(lanes[i]); });
  if (w.policy == Policy::random && w.random.below(4) == 0) yield(w);
}

}  // namespace emu
