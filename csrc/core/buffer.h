// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <cstdlib>
#include <new>

#include "core/platform.h"

namespace annk::ANNK_ISA {

// Uninitialised memory on a cache line's boundary. Not a std::vector: its members over plain types would be compiled
// once per instruction set under one name.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t count) { reset(count); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Buffer(Buffer&& other) noexcept : data_(other.data_), size_(other.size_) { other.data_ = nullptr, other.size_ = 0; }
  ~Buffer() { std::free(data_); }

  void reset(size_t count) {
    std::free(data_);
    data_ = nullptr;
    size_ = 0;
    if (count > (SIZE_MAX / 2) / sizeof(T)) throw std::bad_alloc();
    const size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
    data_ = static_cast<T*>(std::aligned_alloc(64, bytes == 0 ? 64 : bytes));
    if (data_ == nullptr) throw std::bad_alloc();
    size_ = count;
  }
  void swap(Buffer& other) noexcept {
    T* const data = data_;
    const size_t size = size_;
    data_ = other.data_, size_ = other.size_;
    other.data_ = data, other.size_ = size;
  }

  T* get() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

// An array that grows; T is trivially copyable.
template <class T>
class Growing {
 public:
  ANNK_HD void push(const T& value) {
    if (size_ == room_.size()) [[unlikely]]
      grow(1);
    room_[size_++] = value;
  }
  ANNK_HD void append(const T* values, size_t count) {
    if (room_.size() - size_ < count) [[unlikely]]
      grow(count);
    for (size_t i = 0; i < count; ++i) room_[size_ + i] = values[i];
    size_ += count;
  }
  T pop() { return room_[--size_]; }
  void shrink(size_t size) { size_ = size; }
  void clear() { size_ = 0; }
  T* get() const { return room_.get(); }
  size_t size() const { return size_; }
  T& operator[](size_t i) const { return room_[i]; }

 private:
  void grow(size_t more) {
    Buffer<T> larger(room_.size() * 2 + more + 64);
    for (size_t i = 0; i < size_; ++i) larger[i] = room_[i];
    room_.swap(larger);
  }
  Buffer<T> room_;
  size_t size_ = 0;
};

}  // namespace annk::ANNK_ISA
