// SPDX-License-Identifier: Apache-2.0
// What Envoy's configuration tells the module: two small JSON objects. Unknown keys are ignored; a value of a wrong
// type throws std::invalid_argument with a sentence that names the key.
#pragma once

#include <string>
#include <string_view>

#include "decision.h"

namespace gate {

// The load-balancing policy's configuration: {"containerConcurrency": 1, "queueLength": 100, ...}. Empty text: all
// defaults.
Settings parse_settings(std::string_view json);

// The HTTP filter's configuration: {"socket": "/path"}. No socket, or empty text: no reports.
std::string parse_socket(std::string_view json);

}  // namespace gate
