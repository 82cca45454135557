// SPDX-License-Identifier: Apache-2.0
// Shared memory: named arrays between fences, poisoned before every block; and the asynchronous copies into it.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "worker.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define EMU_FORBID(address, bytes) __asan_poison_memory_region(address, bytes)
#define EMU_ALLOW(address, bytes) __asan_unpoison_memory_region(address, bytes)
#else
#define EMU_FORBID(address, bytes) (static_cast<void>(address), static_cast<void>(bytes))
#define EMU_ALLOW(address, bytes) (static_cast<void>(address), static_cast<void>(bytes))
#endif

namespace emu {

static constexpr size_t kFenceBytes = 32;

void prepare_shared(Worker& w, size_t dynamic_bytes) {
  size_t dirty = kDynamicOffset + dynamic_bytes + kFenceBytes;
  if (w.arena) {
    dirty = std::max(dirty, w.arena_used);
  } else {
    w.arena = static_cast<char*>(mmap(nullptr, kArenaBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    dirty = kArenaBytes;
  }
  // NaN and -1; a huge negative number; NaN as a float and a large positive integer.
  static constexpr int kPoison[] = {0xff, 0xab, 0x7f};
  EMU_ALLOW(w.arena, kArenaBytes);
  std::memset(w.arena, kPoison[w.config.seed == 0 ? 0 : w.random.below(3)], dirty);
  EMU_FORBID(w.arena, kArenaBytes);
  EMU_ALLOW(w.arena + kDynamicOffset, dynamic_bytes);
  w.dynamic_bytes = dynamic_bytes;
  w.arena_used = kDynamicOffset + dynamic_bytes;
  w.static_bytes = 0;
  w.arrays.clear();
}

void* static_shared(const void* key, size_t bytes, size_t alignment, const char* name) {
  Worker& w = *worker;
  for (const SharedArray& array : w.arrays)
    if (array.key == key) return array.data;
  const size_t start = (w.arena_used + kFenceBytes + alignment - 1) / alignment * alignment;
  w.static_bytes += bytes;
  if (w.static_bytes > kStaticSharedLimit)
    fail("SMEM: %s brings static shared memory to %zu bytes, over 48 KiB", name, w.static_bytes);
  if (w.static_bytes + w.dynamic_bytes > shared_limit(w.call->kernel, w.config)) {
    fail("SMEM: %s brings shared memory to %zu static and %zu dynamic bytes, over the limit of %zu", name, w.static_bytes,
         w.dynamic_bytes, shared_limit(w.call->kernel, w.config));
  }
  if (start + bytes + kFenceBytes > kArenaBytes) fail("SMEM: no room for %s", name);
  w.arena_used = start + bytes;
  w.arrays.push_back({key, w.arena + start, bytes, name});
  EMU_ALLOW(w.arena + start, bytes);
  return w.arena + start;
}

bool in_arena(const Worker& w, const void* address) {
  const auto* p = static_cast<const char*>(address);
  return p >= w.arena && p < w.arena + kArenaBytes;
}

bool in_shared(const Worker& w, const void* address, size_t bytes) {
  const auto* p = static_cast<const char*>(address);
  const char* dynamic = w.arena + kDynamicOffset;
  if (p >= dynamic && p + bytes <= dynamic + w.dynamic_bytes) return true;
  return std::ranges::any_of(w.arrays, [&](const SharedArray& a) { return p >= a.data && p + bytes <= a.data + a.bytes; });
}

// The array that the address is in, or the one that it lies behind.
std::string name_of_shared(const Worker& w, const void* address) {
  const auto* p = static_cast<const char*>(address);
  SharedArray nearest{nullptr, w.arena + kDynamicOffset, w.dynamic_bytes, "dynamic shared memory"};
  for (const SharedArray& array : w.arrays)
    if (array.data <= p) nearest = array;
  const std::ptrdiff_t offset = p - nearest.data;
  return nearest.name + ("+" + std::to_string(offset)) + " of " + std::to_string(nearest.bytes) + " bytes";
}

void copy_async(void* shared, const void* global, int bytes, int source_bytes, Location here) {
  Worker& w = *worker;
  Fiber& self = *w.running;
  self.where = here;
  const auto both = reinterpret_cast<uintptr_t>(shared) | reinterpret_cast<uintptr_t>(global);
  if (both % static_cast<unsigned>(bytes) != 0)
    fail("ALIGN: cp.async of %d bytes misaligned, at %s", bytes, place(self.where).c_str());
  if (!in_shared(w, shared, static_cast<size_t>(bytes))) {
    fail("SMEM: destination of cp.async is not shared memory, at %s", place(self.where).c_str());
  }
  if (source_bytes < 0 || source_bytes > bytes) fail("CP_ASYNC: %d source bytes of %d", source_bytes, bytes);
  // The bytes may land any time from now on: a conflict is one now, not only at the wait.
  race::access(w, self, global, static_cast<size_t>(source_bytes), Access::read, here);
  race::access(w, self, shared, static_cast<size_t>(bytes), Access::async_write, here);
  self.copies.push_back({shared, global, bytes, source_bytes, self.copy_group, here});
}

void commit_copies() { ++worker->running->copy_group; }

void wait_copies(int groups_in_flight) {
  Worker& w = *worker;
  Fiber& self = *w.running;
  const auto landed = [&](const PendingCopy& copy) {
    if (copy.group >= self.copy_group - groups_in_flight) return false;
    std::memcpy(copy.shared, copy.global, static_cast<size_t>(copy.source_bytes));
    std::memset(static_cast<char*>(copy.shared) + copy.source_bytes, 0, static_cast<size_t>(copy.bytes - copy.source_bytes));
    race::access(w, self, copy.shared, static_cast<size_t>(copy.bytes), Access::write, copy.where);
    return true;
  };
  std::erase_if(self.copies, landed);
}

}  // namespace emu
