# SPDX-License-Identifier: Apache-2.0
# _emu: the CUDA sources compiled by the host compiler against csrc/emu, which stands in for the CUDA headers.
if(ANNKERN_EMU)
  file(GLOB_RECURSE emu_sources CONFIGURE_DEPENDS csrc/cuda/*.cu csrc/emu/*.cpp)
  file(GLOB emulator CONFIGURE_DEPENDS csrc/emu/*.cpp)
  set_source_files_properties(${emu_sources} PROPERTIES LANGUAGE CXX)
  set_source_files_properties(${emulator} PROPERTIES COMPILE_OPTIONS -Wno-switch-enum)  # it knows no metric and no store
  add_library(annk_emu OBJECT ${emu_sources})
  target_include_directories(annk_emu BEFORE PRIVATE csrc/emu)
  target_link_libraries(annk_emu PRIVATE annk_flags)
  target_compile_definitions(annk_emu PRIVATE ANNK_EMULATED)
  # Registers that a kernel forgets to set hold a pattern, so that the result shows it. Unknown pragmas are nvcc's.
  target_compile_options(annk_emu PRIVATE -O2 -g1 -fno-strict-aliasing -fno-optimize-sibling-calls
                         -ftrivial-auto-var-init=pattern -Wno-unknown-pragmas ${closed_switches})

  annk_add_module(_emu)
  target_compile_definitions(_emu PRIVATE ANNK_EMULATED)
  target_sources(_emu PRIVATE $<TARGET_OBJECTS:annk_emu>)
endif()
