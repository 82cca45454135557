// SPDX-License-Identifier: Apache-2.0
// What differs between compilers and targets, in one place.
#pragma once
#include <cstddef>
#include <cstdint>

// Arithmetic shared by host and device. Forced inline: the same header is compiled once per instruction set, and an
// out-of-line copy would be merged by the linker with that of another instruction set (SIGILL on older machines).
#if defined(__CUDACC__)
#define ANNK_HD __host__ __device__ __forceinline__
#else
#define ANNK_HD inline __attribute__((always_inline))
#endif

// The namespace of everything that is compiled once per instruction set (baseline, avx2, avx512, avx512vnni, neon).
// Sources compiled once, CUDA sources and the emulator among them, see "generic".
#ifndef ANNK_ISA
#define ANNK_ISA generic
#endif
