// SPDX-License-Identifier: Apache-2.0
#include "runtime_api.h"

#include <cstring>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "worker.h"

namespace emu {

static std::mutex mutex;
static auto& dynamic_limits = immortal<std::unordered_map<const void*, size_t>>();
static cudaError_t last_error = cudaSuccess;

// Shared memory that one block can ask for, in bytes (CUDA programming guide, "Technical Specifications").
static size_t device_limit(const Config& config) {
  switch (config.capability) {
    case 80:
    case 87:
      return 163 << 10;
    case 90:
    case 100:
      return 227 << 10;
    default:
      return 99 << 10;
  }
}

size_t dynamic_shared_limit(const void* kernel) {
  const std::lock_guard lock(mutex);
  const auto found = dynamic_limits.find(kernel);
  return found == dynamic_limits.end() ? kStaticSharedLimit : found->second;
}

// Above 48 KiB in all, the dynamic part must have been asked for.
size_t shared_limit(const void* kernel, const Config& config) {
  return dynamic_shared_limit(kernel) > kStaticSharedLimit ? device_limit(config) : kStaticSharedLimit;
}

static cudaError_t error(cudaError_t code) {
  const std::lock_guard lock(mutex);
  return last_error = code;
}

cudaError_t set_function_attribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0) return error(cudaErrorInvalidValue);
  if (static_cast<size_t>(value) > device_limit(config())) return error(cudaErrorInvalidValue);
  const std::lock_guard lock(mutex);
  dynamic_limits[kernel] = static_cast<size_t>(value);
  return cudaSuccess;
}

}  // namespace emu

cudaError_t cudaGetLastError() {
  const std::lock_guard lock(emu::mutex);
  return std::exchange(emu::last_error, cudaSuccess);
}
cudaError_t cudaPeekAtLastError() {
  const std::lock_guard lock(emu::mutex);
  return emu::last_error;
}
const char* cudaGetErrorString(cudaError_t code) { return code == cudaSuccess ? "no error" : "invalid argument"; }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  const emu::Config config = emu::config();
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = config.multiprocessors;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = config.capability / 10;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = config.capability % 10;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(emu::device_limit(config));
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = static_cast<int>(emu::device_limit(config)) + 1024;  // the driver keeps 1 KiB a block
      return cudaSuccess;
  }
  return emu::error(cudaErrorInvalidValue);
}

cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }

cudaError_t cudaMemsetAsync(void* destination, int value, size_t bytes, cudaStream_t) {
  std::memset(destination, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* destination, const void* source, size_t bytes, cudaMemcpyKind, cudaStream_t) {
  std::memcpy(destination, source, bytes);
  return cudaSuccess;
}
