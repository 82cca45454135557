// SPDX-License-Identifier: Apache-2.0
// A launch: checks the configuration, hands the blocks to host threads in an order that the seed decides.
#include "launch.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "worker.h"

namespace emu {

static std::mutex mutex;  // guards what follows
static std::optional<Config> fixed;
static auto& idle = immortal<std::vector<std::unique_ptr<Worker>>>();

static long from_environment(const char* name, long otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? std::strtol(text, nullptr, 10) : otherwise;
}

void configure(const Config& config) {
  const std::lock_guard lock(mutex);
  fixed = config;
}

void configure_from_environment() {
  const std::lock_guard lock(mutex);
  fixed.reset();
}

Config config() {
  const std::lock_guard lock(mutex);
  if (fixed) return *fixed;
  Config c;
  c.seed = static_cast<uint64_t>(from_environment("EMU_SEED", static_cast<long>(c.seed)));
  c.threads = static_cast<int>(from_environment("EMU_THREADS", c.threads));
  c.preempt = static_cast<int>(from_environment("EMU_PREEMPT", c.preempt));
  c.policy = static_cast<Policy>(from_environment("EMU_POLICY", static_cast<long>(c.policy)));
  c.budget = from_environment("EMU_BUDGET", c.budget);
  c.multiprocessors = static_cast<int>(from_environment("EMU_MULTIPROCESSORS", c.multiprocessors));
  c.capability = static_cast<int>(from_environment("EMU_CAPABILITY", c.capability));
  return c;
}

static std::vector<std::unique_ptr<Worker>> take_workers(size_t count) {
  const std::lock_guard lock(mutex);
  std::vector<std::unique_ptr<Worker>> taken;
  while (taken.size() < count) {
    if (idle.empty()) idle.push_back(std::make_unique<Worker>());
    taken.push_back(std::move(idle.back()));
    idle.pop_back();
  }
  return taken;
}

static void give_back(std::vector<std::unique_ptr<Worker>> workers) {
  const std::lock_guard lock(mutex);
  for (auto& w : workers) idle.push_back(std::move(w));
}

static void check_configuration(const Call& call, dim3 grid, dim3 block, size_t dynamic_bytes, const Config& config) {
  const auto refuse = [&](const std::string& what) {
    throw Error("LAUNCH: " + what + " | kernel " + call.name + " seed " + std::to_string(config.seed));
  };
  const auto text = [](dim3 d) {
    return "(" + std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z) + ")";
  };
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > 1024 || block.z > 64)
    refuse("block " + text(block) + ", 1 to 1024 threads and z <= 64 allowed");
  if (uint64_t{grid.x} * grid.y * grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) {
    refuse("grid " + text(grid) + ", 1 to (2^31-1, 65535, 65535) allowed");
  }
  if (dynamic_bytes > dynamic_shared_limit(call.kernel)) {
    refuse(std::to_string(dynamic_bytes) + " bytes of dynamic shared memory, cudaFuncSetAttribute allows " +
           std::to_string(dynamic_shared_limit(call.kernel)));
  }
}

static std::vector<uint64_t> block_order(uint64_t blocks, uint64_t seed) {
  std::vector<uint64_t> order(blocks);
  for (uint64_t i = 0; i < blocks; ++i) order[i] = i;
  Random random{seed * 0x9E3779B97F4A7C15u + 12345};
  if (seed != 0) {
    for (uint64_t i = blocks; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  }
  return order;
}

void launch(const Call& call, dim3 grid, dim3 block, size_t dynamic_bytes) {
  if (worker) fail("LAUNCH: a kernel launches a kernel");
  const Config config = emu::config();
  check_configuration(call, grid, block, dynamic_bytes, config);
  static std::mutex one_launch;  // as on one stream; also what makes the first report that of this launch
  const std::lock_guard lock(one_launch);
  const auto order = block_order(uint64_t{grid.x} * grid.y * grid.z, config.seed);
  size_t count =
      config.threads > 0 ? static_cast<size_t>(config.threads) : std::max(1u, std::thread::hardware_concurrency());
  count = race::enabled() ? 1 : std::min<size_t>(count, order.size());
  const CrashGuard guard;
  begin_reports();
  race::begin_launch();
  auto workers = take_workers(count);
  std::atomic<uint64_t> next{0};
  const auto work = [&](Worker& w) {
    w.config = config;
    w.call = &call;
    w.host = host_context();
    const SignalStack signal_stack;
    for (uint64_t i; !failed() && (i = next++) < order.size();) run_block(w, order[i], grid, block, dynamic_bytes);
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < workers.size(); ++i) threads.emplace_back(work, std::ref(*workers[i]));
  work(*workers[0]);
  for (std::thread& thread : threads) thread.join();
  give_back(std::move(workers));
  if (failed()) throw Error(first_report());
}

}  // namespace emu
