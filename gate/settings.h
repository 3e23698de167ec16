// SPDX-License-Identifier: Apache-2.0
// The settings that Envoy's configuration passes to the module: two small JSON objects. Unknown keys are ignored. A
// value of a wrong type throws std::invalid_argument with a sentence that names the key.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "clock.h"

namespace gate {

// Of one revision.
struct Settings {
  unsigned container_concurrency = 0;  // limit of requests at a host; 0: no limit
  bool shared = false;                 // other gateways use the hosts too, and only this one's share may be used
  size_t queue_length = 10'000;        // limit of requests that wait
  Time queue_deadline = 300;           // limit of the time that one waits
  size_t held_bytes = 64 << 20;        // limit of the bytes of waiting requests
  size_t mirror_queue_length = 100;    // limits of mirrored copies, for which no client waits
  size_t mirror_held_bytes = 8 << 20;
  std::string unavailable;  // if not empty: a request that finds no host at all is refused with this reason
  // Limits of the time since a request got its host; 0: no limit.
  Time response_start = 0;  // to the beginning of the answer
  Time idle = 0;            // between two bytes of the answer
  Time request = 0;         // to the end of the answer

  bool is_limited() const { return response_start > 0 || idle > 0 || request > 0; }
};

// The load-balancing policy's configuration: {"containerConcurrency": 1, "queueLength": 100, ...}. Empty text: all
// defaults.
Settings parse_settings(std::string_view text);

// The HTTP filter's configuration: {"socket": "/path"}. No socket, or empty text: no reports.
std::string parse_socket(std::string_view text);

}  // namespace gate
