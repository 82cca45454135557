// SPDX-License-Identifier: Apache-2.0
// Compiled with -fno-exceptions: pthread_cleanup_push is then C's, which needs no unwinder. C++'s would run the one of the
// system's libgcc through the tables of the one that is linked into this module.
#include "bind/gil.h"

#include <pthread.h>
#include <unistd.h>

namespace annk {
namespace {

void wait_for_the_end(void*) {
  for (;;) pause();
}

}  // namespace

void restore_thread(PyThreadState* thread) {
  pthread_cleanup_push(wait_for_the_end, nullptr);
  PyEval_RestoreThread(thread);
  pthread_cleanup_pop(0);
}

PyGILState_STATE ensure_gil() {
  PyGILState_STATE state = PyGILState_UNLOCKED;
  pthread_cleanup_push(wait_for_the_end, nullptr);
  state = PyGILState_Ensure();
  pthread_cleanup_pop(0);
  return state;
}

}  // namespace annk
