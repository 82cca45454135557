# SPDX-License-Identifier: Apache-2.0
# What all three modules share: flags, the binding source, where they are installed.

# Floating point: every fused multiply-add is written out, so the compiler may neither fuse nor split. errno and trapping
# are not observed by anyone, and giving them up lets sqrt and comparisons become single instructions.
add_library(annk_flags INTERFACE)
target_compile_options(annk_flags INTERFACE -ffp-contract=off -fno-math-errno -fno-trapping-math -Wall -Wextra)
# A switch names every enumerator, so that a metric or a store that comes is an error where it is forgotten.
set(closed_switches -Werror=switch-enum)
target_include_directories(annk_flags INTERFACE ${CMAKE_SOURCE_DIR}/csrc)
target_link_libraries(annk_flags INTERFACE Threads::Threads)

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 says it of values that its own intrinsics leave undefined on purpose: 5,000 lines of output.
  target_compile_options(annk_flags INTERFACE -Wno-maybe-uninitialized -Wno-uninitialized)
endif()

if(ANNKERN_SANITIZE STREQUAL "address")
  set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=undefined)
elseif(ANNKERN_SANITIZE STREQUAL "thread")
  set(sanitize -fsanitize=thread)
elseif(ANNKERN_SANITIZE)
  message(FATAL_ERROR "ANNKERN_SANITIZE: expected address or thread, got ${ANNKERN_SANITIZE}")
endif()
if(ANNKERN_SANITIZE)
  target_compile_options(annk_flags INTERFACE ${sanitize} -O1 -g1 -fno-omit-frame-pointer)
  target_link_options(annk_flags INTERFACE ${sanitize})
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # The wheel then runs on systems with an older libstdc++ than the build machine's. The version script keeps that copy to
  # itself: std has default visibility, whatever the flags say.
  target_link_options(annk_flags INTERFACE -static-libstdc++ -static-libgcc
                      -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/exports.map)
endif()

# annk_add_module(_cpu objects...): csrc/bind/ over the given object libraries.
function(annk_add_module name)
  pybind11_add_module(${name} MODULE NO_EXTRAS csrc/bind/module.cpp csrc/bind/gil.cpp)
  set_property(SOURCE csrc/bind/gil.cpp PROPERTY COMPILE_OPTIONS -fno-exceptions)
  target_compile_options(${name} PRIVATE ${closed_switches})
  target_compile_definitions(${name} PRIVATE ANNK_MODULE=${name})
  target_link_libraries(${name} PRIVATE annk_flags ${ARGN})
  if(NOT ANNKERN_SANITIZE)  # the bindings only hand pointers on, and -O3 takes 1.4 times as long
    set_property(SOURCE csrc/bind/module.cpp PROPERTY COMPILE_OPTIONS -O1)
  endif()
  install(TARGETS ${name} DESTINATION annkern COMPONENT annkern)
  add_dependencies(annkern_modules ${name})
endfunction()
