// SPDX-License-Identifier: Apache-2.0
// How an operation of ops/ops.h becomes a function of the module.
#pragma once
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <iterator>
#include <utility>

#include "bind/arguments.h"

namespace annk {

// What Python passes for the arguments of an operation, specialised for each struct in the file of its family:
//   static Args make(...)               the struct, from what Python passes; the last is Exec
//   static constexpr const char* names[]  of those, in order
template <class Args>
struct FromPython;

// <name>(...) runs without the GIL; its result is nothing, or the bytes of device memory that the same call wants. Form is
// FromPython, or another of its shape.
template <class Form, class Args, class Result, class... In, size_t... I>
void def_operation(pybind11::module_& m, const char* name, Result (*run)(const Args&), Args (*make)(In...),
                   std::index_sequence<I...>) {
  static_assert(std::size(Form::names) == sizeof...(In), "one name for each argument of make()");
  m.def(
      name,
      [make, run](In... in) {
        const Args args = make(in...);
        const WithoutGil released;
        return run(args);
      },
      pybind11::arg(Form::names[I])...);
}
template <class Form, class Args, class Result>
void def_operation(pybind11::module_& m, const char* name, Result (*run)(const Args&)) {
  def_operation<Form>(m, name, run, &Form::make, std::make_index_sequence<std::size(Form::names)>());
}

}  // namespace annk
