// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <sstream>

#include "cuda/device/device.cuh"
#include "ops/backend.h"

// The architectures of this build, "sm_80 sm_90": set by the build.
#ifndef ANNK_CUDA_ARCHITECTURES
#define ANNK_CUDA_ARCHITECTURES ""
#endif

namespace annk {
namespace {

// Code for one capability runs on those of the same major number and a minor number no smaller; the newest is also there
// as PTX, which later devices compile.
bool runs_on(const std::string& architecture, bool newest, int capability) {
  const int built = std::atoi(architecture.c_str() + architecture.find('_') + 1);
  return (built / 10 == capability / 10 && built % 10 <= capability % 10) || (newest && built <= capability);
}

// Major * 10 + minor of the current device, 0 without one. No driver and no device are no errors here.
int device_capability() {
  int count = 0, device = 0, major = 0, minor = 0;
  const bool found = cudaGetDeviceCount(&count) == cudaSuccess && count > 0 && cudaGetDevice(&device) == cudaSuccess &&
                     cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
                     cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) == cudaSuccess;
  static_cast<void>(cudaGetLastError());
  return found ? major * 10 + minor : 0;
}

}  // namespace

void require_loadable() {}

BackendInfo backend_info() {
  BackendInfo info;
  info.device = true;
#if defined(ANNK_EMULATED)
  info.name = "emu";
  const bool anywhere = true;
#else
  info.name = "cuda";
  const bool anywhere = false;
#endif
  std::istringstream built(ANNK_CUDA_ARCHITECTURES);
  for (std::string architecture; built >> architecture;) info.built.push_back(architecture);
  const int capability = device_capability();
  if (capability != 0) info.isa = "sm_" + std::to_string(capability);
  for (const std::string& architecture : info.built)
    if (capability != 0 && runs_on(architecture, architecture == info.built.back(), capability))
      info.runnable.push_back(architecture);
  info.available = anywhere || !info.runnable.empty();
  return info;
}

}  // namespace annk
