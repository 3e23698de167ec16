// SPDX-License-Identifier: Apache-2.0
// What the gate reports of one revision. All numbers are cumulative since the revision was created, unless a comment
// says "now".
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codes.h"
#include "latency.h"
#include "request.h"

namespace gate {

struct Outcomes {
  uint64_t requests = 0;
  Codes responses;                            // by status code
  std::array<uint64_t, kRefusals> refused{};  // by reason
};

// The outcomes are those of clients' requests; the other numbers include mirrored copies.
struct Report : Outcomes {
  unsigned in_flight = 0, queued = 0;  // now
  double concurrency_seconds = 0;      // integral over time of in_flight + queued
  double queue_seconds = 0;            // integral over time of queued
  Latency request_latency;             // of clients' requests that were answered, from their arrival
  Latency app_request_latency;         // of the requests that had a host, from when they got it
  Outcomes mirrored;                   // of copies; the responses include only those of instances
  std::vector<std::pair<std::string, unsigned>> hosts;  // address and requests in flight, now
  std::vector<std::string> silent;                      // addresses of silent hosts, now
  bool shared = false;                                  // other gateways use the hosts too
  std::vector<std::pair<uint64_t, unsigned>> shares;    // if so, version and slots for each of `hosts`
  uint64_t version = 0;                                 // for `Revision::reported`
};

// A report as a JSON object; docs/gate.md describes the keys.
std::string to_json(std::string_view name, const Report& report);

// A packet for the control plane. `revisions`: reports as JSON objects, separated by commas; `leaving`: the process got
// SIGTERM.
std::string to_packet(std::string_view gateway, Time time, std::string_view revisions, bool leaving);

}  // namespace gate
