// SPDX-License-Identifier: Apache-2.0
// The time limits of a request at its host.
#pragma once

#include <algorithm>

#include "clock.h"
#include "request.h"
#include "settings.h"

namespace gate {

struct Limit {
  Time time = kNever;
  Overdue overdue = Overdue::kNone;
};

// The first limit that a request passes, and when. `placed`: when it got its host; `heard`: when the last byte of the
// answer came, 0 if none has come.
inline Limit first_limit(const Settings& settings, Time placed, Time heard) {
  Limit first;
  const auto add = [&first](Time from, Time seconds, Overdue overdue) {
    if (seconds > 0 && from + seconds < first.time) first = {from + seconds, overdue};
  };
  if (heard == 0) add(placed, settings.response_start, Overdue::kResponseStart);
  add(heard > 0 ? heard : placed, settings.idle, Overdue::kIdle);
  add(placed, settings.request, Overdue::kRequest);
  return first;
}

}  // namespace gate
