#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: bootstrap.sh PYTHON    Checks what must come from the system: a C++20 compiler, venv, Python's headers.
# Installs what is missing where apt and root are at hand, else says how to get it and fails.
set -eu
python=$1
compiler=${CXX:-c++}

has_python() { "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }
has_venv() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }
has_headers() {
  "$python" -c 'import os, sysconfig; assert os.path.exists(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null
}
has_compiler() {
  echo '#include <concepts>
  template <std::integral T> T f(T x) { return x; }
  int main() { return f(0); }' | "$compiler" -std=c++20 -x c++ - -o /dev/null 2>/dev/null
}

missing() {
  has_compiler || printf ' g++'
  has_venv || printf ' python3-venv'
  has_headers || printf ' python3-dev'
}

if ! has_python; then
  echo "annkern needs Python 3.10 or newer; '$python' is not (make PYTHON=/path/to/python3 chooses another)" >&2
  exit 1
fi
packages=$(missing)
if [ -n "$packages" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing$packages"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >/dev/null
  packages=$(missing)
fi
if ! has_compiler && command -v "$compiler" >/dev/null; then
  echo "annkern needs a C++20 compiler: g++ 11 or newer, or clang 14 or newer; CXX=... chooses it. Found:" >&2
  "$compiler" --version 2>&1 | head -n 1 >&2
  exit 1
fi
if [ -n "$packages" ]; then
  echo "annkern cannot be built yet. Missing:$packages" >&2
  echo "On Debian or Ubuntu:  sudo apt-get install$packages" >&2
  echo "Elsewhere: a C++20 compiler (g++ 11+, clang 14+; CXX=... chooses it), Python's venv module and headers." >&2
  exit 1
fi
