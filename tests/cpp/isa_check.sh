#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: isa_check.sh neon|avx512|avx512vnni FOLDER    Builds csrc/cpu for a level that this machine may lack and runs
# isa_check.cpp on it: NEON by qemu-aarch64, AVX-512 by SIMDe. Debian: g++-aarch64-linux-gnu qemu-user, libsimde-dev.
set -eu
level=$1
folder=$2/$1
root=$(cd "$(dirname "$0")/../.." && pwd)
avx512="-march=x86-64-v3 -I$root/tests/cpp/simde -Wno-ignored-attributes -D__AVX512F__ -D__AVX512BW__ -D__AVX512CD__
  -D__AVX512DQ__ -D__AVX512VL__"
compiler=g++
run=
case $level in
  neon)
    compiler=aarch64-linux-gnu-g++
    flags="-march=armv8.2-a+dotprod+fp16 -static"
    run="qemu-aarch64 -cpu max"
    ;;
  avx512) flags=$avx512 ;;
  avx512vnni) flags="$avx512 -D__AVX512VNNI__ -D__AVX512VBMI__ -D__AVX512VPOPCNTDQ__ -D__AVX512BITALG__" ;;
  *)
    echo "isa_check.sh: expected neon, avx512 or avx512vnni, got $level" >&2
    exit 2
    ;;
esac

mkdir -p "$folder/include/cpu/simd"
cd "$root"
# The instructions written as assembly, which no header can stand in for.
sed -e 's/asm("vpdpbusd %2.*/acc.v = _mm512_dpbusd_epi32(acc.v, query.v, row.v);/' \
  -e 's/asm("vpdpbusd %1.*/acc.v = _mm512_dpbusd_epi32(acc.v, codes.v, query.v);/' \
  -e 's/asm("vpaddd.*/sum.v = _mm512_add_epi32(sum.v, x.v);/' \
  -e 's/asm("vpaddw.*/sum.v = _mm512_add_epi16(sum.v, x.v);/' csrc/cpu/simd/vec_avx512.h \
  >"$folder/include/cpu/simd/vec_avx512.h"

ls csrc/cpu/threads.cpp csrc/cpu/*/*.cpp tests/cpp/isa_check*.cpp |
  xargs -P 2 -I{} sh -c "$compiler -std=c++20 -O1 -Wno-psabi -ffp-contract=off -fno-math-errno \
  -fno-trapping-math $(echo $flags) -DANNK_ISA=$level -I$folder/include -Icsrc -c {} -o $folder/\$(basename {}).o"
$compiler $(echo $flags) "$folder"/*.o -pthread -o "$folder/isa_check"
exec $run "$folder/isa_check"
