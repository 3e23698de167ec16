// SPDX-License-Identifier: Apache-2.0
// Short names for the parts of Envoy's ABI that several files use.
#pragma once

#include <string>
#include <string_view>

#include "abi.h"

namespace gate {

// What a hook returns.
struct HeadersStatus {
  static constexpr int kContinue = envoy_dynamic_module_type_headers_status_Continue;
  static constexpr int kStopIteration = envoy_dynamic_module_type_headers_status_StopIteration;
};
struct BodyStatus {
  static constexpr int kContinue = envoy_dynamic_module_type_body_status_Continue;
  static constexpr int kStopIterationAndWatermark = envoy_dynamic_module_type_body_status_StopIterationAndWatermark;
  static constexpr int kStopIterationNoBuffer = envoy_dynamic_module_type_body_status_StopIterationNoBuffer;
};

inline std::string_view view(envoy_dynamic_module_type_envoy_buffer buffer) { return {buffer.ptr, buffer.length}; }
inline envoy_dynamic_module_type_module_buffer buffer(std::string_view text) { return {text.data(), text.size()}; }

inline void log_error(const std::string& message) {
  envoy_dynamic_module_callback_log(envoy_dynamic_module_type_log_level_Error, buffer("gate: " + message));
}

}  // namespace gate
