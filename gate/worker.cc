// SPDX-License-Identifier: Apache-2.0
#include "worker.h"

#include <atomic>

namespace gate {

Reporter& reporter() {
  static Reporter& reporter = *new Reporter;
  return reporter;
}

Table& table() {
  static Table& table = *new Table(reporter());
  return table;
}

Worker& worker() {
  static std::atomic<unsigned> count = 0;
  static thread_local Worker& worker = *new Worker{.number = count++};
  return worker;
}

}  // namespace gate
