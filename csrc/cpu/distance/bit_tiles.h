// SPDX-License-Identifier: Apache-2.0
// Keys of packed bit rows: the set bits of a combination (xor, and), counted exactly.
#pragma once

#if defined(__AVX512VPOPCNTDQ__) || defined(__aarch64__)
#include "cpu/distance/word_tiles.h"
#else
#include "cpu/distance/nibble_tiles.h"
#endif
