// SPDX-License-Identifier: Apache-2.0
// Time in the gate: seconds of CLOCK_MONOTONIC.
#pragma once

#include <ctime>
#include <limits>

namespace gate {

using Time = double;

constexpr Time kNever = std::numeric_limits<Time>::infinity();

inline Time now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<Time>(time.tv_sec) + static_cast<Time>(time.tv_nsec) * 1e-9;
}

}  // namespace gate
