// SPDX-License-Identifier: Apache-2.0
// The answers of the gate in HTTP: status codes, and the response code details by which tidegate/xds/replies.py chooses
// the texts.
#pragma once

#include <cstdint>

#include "request.h"

namespace gate {

constexpr unsigned kGatewayTimeout = 504, kServiceUnavailable = 503;

constexpr unsigned http_status_of(Refusal why) {
  return why == Refusal::kDeadline ? kGatewayTimeout : kServiceUnavailable;
}

// The code if it is a status code of HTTP, else 0: an instance may answer with any number.
constexpr unsigned valid_http_status(uint64_t code) {
  return code < 100 || code > 599 ? 0 : static_cast<unsigned>(code);
}

const char* details_of(Refusal why);
const char* details_of(Overdue limit);

}  // namespace gate
