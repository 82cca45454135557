// SPDX-License-Identifier: Apache-2.0
// What a report says: the source lines, the thread, and where everybody else stands.
#include <dlfcn.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <mutex>

#include "worker.h"

namespace emu {

static std::mutex mutex;
static std::atomic<bool> any_report{false};
static auto& text_of_first = immortal<std::string>();

void begin_reports() { any_report = false; }
bool failed() { return any_report; }
std::string first_report() {
  const std::lock_guard lock(mutex);
  return text_of_first;
}
void report(const std::string& text) {
  const std::lock_guard lock(mutex);
  if (!any_report.exchange(true)) text_of_first = text;
}

static std::string run_addr2line(const char* object, size_t offset) {
  char command[1024], line[512];
  std::snprintf(command, sizeof command, "addr2line -i -s -e '%s' 0x%zx 2>/dev/null", object, offset);
  std::string chain;
  FILE* pipe = popen(command, "r");
  if (!pipe) return chain;
  while (std::fgets(line, sizeof line, pipe)) {
    line[std::strcspn(line, " \n")] = 0;  // drops "(discriminator 2)"
    if (std::strchr(line, '?')) continue;
    if (!chain.empty()) chain += " < ";
    chain += line;
  }
  pclose(pipe);
  return chain;
}

// The line of the call before this address, then the lines that it was inlined into; empty without debug information.
static std::string symbolise(const void* pc) {
  Dl_info object;
  if (!pc || !dladdr(pc, &object)) return {};
  const auto address = reinterpret_cast<size_t>(pc) - 1, base = reinterpret_cast<size_t>(object.dli_fbase);
  const std::string chain = run_addr2line(object.dli_fname, address - base);
  return chain.empty() ? run_addr2line(object.dli_fname, address) : chain;  // not position-independent
}

// The return address of a tail call lies in another function, so it must agree with the line that the call names.
std::string place(const Location& where) {
  const std::string chain = symbolise(where.pc);
  if (!where.file) return chain.empty() ? where.pc ? "an unknown line" : "its start" : chain;
  const char* slash = std::strrchr(where.file, '/');
  const std::string line = (slash ? slash + 1 : where.file) + (":" + std::to_string(where.line));
  return chain == line || chain.starts_with(line + " ") ? chain : line;
}

std::string positions(const Worker& w) {
  const auto together = [](const Fiber& a, const Fiber& b) {
    if (a.state != b.state) return false;
    return a.state == State::done || (a.where.pc == b.where.pc && a.where.line == b.where.line);
  };
  static constexpr const char* kDoing[] = {"ready, last", "in barrier", "in", "exited"};
  std::string text;
  int groups = 0;
  for (unsigned i = 0, end; i < w.threads; i = end) {
    for (end = i + 1; end < w.threads && together(w.fibers[i], w.fibers[end]);) ++end;
    if (++groups > 8) return text + " ...";
    const Fiber& f = w.fibers[i];
    text += " [t" + std::to_string(i) + (end > i + 1 ? "-" + std::to_string(end - 1) : "") + " ";
    text += kDoing[static_cast<int>(f.state)];
    if (f.state == State::in_collective) text += std::string(" ") + name_of(f.op);
    if (f.state != State::done) text += " at " + place(f.where);
    text += "]";
  }
  return text;
}

std::string who(const Worker& w) {
  const Thread& t = w.running->thread;
  const auto triple = [](uint3 v) {
    return "(" + std::to_string(v.x) + "," + std::to_string(v.y) + "," + std::to_string(v.z) + ")";
  };
  std::string kernel = w.call->name;
  if (kernel.front() == '(') kernel = kernel.substr(1, kernel.size() - 2);
  return "kernel " + kernel + " block " + triple(t.block) + " thread " + triple(t.index) + " warp " +
         std::to_string(t.warp) + " lane " + std::to_string(t.lane) + " seed " + std::to_string(w.config.seed);
}

}  // namespace emu
