// SPDX-License-Identifier: Apache-2.0
// Every traced load and store: bounds, alignment, first use, and conflicts with the accesses remembered for each byte.
#include "race.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "worker.h"

#if defined(__SANITIZE_THREAD__)
#error "kernels are compiled with -fsanitize=thread for the race detector, the emulator itself is not"
#endif

namespace emu::race {

// One access, as remembered. epoch 0: none.
struct Mark {
  uint32_t epoch, clock;
  uint32_t block;
  uint16_t thread;
  bool atomic;
  int32_t pc;  // from `anchor`
};
// Of a byte. Two readers, or a write-after-read inside a warp passes unseen behind a reader that is ordered; a second
// atomic writer likewise.
struct Cell {
  Mark writes[2], reads[2];
};
// The four bytes of a word mostly share one past; where they do not, each has its own.
struct Word {
  uint32_t run = 0;  // the launch (global memory) or block (shared memory) that the marks belong to
  Cell all = {};
  std::unique_ptr<std::array<Cell, 4>> bytes;
};

static constexpr size_t kPageWords = 256, kPagesKept = 8192;  // of 88 KiB each
static constexpr long kAccessesInARow = 100'000'000;  // a thread that runs on for so long waits for memory in a plain loop

static bool hooks_in_use = false;
static uint32_t launch_run = 0, block_run = 0, runs = 0;
static auto& pages = immortal<std::unordered_map<uintptr_t, std::unique_ptr<Word[]>>>();
static auto& shared_words = immortal<std::vector<Word>>();

bool enabled() { return hooks_in_use; }

static const char anchor = 0;
static int32_t compact(const void* pc) { return static_cast<int32_t>(static_cast<const char*>(pc) - &anchor); }
static std::string line_of(int32_t pc) { return place({nullptr, 0, &anchor + pc}); }

void forget_launch() {
  launch_run = ++runs;
  if (pages.size() > kPagesKept) pages.clear();
}
void forget_block() {
  block_run = ++runs;
  if (shared_words.empty()) shared_words.resize(kArenaBytes / 4);
}

static std::string what_is(const Worker& w, const void* address) {
  if (in_arena(w, address)) return name_of_shared(w, address);
  char text[40];
  std::snprintf(text, sizeof text, "global memory at %p", address);
  return text;
}

[[noreturn]] static void conflict(const Worker& w, const char* kind, const void* address, const Mark& other,
                                  const Location& here) {
  std::string who = "thread " + std::to_string(other.thread);
  if (other.block != w.block) who += " of block " + std::to_string(other.block);
  fail("RACE: %s on %s: this access at %s, other %s at %s", kind, what_is(w, address).c_str(), place(here).c_str(),
       who.c_str(), line_of(other.pc).c_str());
}

static void visit(Worker& w, const Fiber& self, Cell& cell, const Mark& now, Access access, const void* address,
                  const Location& here) {
  const auto unordered = [&](const Mark& m) {
    return m.epoch != 0 && !(m.atomic && now.atomic) && !ordered(w, self, m.block, m.thread, m.epoch, m.clock);
  };
  const bool reads = access == Access::read || access == Access::atomic_read;
  if ((reads || access == Access::atomic_update) && cell.writes[0].epoch == 0 && in_arena(w, address)) {
    fail("RACE: UNINITIALISED read of %s at %s", what_is(w, address).c_str(), place(here).c_str());
  }
  for (const Mark& m : cell.writes)
    if (unordered(m)) conflict(w, reads ? "read-after-write" : "write-after-write", address, m, here);
  if (reads) {
    // Two slots for readers not ordered among themselves, of different warps where there are such.
    const auto free = [&](const Mark& m) { return m.epoch == 0 || ordered(w, self, m.block, m.thread, m.epoch, m.clock); };
    const auto near = [](const Mark& a, const Mark& b) { return a.block == b.block && a.thread / 32 == b.thread / 32; };
    if (free(cell.reads[0]))
      cell.reads[0] = now;
    else if (free(cell.reads[1]) || near(cell.reads[0], cell.reads[1]))
      cell.reads[1] = now;
    return;
  }
  for (const Mark& m : cell.reads)
    if (unordered(m)) conflict(w, "write-after-read", address, m, here);
  if (access == Access::async_write) return;  // lands later, as a write of its own
  const bool keep_last = now.atomic && cell.writes[0].atomic && cell.writes[0].block != now.block;
  cell.writes[1] = keep_last ? cell.writes[0] : now.atomic ? cell.writes[1] : Mark{};
  cell.writes[0] = now;
  cell.reads[0] = cell.reads[1] = Mark{};
}

static Word& word_at(const Worker& w, uintptr_t number, bool shared) {
  if (shared) return shared_words[number - reinterpret_cast<uintptr_t>(w.arena) / 4];
  static uintptr_t last_page = ~uintptr_t{0};
  static Word* words = nullptr;
  if (number / kPageWords != last_page || pages.empty()) {
    last_page = number / kPageWords;
    auto& page = pages[last_page];
    if (!page) page = std::make_unique<Word[]>(kPageWords);
    words = page.get();
  }
  return words[number % kPageWords];
}

static void visit_all(Worker& w, const Fiber& self, const char* address, size_t bytes, Access access, const Location& here) {
  const WarpState& warp = w.warps[self.thread.warp].race;
  const bool atomic = access == Access::atomic_read || access == Access::atomic_write || access == Access::atomic_update;
  const bool shared = in_arena(w, address);
  const uint32_t run = shared ? block_run : launch_run, clock = warp.lanes[self.thread.lane][self.thread.lane];
  const Mark now{warp.epoch, clock,           static_cast<uint32_t>(w.block), static_cast<uint16_t>(self.thread.linear),
                 atomic,     compact(here.pc)};
  for (const char* end = address + bytes; address < end;) {
    const auto number = reinterpret_cast<uintptr_t>(address);
    const auto first = number % 4, last = std::min<uintptr_t>(4, first + static_cast<uintptr_t>(end - address));
    Word& word = word_at(w, number / 4, shared);
    if (word.run != run) word = Word{run, {}, nullptr};
    if (!word.bytes && last - first == 4) {
      visit(w, self, word.all, now, access, address, here);
    } else {
      if (!word.bytes) word.bytes.reset(new std::array<Cell, 4>{word.all, word.all, word.all, word.all});
      for (auto i = first; i < last; ++i) visit(w, self, (*word.bytes)[i], now, access, address + (i - first), here);
    }
    address += last - first;
  }
}

void access(Worker& w, Fiber& self, const volatile void* where, size_t bytes, Access access, const Location& here) {
  if (!hooks_in_use) return;
  const auto* address = static_cast<const char*>(const_cast<const void*>(where));
  if (++self.race.accesses > kAccessesInARow) fail("LIVELOCK suspected at %s;%s", place(here).c_str(), positions(w).c_str());
  if (in_arena(w, address)) {
    if (!in_shared(w, address, bytes)) {
      fail("RACE: OUT-OF-BOUNDS access of %zu bytes at %s: %s", bytes, what_is(w, address).c_str(), place(here).c_str());
    }
    visit_all(w, self, address, bytes, access, here);
    return;
  }
  if (const int owner = stack_owner(w, address); owner >= 0) {
    if (owner != static_cast<int>(self.thread.linear)) {
      fail("LOCAL: access to a local variable of thread %d, at %s", owner, place(here).c_str());
    }
    return;
  }
  if (reinterpret_cast<uintptr_t>(address) < 65536)
    fail("NULL: access at %p, at %s", static_cast<const void*>(address), place(here).c_str());
  visit_all(w, self, address, bytes, access, here);
}

}  // namespace emu::race

// The hooks that g++ -fsanitize=thread calls. Plain ones promise natural alignment.
using emu::Access;

static void traced(const void* address, size_t bytes, Access access, bool aligned, const void* pc) {
  emu::Worker* w = emu::worker;
  if (!w) return;
  if (aligned && reinterpret_cast<uintptr_t>(address) % bytes != 0) {
    emu::fail("ALIGN: %zu-byte access at %p, at %s", bytes, address, emu::place({nullptr, 0, pc}).c_str());
  }
  emu::race::access(*w, *w->running, address, bytes, access, {nullptr, 0, pc});
}

#define EMU_HOOK(name, bytes, access, aligned) \
  extern "C" void name(void* p) { traced(p, bytes, Access::access, aligned, __builtin_return_address(0)); }
#define EMU_HOOKS(bytes)                                     \
  EMU_HOOK(__tsan_read##bytes, bytes, read, true)            \
  EMU_HOOK(__tsan_write##bytes, bytes, write, true)          \
  EMU_HOOK(__tsan_unaligned_read##bytes, bytes, read, false) \
  EMU_HOOK(__tsan_unaligned_write##bytes, bytes, write, false)
EMU_HOOKS(1)
EMU_HOOKS(2)
EMU_HOOKS(4)
EMU_HOOKS(8)
EMU_HOOKS(16)

extern "C" {
void __tsan_init() { emu::race::hooks_in_use = true; }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_read(void**) {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_read_range(void* p, size_t bytes) { traced(p, bytes, Access::read, false, __builtin_return_address(0)); }
void __tsan_write_range(void* p, size_t bytes) { traced(p, bytes, Access::write, false, __builtin_return_address(0)); }
// Host code in a kernel's source: the guard of a static local variable.
unsigned char __tsan_atomic8_load(const volatile unsigned char* p, int) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
}
