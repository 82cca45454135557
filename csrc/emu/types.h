// SPDX-License-Identifier: Apache-2.0
// CUDA's vector types, with CUDA's alignments: a misaligned float4 is then undefined behaviour that a sanitizer names.
#pragma once

#define EMU_VECTORS(Element, name, bytes)                                              \
  struct name##1 { Element x; };                                                       \
  struct alignas(2 * (bytes)) name##2 { Element x, y; };                               \
  struct name##3 { Element x, y, z; };                                                 \
  struct alignas(4 * (bytes) > 16 ? 16 : 4 * (bytes)) name##4 { Element x, y, z, w; }; \
  inline name##2 make_##name##2(Element x, Element y) { return {x, y}; }               \
  inline name##3 make_##name##3(Element x, Element y, Element z) { return {x, y, z}; } \
  inline name##4 make_##name##4(Element x, Element y, Element z, Element w) { return {x, y, z, w}; }

EMU_VECTORS(signed char, char, 1)
EMU_VECTORS(unsigned char, uchar, 1)
EMU_VECTORS(short, short, 2)
EMU_VECTORS(unsigned short, ushort, 2)
EMU_VECTORS(int, int, 4)
EMU_VECTORS(unsigned, uint, 4)
EMU_VECTORS(float, float, 4)
EMU_VECTORS(long long, longlong, 8)
EMU_VECTORS(unsigned long long, ulonglong, 8)
EMU_VECTORS(double, double, 8)
#undef EMU_VECTORS

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
