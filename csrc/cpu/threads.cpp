// SPDX-License-Identifier: Apache-2.0
#include "core/threads.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "core/cgroup.h"
#include "core/check.h"

namespace annk {
namespace {

constexpr int kMaxThreads = 1024;
constexpr auto kInterruptPeriod = std::chrono::milliseconds(50);

// One parallel_for: the ranges of its workers, and what became of it.
class Job {
 public:
  Job(int workers, int64_t tasks, TaskRef body) : body_(body), ranges_(workers) {
    for (int w = 0; w < workers; ++w) {
      ranges_[w].next = tasks * w / workers;
      ranges_[w].end = tasks * (w + 1) / workers;
    }
  }

  int workers() const { return static_cast<int>(ranges_.size()); }

  void work(int worker, bool (*interrupted)()) noexcept {
    try {
      auto asked = std::chrono::steady_clock::now();
      for (int shift = 0; shift < workers(); ++shift) {
        Range& range = ranges_[(worker + shift) % workers()];
        for (;;) {
          if (stopped_.load(std::memory_order_relaxed)) return;
          const int64_t task = range.next.fetch_add(1, std::memory_order_relaxed);
          if (task >= range.end) break;
          body_(worker, task);
          if (interrupted == nullptr) continue;
          const auto now = std::chrono::steady_clock::now();
          if (now - asked < kInterruptPeriod) continue;
          asked = now;
          if (interrupted()) throw_interrupted();
        }
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      stopped_ = true;
    }
  }

  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

  int joined = 1;  // workers that have begun, the caller among them; guarded by the pool
  int active = 0;  // pool threads inside work(); guarded by the pool

 private:
  struct alignas(64) Range {  // a line of its own: its counter is written by every worker that helps
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };

  TaskRef body_;
  std::vector<Range> ranges_;
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;
  std::exception_ptr failure_;
};

class ThreadPool {
 public:
  void run(Job& job, bool (*interrupted)()) {
    {
      const std::lock_guard lock(mutex_);
      grow(job.workers() - 1);
      jobs_.push_back(&job);
    }
    work_.notify_all();
    job.work(0, interrupted);
    std::unique_lock lock(mutex_);
    const auto place = std::find(jobs_.begin(), jobs_.end(), &job);
    if (place != jobs_.end()) jobs_.erase(place);
    idle_.wait(lock, [&] { return job.active == 0; });
  }

 private:
  // Threads are started when first wanted and live as long as the process.
  void grow(int wanted) {
    for (; threads_ < wanted; ++threads_) {
      try {
        std::thread([this] { serve(); }).detach();
      } catch (const std::system_error&) {
        return;  // the machine has no more threads to give: those that are here do the work
      }
    }
  }

  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      work_.wait(lock, [this] { return !jobs_.empty(); });
      Job& job = *jobs_.front();
      const int worker = job.joined++;
      ++job.active;
      if (job.joined == job.workers()) jobs_.pop_front();
      lock.unlock();
      job.work(worker, nullptr);
      lock.lock();
      if (--job.active == 0) idle_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable work_, idle_;
  std::deque<Job*> jobs_;  // those that want more workers
  int threads_ = 0;
};

std::atomic<ThreadPool*> current_pool{nullptr};

// Never destroyed: its threads may outlive static destructors. A forked child has none of the parent's threads, so it
// forgets the parent's pool and makes its own.
ThreadPool& pool() {
  ThreadPool* found = current_pool.load(std::memory_order_acquire);
  if (found != nullptr) return *found;
  static const int registered = pthread_atfork(nullptr, nullptr, [] { current_pool.store(nullptr); });
  static_cast<void>(registered);
  ThreadPool* made = new ThreadPool;
  if (current_pool.compare_exchange_strong(found, made)) return *made;
  delete made;
  return *found;
}

int affinity_count() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

int default_threads() {
  const char* const wanted = std::getenv("ANNKERN_NUM_THREADS");
  if (wanted != nullptr && *wanted != '\0') {
    int asked = 0;
    const char* const end = wanted + std::strlen(wanted);
    const auto read = std::from_chars(wanted, end, asked);
    check(read.ec == std::errc() && read.ptr == end && asked > 0, "ANNKERN_NUM_THREADS: expected a number of threads, 1 to ",
          INT_MAX, ", got '", wanted, "'");
    return std::min(asked, kMaxThreads);
  }
  static const int quota = cgroup_cpus("/proc/self/cgroup", "/sys/fs/cgroup");  // read once: it takes some 50 us
  return std::clamp(std::min(affinity_count(), quota), 1, kMaxThreads);
}

void throw_interrupted() { throw Interrupted(); }

int workers_for(int threads, int64_t tasks) {
  if (tasks <= 1) return 1;  // without asking the system how many there could be
  const int64_t most = threads > 0 ? std::min(threads, kMaxThreads) : default_threads();
  return static_cast<int>(std::clamp<int64_t>(tasks, 1, most));
}

void parallel_for(int threads, int64_t tasks, bool (*interrupted)(), TaskRef body) {
  if (tasks <= 0) return;
  if (tasks == 1) return body(0, 0);
  Job job(workers_for(threads, tasks), tasks, body);
  if (job.workers() == 1)
    job.work(0, interrupted);
  else
    pool().run(job, interrupted);
  job.rethrow();
}

}  // namespace annk
