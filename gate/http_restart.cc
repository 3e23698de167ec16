// SPDX-License-Identifier: Apache-2.0
// Retries of HTTP requests: when Envoy's router gives up, the gate can start the stream again. Envoy's own retry policy
// repeats only requests that no instance has seen.
#include <string>
#include <utility>

#include "connection.h"
#include "http_stream.h"

namespace gate {
namespace {

constexpr auto kRequest = envoy_dynamic_module_type_http_header_type_RequestHeader;

}  // namespace

// The reason is in the response code details that Envoy's router gives.
HttpStream::Failure HttpStream::failure_of(std::string_view details) {
  constexpr std::string_view kReset = "upstream_reset_before_response_started{";
  if (details == "no_healthy_upstream") return Failure::kUnreached;
  if (!details.starts_with(kReset)) return Failure::kOther;
  details.remove_prefix(kReset.size());
  for (std::string_view reason : {"remote_connection_failure", "local_connection_failure", "connection_timeout"})
    if (details.starts_with(reason)) return Failure::kUnreached;
  if (details.starts_with("connection_termination")) return closed_stale ? Failure::kStale : Failure::kReset;
  return details.starts_with("remote_reset") ? Failure::kReset : Failure::kOther;
}

// Whether Envoy still has all that it needs to send the request again.
bool HttpStream::is_repeatable() const {
  return complete_ && !trailers_ &&
         body_ == envoy_dynamic_module_callback_http_get_body_size(
                      filter_, envoy_dynamic_module_type_http_body_type_BufferedRequestBody);
}

// Whether the request may be sent again even if an instance has carried it out (RFC 9110, 9.2.2).
bool HttpStream::is_idempotent() const {
  envoy_dynamic_module_type_envoy_buffer method;
  if (!envoy_dynamic_module_callback_http_get_header(filter_, kRequest, buffer(":method"), &method, 0, nullptr))
    return false;
  for (std::string_view each : {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
    if (view(method) == each) return true;
  return false;
}

// An app may close a connection that it keeps alive just when a request is on its way (RFC 9112, 9.3.1), and the next
// connection may be closed like this one: such a request is repeated often. When an app closes a new connection, the
// request itself may be the cause, and it must not reach every instance: it is repeated twice.
bool HttpStream::must_restart() const {
  constexpr unsigned kResets = 2, kRepeats = 10;
  if (failure_ == Failure::kOther || router == nullptr || !is_repeatable()) return false;
  if (failure_ == Failure::kUnreached) return true;
  return resets_ < kResets && repeats_ < kRepeats && is_idempotent();
}

// The router rewrites the host and the path of a request before it sends it. This restores the originals, for the next
// search of a route.
void HttpStream::restore(std::string_view original, std::string_view name) {
  envoy_dynamic_module_type_envoy_buffer value;
  if (!envoy_dynamic_module_callback_http_get_header(filter_, kRequest, buffer(original), &value, 0, nullptr)) return;
  const std::string copy(view(value));
  envoy_dynamic_module_callback_http_set_header(filter_, kRequest, buffer(name), buffer(copy));
  envoy_dynamic_module_callback_http_set_header(filter_, kRequest, buffer(original), {nullptr, 0});
}

// Starts the request again as a new stream, which waits in the old turn. When this returns true, Envoy has destroyed
// this object.
bool HttpStream::restart() {
  if (!must_restart()) return false;
  restore("x-envoy-original-host", ":authority");
  restore("x-envoy-original-path", ":path");
  const Time time = now();
  if (failure_ == Failure::kUnreached) revision->unreached(*this, time);
  const bool is_reset = failure_ == Failure::kReset, is_repeat = failure_ != Failure::kUnreached;
  worker().restart = Restart{revision, revision->end(*this, time), resets_ + is_reset, repeats_ + is_repeat};
  const bool restarted = envoy_dynamic_module_callback_http_filter_recreate_stream(filter_, nullptr, 0);
  worker().restart.reset();  // if a filter before this one stops the new stream, it counts as a new request later
  return restarted;
}

}  // namespace gate
