# SPDX-License-Identifier: Apache-2.0
# _cpu: the rooms of csrc/cpu compiled once for each instruction set; what lies beside them (dispatch.cpp, threads.cpp) once.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(levels baseline avx2 avx512 avx512vnni)
  set(flags_baseline -march=x86-64-v2)
  set(flags_avx2 -march=x86-64-v3)
  set(flags_avx512 -march=x86-64-v4)
  set(flags_avx512vnni -march=x86-64-v4 -mavx512vnni -mavx512vbmi -mavx512vpopcntdq -mavx512bitalg)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(levels neon)
  set(flags_neon -march=armv8.2-a+dotprod+fp16)
else()
  set(levels baseline)
endif()

# Those that go into _cpu.
set(chosen ${levels})
if(ANNKERN_ISA_LEVELS STREQUAL "NATIVE")
  try_run(native_status native_compiled ${CMAKE_BINARY_DIR}/native_level ${CMAKE_SOURCE_DIR}/cmake/native_level.cpp
          CMAKE_FLAGS -DINCLUDE_DIRECTORIES=${CMAKE_SOURCE_DIR}/csrc COMPILE_OUTPUT_VARIABLE native_log
          RUN_OUTPUT_VARIABLE native_levels ARGS ${levels})
  if(NOT native_compiled OR NOT native_status EQUAL 0)
    message(FATAL_ERROR "ANNKERN_ISA_LEVELS=NATIVE: cmake/native_level.cpp cannot be built or run here\n${native_log}")
  endif()
  string(REGEX REPLACE ";$" "" native_levels "${native_levels}")
  list(LENGTH native_levels count)
  if(count EQUAL 0)
    message(FATAL_ERROR "ANNKERN_ISA_LEVELS=NATIVE: this machine runs none of ${levels}")
  endif()
  list(GET native_levels -1 chosen)
elseif(ANNKERN_ISA_LEVELS)
  set(chosen ${ANNKERN_ISA_LEVELS})
  foreach(level IN LISTS chosen)
    if(NOT level IN_LIST levels)
      list(JOIN levels ", " known)
      message(FATAL_ERROR "ANNKERN_ISA_LEVELS: expected NATIVE, or some of ${known}; got ${level}")
    endif()
  endforeach()
endif()
message(NOTICE "annkern: CPU levels: ${chosen}")

file(GLOB cpu_once CONFIGURE_DEPENDS csrc/cpu/*.cpp)
file(GLOB cpu_sources CONFIGURE_DEPENDS csrc/cpu/*/*.cpp)

# g++ spends most of the time of a build on the tiles' templates: at -O2 with the cost model of -O3 two thirds of what -O3
# takes, and their loops are as fast. Not so PQ's, which are looked up a byte at a time (1.1 times a query, Zen 5), those of
# bits (1.25 times a batch) and of LVQ (1.04), which take 4 to 8 seconds at -O3.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT ANNKERN_SANITIZE)
  file(GLOB cpu_tiles CONFIGURE_DEPENDS csrc/cpu/distance/tiles*.cpp)
  list(FILTER cpu_tiles EXCLUDE REGEX "tiles_pq|tiles_lvq|/tiles.cpp")
  set_source_files_properties(${cpu_tiles} PROPERTIES COMPILE_OPTIONS "-O2;-fvect-cost-model=dynamic")
endif()

# Every level is known to the build, and those that nothing asks for are not compiled: what one choice has compiled stays
# for the next.
set(level_list "")
set(level_objects "")
foreach(level IN LISTS levels)
  add_library(annk_cpu_${level} OBJECT EXCLUDE_FROM_ALL ${cpu_sources})
  target_link_libraries(annk_cpu_${level} PRIVATE annk_flags)
  target_compile_definitions(annk_cpu_${level} PRIVATE ANNK_ISA=${level})
  target_compile_options(annk_cpu_${level} PRIVATE ${closed_switches} ${flags_${level}})
  if(level IN_LIST chosen)
    list(APPEND level_objects $<TARGET_OBJECTS:annk_cpu_${level}>)
    string(APPEND level_list " X(${level})")
  endif()
endforeach()

# As an option, not a definition: CMake drops definitions of macros with parameters.
string(STRIP "${level_list}" level_list)
add_library(annk_cpu_once OBJECT ${cpu_once})
target_link_libraries(annk_cpu_once PRIVATE annk_flags)
target_compile_options(annk_cpu_once PRIVATE ${closed_switches} "-DANNK_ISA_LEVELS(X)=${level_list}")

annk_add_module(_cpu)
target_sources(_cpu PRIVATE csrc/bind/direct.cpp ${level_objects} $<TARGET_OBJECTS:annk_cpu_once>)
target_compile_definitions(_cpu PRIVATE ANNK_DIRECT_CALLS)
