// SPDX-License-Identifier: Apache-2.0
#include "http_replies.h"

namespace gate {

const char* details_of(Refusal why) {
  switch (why) {
    case Refusal::kQueueFull:
      return "gate_queue_full";
    case Refusal::kDeadline:
      return "gate_deadline";
    case Refusal::kHeldBytes:
      return "gate_held_bytes";
    case Refusal::kUnavailable:
      return "gate_unavailable";
    case Refusal::kControlPlaneDown:
      return "gate_control_plane_down";
    default:
      return "gate_removed";
  }
}

const char* details_of(Overdue limit) {
  switch (limit) {
    case Overdue::kResponseStart:
      return "gate_response_start_timeout";
    case Overdue::kIdle:
      return "gate_idle_timeout";
    default:
      return "gate_request_timeout";
  }
}

}  // namespace gate
