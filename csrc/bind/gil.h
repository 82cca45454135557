// SPDX-License-Identifier: Apache-2.0
// The GIL, for calls that may still run when the interpreter ends: those of daemon threads.
#pragma once
#include <Python.h>

namespace annk {

// PyEval_RestoreThread and PyGILState_Ensure. Once the interpreter has begun to end, CPython before 3.14 answers them with
// pthread_exit, which would unwind C++ frames: a destructor or noexcept function among them aborts the process, and others
// drop references without the GIL. Here such a thread waits for the end of the process instead, as from 3.14 on.
void restore_thread(PyThreadState* thread);
PyGILState_STATE ensure_gil();

class WithoutGil {
 public:
  WithoutGil() : thread_(PyEval_SaveThread()) {}
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;
  ~WithoutGil() { restore_thread(thread_); }

 private:
  PyThreadState* const thread_;
};

class WithGil {
 public:
  WithGil() : state_(ensure_gil()) {}
  WithGil(const WithGil&) = delete;
  WithGil& operator=(const WithGil&) = delete;
  ~WithGil() { PyGILState_Release(state_); }

 private:
  const PyGILState_STATE state_;
};

}  // namespace annk
