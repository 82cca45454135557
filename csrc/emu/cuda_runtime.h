// SPDX-License-Identifier: Apache-2.0
// Stand-in for CUDA's header of the same name: with this folder first on the include path, a .cu source compiles as plain
// C++ (g++ -std=c++20 -x c++) and its kernels run on the CPU, every CUDA thread a fiber. See README.md beside this file.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
// Raw shared arrays have no name, fence or poison here, so they do not compile: EMU_SHARED and EMU_DYN_SHARED do.
#define __shared__ emu_error_declare_shared_memory_with_EMU_SHARED_or_EMU_DYN_SHARED

#include "atomics.h"
#include "intrinsics.h"
#include "launch.h"
#include "ptx.h"
#include "runtime_api.h"
#include "thread.h"
#include "types.h"
#include "warp.h"
