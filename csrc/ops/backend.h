// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

namespace annk {

// What a backend says of itself; each of cpu, cuda and emu implements it once.
struct BackendInfo {
  std::string name;                   // "cpu", "cuda", "emu"
  std::string isa;                    // CPU: the level in use; CUDA: the device's compute capability, "" without a device
  std::vector<std::string> built;     // CPU: levels in this build; CUDA: architectures in this build
  std::vector<std::string> runnable;  // those of `built` that this machine can run
  int threads = 0;                    // CPU: the default number of threads
  bool device = false;                // its arrays live in device memory
  bool available = false;             // it can run here
  std::string note;                   // CPU: why this build has no CUDA, where it has none
};

BackendInfo backend_info();

// Throws where nothing of this build runs on this machine's processor; the module then cannot be imported.
void require_loadable();

}  // namespace annk
