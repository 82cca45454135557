// SPDX-License-Identifier: Apache-2.0
// A small pool of threads. No OpenMP: two OpenMP runtimes in one process crash or hang, and so does a fork after one.
#pragma once
#include <cstdint>
#include <type_traits>

namespace annk {

// ANNKERN_NUM_THREADS (throws where that is no positive number); else the processors that this process may run on, as its
// affinity and the quotas of its control groups say.
int default_threads();

// A borrowed callable, void(int worker, int64_t task); valid for the call alone.
class TaskRef {
 public:
  template <class F>
    requires(!std::is_same_v<F, TaskRef>)
  TaskRef(F& f)
      : object_(&f), call_([](void* object, int worker, int64_t task) { (*static_cast<F*>(object))(worker, task); }) {}
  void operator()(int worker, int64_t task) const { call_(object_, worker, task); }

 private:
  void* object_;
  void (*call_)(void*, int, int64_t);
};

// Runs body(worker, task) once for each task in [0, tasks), on at most `threads` threads (0: default_threads()), the
// caller among them as worker 0. Each worker begins with a contiguous range of tasks, in ascending order, and helps the
// others when its own is done. The first exception stops the rest and is thrown here. The caller asks `interrupted`
// (may be null) between its tasks, at most 20 times a second, and throws Interrupted when it says so.
// Calls from several threads share the pool. A caller that finds no idle thread runs all tasks itself, so that there is no
// oversubscription.
void parallel_for(int threads, int64_t tasks, bool (*interrupted)(), TaskRef body);

// What parallel_for throws where the caller is interrupted, for long tasks that ask by themselves. Compiled once: no code of
// an instruction set may define the exception.
[[noreturn]] void throw_interrupted();

// How many workers parallel_for would use, so that a caller can prepare as many scratch areas.
int workers_for(int threads, int64_t tasks);

}  // namespace annk
