# SPDX-License-Identifier: Apache-2.0
# _cuda: csrc/cuda compiled by nvcc, from the system or from the nvidia-cuda-* wheels of the building Python, and linked by
# the host compiler with the static runtime. nvcc is called directly: CMake's own CUDA language insists on linking a test
# program, which the wheels' layout (lib instead of lib64) breaks.
# pip hides what CMake says: the module keeps it for show_config.
macro(annk_without_cuda why)
  message(NOTICE "annkern: without CUDA: ${why}")
  set_property(SOURCE csrc/cpu/dispatch.cpp APPEND PROPERTY COMPILE_DEFINITIONS "ANNK_WITHOUT_CUDA=\"${why}\"")
  return()
endmacro()
if(ANNKERN_CUDA STREQUAL "OFF")
  annk_without_cuda("ANNKERN_CUDA=OFF")
endif()

execute_process(COMMAND ${Python_EXECUTABLE} -c "import sysconfig; print(sysconfig.get_path('purelib'))"
                OUTPUT_VARIABLE site_packages OUTPUT_STRIP_TRAILING_WHITESPACE)
file(GLOB wheel_roots ${site_packages}/nvidia/cu1[2-9])
find_program(ANNKERN_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda ${wheel_roots} PATH_SUFFIXES bin)
set(cuda_problem "")
if(NOT ANNKERN_NVCC)
  set(cuda_problem "no nvcc (install a CUDA toolkit, or in a clone: pip install '.[cuda-build]')")
else()
  execute_process(COMMAND ${ANNKERN_NVCC} --version OUTPUT_VARIABLE nvcc_version)
  string(REGEX MATCH "release ([0-9.]+)" _ "${nvcc_version}")
  set(nvcc_version "${CMAKE_MATCH_1}")
  # Asked of nvcc itself, which may be a link or a script that lies elsewhere.
  execute_process(COMMAND ${ANNKERN_NVCC} --dryrun -E -x cu /dev/null ERROR_VARIABLE nvcc_settings OUTPUT_QUIET)
  string(REGEX MATCH "TOP=([^\n]+)" _ "${nvcc_settings}")
  get_filename_component(cuda_root "${CMAKE_MATCH_1}" REALPATH)
  find_library(ANNKERN_CUDART libcudart_static.a HINTS ${cuda_root} ${cuda_root}/targets/x86_64-linux
               ${cuda_root}/targets/sbsa-linux PATH_SUFFIXES lib64 lib)
  if(nvcc_version VERSION_LESS 12.8)
    set(cuda_problem "${ANNKERN_NVCC} is ${nvcc_version}, 12.8 or newer is needed for sm_100 and sm_120")
  elseif(NOT ANNKERN_CUDART)
    set(cuda_problem "no libcudart_static.a under ${cuda_root}")
  endif()
endif()
file(GLOB_RECURSE cuda_sources CONFIGURE_DEPENDS csrc/cuda/*.cu)
if(NOT cuda_sources)
  set(cuda_problem "csrc/cuda holds no source")
endif()

if(cuda_problem AND ANNKERN_CUDA STREQUAL "ON")
  message(FATAL_ERROR "ANNKERN_CUDA=ON, but ${cuda_problem}")
elseif(cuda_problem)
  annk_without_cuda("${cuda_problem}")
endif()
message(NOTICE "annkern: CUDA ${nvcc_version} (${ANNKERN_NVCC}) for ${ANNKERN_CUDA_ARCHITECTURES}")

set(nvcc_flags -std=c++20 -O3 -fmad=false --expt-relaxed-constexpr -ccbin ${CMAKE_CXX_COMPILER} -I${CMAKE_SOURCE_DIR}/csrc
    -Xcompiler=-fPIC,-fvisibility=hidden,-ffp-contract=off)
set(architectures "")
foreach(arch IN LISTS ANNKERN_CUDA_ARCHITECTURES)
  list(APPEND nvcc_flags -gencode arch=compute_${arch},code=sm_${arch})
  string(APPEND architectures " sm_${arch}")
endforeach()
list(GET ANNKERN_CUDA_ARCHITECTURES -1 newest)
list(APPEND nvcc_flags -gencode arch=compute_${newest},code=compute_${newest})
string(STRIP "${architectures}" architectures)

set(cuda_objects "")
foreach(source IN LISTS cuda_sources)
  get_filename_component(stem ${source} NAME_WE)  # one of its kind: tests/test_cuda_sources.py
  set(object ${CMAKE_BINARY_DIR}/cuda/${stem}.o)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${ANNKERN_NVCC} ${nvcc_flags} "-DANNK_CUDA_ARCHITECTURES=\"${architectures}\"" -MD -MF ${object}.d -c ${source}
            -o ${object}
    DEPENDS ${source} DEPFILE ${object}.d COMMENT "nvcc ${stem}.cu" VERBATIM)
  list(APPEND cuda_objects ${object})
endforeach()
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/cuda)

annk_add_module(_cuda ${ANNKERN_CUDART} ${CMAKE_DL_LIBS} rt)
target_sources(_cuda PRIVATE ${cuda_objects})
