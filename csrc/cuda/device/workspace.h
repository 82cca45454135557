// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/check.h"
#include "core/view.h"

namespace annk::cuda {

// Cuts the caller's workspace into aligned arrays. Without memory it only counts, so one layout function serves both
// <op>_workspace and the operation.
class Workspace {
 public:
  Workspace() = default;
  explicit Workspace(const Exec& exec) : base_(static_cast<unsigned char*>(exec.workspace)), given_(exec.workspace_bytes) {}

  template <class T>
  T* take(int64_t count) {
    const int64_t at = used_;
    used_ += (count * static_cast<int64_t>(sizeof(T)) + 255) / 256 * 256;
    return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + at);
  }
  int64_t bytes() const { return used_; }
  void require() const { check(used_ <= given_, "workspace: expected ", used_, " bytes or more, got ", given_); }

 private:
  // Counting gives addresses, too: a layout may ask which arrays are there, and is to be the same with memory.
  unsigned char* base_ = reinterpret_cast<unsigned char*>(uintptr_t{256});
  int64_t given_ = 0;
  int64_t used_ = 0;
};

}  // namespace annk::cuda
