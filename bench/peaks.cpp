// SPDX-License-Identifier: Apache-2.0
// usage: peaks THREADS BYTES    Two ceilings of this machine, as one JSON line, for the instruction set it is compiled for:
// multiply-adds on registers alone, and a plain sum over BYTES of float32.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#if defined(__aarch64__)
#define ANNK_REGISTER(v) "+w"(v)
#else
#define ANNK_REGISTER(v) "+v"(v)
#endif
#if defined(__AVX512F__)
constexpr int kWidth = 64, kAccumulators = 24;
#elif defined(__AVX__)
constexpr int kWidth = 32, kAccumulators = 12;
#else
constexpr int kWidth = 16, kAccumulators = 12;
#endif
typedef float Vector __attribute__((vector_size(kWidth)));
constexpr int kLanes = kWidth / 4;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// More independent chains than latency x ports (4 x 2), so that only the throughput of the unit limits the loop. The
// empty asm keeps each accumulator in a register and stops the compiler from folding the chains. Inlined into the caller,
// g++ 12 stores them each round, and a third of the peak is left.
[[gnu::noinline]] double multiply_add_flops(int rounds) {
  Vector acc[kAccumulators] = {};
  Vector a = acc[0] + 1.0f, b = acc[0] + 1e-9f;
  asm volatile("" : ANNK_REGISTER(a), ANNK_REGISTER(b));
  for (int r = 0; r < rounds; ++r) {
#pragma GCC unroll 24
    for (Vector& v : acc) {
      v = v * a + b;
      asm volatile("" : ANNK_REGISTER(v));
    }
  }
  return 2.0 * kLanes * kAccumulators * rounds;
}

double sum_bytes(const float* x, size_t count) {
  Vector acc[8] = {};
  const Vector* v = reinterpret_cast<const Vector*>(x);
  const size_t blocks = count / (8 * kLanes);
  for (size_t i = 0; i < blocks; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) acc[j] += v[8 * i + j];
#pragma GCC unroll 8
  for (Vector& a : acc) asm volatile("" : ANNK_REGISTER(a));
  return 4.0 * 8 * kLanes * blocks;
}

// Best rate over `runs` in which all threads start together: a run counts from the first start to the last end.
template <class Work>
double best_rate(int threads, int runs, Work work) {
  double best = 0;
  for (int run = 0; run < runs; ++run) {
    std::atomic<int> ready{0};
    std::vector<double> begin(threads), end(threads), done(threads);
    const auto body = [&](int t) {
      ++ready;
      while (ready.load() < threads) {
      }
      begin[t] = now();
      done[t] = work(t);
      end[t] = now();
    };
    std::vector<std::thread> others;
    for (int t = 1; t < threads; ++t) others.emplace_back(body, t);
    body(0);
    for (std::thread& other : others) other.join();
    double first = begin[0], last = end[0], total = 0;
    for (int t = 0; t < threads; ++t) {
      first = begin[t] < first ? begin[t] : first;
      last = end[t] > last ? end[t] : last;
      total += done[t];
    }
    best = total / (last - first) > best ? total / (last - first) : best;
  }
  return best;
}

int main(int, char** argv) {
  const int threads = atoi(argv[1]);
  const size_t count = strtoull(argv[2], nullptr, 10) / 4 / threads * threads;
  const size_t share = count / threads / 1024 * 1024;
  float* x = static_cast<float*>(aligned_alloc(4096, (count * 4 + 4095) / 4096 * 4096));
  for (size_t i = 0; i < count; ++i) x[i] = 1.0f;

  // About 1 ms each: a long run would be interrupted, and read 10% low.
  const double flops = best_rate(threads, 300, [](int) { return multiply_add_flops(100000); });
  const double bytes = best_rate(threads, 15, [&](int t) { return sum_bytes(x + t * share, share); });
  printf("{\"gflops\": %.1f, \"read_gbs\": %.2f}\n", flops / 1e9, bytes / 1e9);
}
