// SPDX-License-Identifier: Apache-2.0
// Declaring shared memory and launching kernels.
#pragma once
#include <tuple>
#include <utility>

#include "thread.h"

// EMU_SHARED(float, tile, [32][33]);  one array a block, shared by its threads, never initialised
#define EMU_SHARED(Element, name, ...)                    \
  static char name##_emu_key;                             \
  using name##_emu_type = Element __VA_ARGS__;            \
  name##_emu_type& name = *static_cast<name##_emu_type*>( \
      ::emu::static_shared(&name##_emu_key, sizeof(name##_emu_type), alignof(Element) < 16 ? 16 : alignof(Element), #name))
// EMU_DYN_SHARED(float, buffer);  a pointer to the bytes that the launch asked for, 16-byte aligned
#define EMU_DYN_SHARED(Element, name) Element* name = reinterpret_cast<Element*>(::emu::dynamic_shared())
// EMU_LAUNCH(kernel, grid, block, dynamic_bytes, stream, arguments...);  runs the kernel to its end. Throws emu::Error.
// A kernel name with a comma stands in parentheses.
#define EMU_LAUNCH(kernel, grid, block, dynamic_bytes, stream, ...) \
  ::emu::launch_kernel(#kernel, kernel, grid, block, dynamic_bytes, stream __VA_OPT__(, ) __VA_ARGS__)

namespace emu {

// One thread's call of the kernel, with the argument values of the launch.
struct Call {
  const char* name;
  const void* kernel;
  void (*invoke)(const void* arguments);
  const void* arguments;
};
void launch(const Call&, dim3 grid, dim3 block, size_t dynamic_bytes);

template <class... Parameters, class... Arguments>
void launch_kernel(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t dynamic_bytes,
                   const void* /*stream*/, Arguments&&... arguments) {
  struct Bound {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> arguments;
  };
  const Bound bound{kernel, std::tuple<Parameters...>(std::forward<Arguments>(arguments)...)};
  const auto invoke = [](const void* call) {
    const Bound* b = static_cast<const Bound*>(call);
    std::apply(b->kernel, b->arguments);
  };
  launch({name, reinterpret_cast<const void*>(kernel), invoke, &bound}, grid, block, dynamic_bytes);
}

}  // namespace emu
