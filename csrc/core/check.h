// SPDX-License-Identifier: Apache-2.0
// Errors that cross from C++ to Python: check() for what a caller got wrong, Interrupted for Ctrl-C.
#pragma once
#include <sstream>
#include <stdexcept>

namespace annk {

struct Interrupted : std::runtime_error {
  Interrupted() : std::runtime_error("interrupted") {}
};

// check(n > 0, "n: expected a positive number, got ", n);  throws std::invalid_argument, a ValueError in Python.
template <class... Parts>
void check(bool holds, const Parts&... parts) {
  if (holds) [[likely]]
    return;
  std::ostringstream text;
  (text << ... << parts);
  throw std::invalid_argument(text.str());
}

}  // namespace annk
