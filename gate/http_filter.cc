// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>
#include <vector>

#include "http_stream.h"

namespace gate {
namespace {

constexpr auto kRequest = envoy_dynamic_module_type_http_header_type_RequestHeader;

size_t header_bytes(void* filter) {
  std::vector<envoy_dynamic_module_type_envoy_http_header> headers(
      envoy_dynamic_module_callback_http_get_headers_size(filter, kRequest));
  size_t bytes = 0;
  if (envoy_dynamic_module_callback_http_get_headers(filter, kRequest, headers.data()))
    for (const auto& header : headers) bytes += header.key_length + header.value_length;
  return bytes;
}

// Writes the request's host in lower case. False when it is already.
bool lower_host(void* filter) {
  envoy_dynamic_module_type_envoy_buffer value;
  if (!envoy_dynamic_module_callback_http_get_header(filter, kRequest, buffer(":authority"), &value, 0, nullptr))
    return false;
  std::string host(view(value));
  for (char& each : host)
    if (each >= 'A' && each <= 'Z') each += 'a' - 'A';
  if (host == view(value)) return false;
  envoy_dynamic_module_callback_http_set_header(filter, kRequest, buffer(":authority"), buffer(host));
  envoy_dynamic_module_callback_http_clear_route_cache(filter);
  return true;
}

// Envoy finds the routes of a host case-sensitively, but host names are case-insensitive. Few clients write capitals,
// so the lower-case name is tried only after the name as it is written.
bool find_cluster(void* filter, envoy_dynamic_module_type_envoy_buffer& cluster) {
  const auto find = [&] { return envoy_dynamic_module_callback_http_get_cluster_name(filter, &cluster); };
  return find() || (lower_host(filter) && find());
}

}  // namespace

int HttpStream::on_request_headers(bool end) {
  complete_ = end;
  envoy_dynamic_module_type_envoy_buffer cluster;
  if (!find_cluster(filter_, cluster)) return HeadersStatus::kContinue;
  const auto policy = worker().policies.find(view(cluster));
  if (policy == worker().policies.end()) return HeadersStatus::kContinue;
  revision = policy->second->revision;

  const auto restart = std::exchange(worker().restart, std::nullopt);
  const bool is_restarted = restart && restart->revision == revision;
  if (is_restarted) {
    resets_ = restart->resets;
    repeats_ = restart->repeats;
  }
  if (policy->second->is_limited) make_scheduler();
  const Time time = now();
  State state = State::kPlaced;
  if (!revision->arrive(*this, time, is_restarted ? &restart->turn : nullptr)) {
    make_scheduler();
    state = revision->wait(*this, time);  // from here on another thread may wake it
    if (state == State::kWaiting && !revision->hold(*this, header_bytes(filter_), time)) state = State::kRefused;
    stopped_ = state == State::kWaiting;
  }
  return leave(state) ? HeadersStatus::kContinue : HeadersStatus::kStopIteration;
}

int HttpStream::on_request_body(bool end) {
  if (!revision) return BodyStatus::kContinue;
  const size_t size = envoy_dynamic_module_callback_http_get_body_size(
      filter_, envoy_dynamic_module_type_http_body_type_ReceivedRequestBody);
  body_ += size;
  complete_ = end;
  if (!stopped_) return BodyStatus::kContinue;
  if (revision->hold(*this, size, now())) return BodyStatus::kStopIterationAndWatermark;
  stopped_ = false;
  send_refusal();
  return BodyStatus::kStopIterationNoBuffer;
}

int HttpStream::on_request_trailers() {
  complete_ = trailers_ = true;
  return stopped_ ? HeadersStatus::kStopIteration : HeadersStatus::kContinue;
}

// The revision woke the stream: it has a host or is refused, or it has passed a time limit.
void HttpStream::on_woken() {
  if (!stopped_) {
    if (overdue() != Overdue::kNone) cut();
    return;
  }
  const State state = revision->confirm(*this, now());
  if (state == State::kWaiting) return;
  stopped_ = false;
  if (leave(state)) envoy_dynamic_module_callback_http_filter_continue_decoding(filter_);
}

void HttpStream::on_local_reply(std::string_view details) {
  local_reply_ = true;
  failure_ = failure_of(details);
}

int HttpStream::on_response_headers(bool end) {
  if (!revision) return HeadersStatus::kContinue;
  if (restart()) return HeadersStatus::kStopIteration;  // this object no longer exists
  if (attempts > 1) revision->settle(*this, now());
  uint64_t status = 0;  // Envoy's router has noted it, which costs less than a search in the headers
  if (envoy_dynamic_module_callback_http_filter_get_attribute_int(
          filter_, envoy_dynamic_module_type_attribute_id_ResponseCode, &status))
    status_ = valid_http_status(status);
  if (!local_reply_) {
    begun_ = true;
    revision->heard(*this, now());
  }
  answered_ |= end;
  return HeadersStatus::kContinue;
}

int HttpStream::on_response_body(bool end) {
  answered_ |= end;
  if (begun_ && is_idle_limited()) revision->heard(*this, now());
  return BodyStatus::kContinue;
}

int HttpStream::on_response_trailers() {
  answered_ = true;
  return HeadersStatus::kContinue;
}

void HttpStream::on_complete() {
  if (!revision) return;
  if (worker().leaving == this) worker().leaving = nullptr;
  if (router != nullptr) worker().routers.remove(router);
  const bool instance_has_ended = router == nullptr || (answered_ && !local_reply_);
  if (instance_has_ended)
    end();
  else
    keep();
}

void HttpStream::on_destroy() {
  if (kept_) return;
  end();
  delete this;
}

void HttpStream::make_scheduler() {
  if (scheduler_ == nullptr) scheduler_ = envoy_dynamic_module_callback_http_filter_scheduler_new(filter_);
}

// True when the request has a host and continues. A refused request is answered.
bool HttpStream::leave(State state) {
  if (state == State::kPlaced) worker().leaving = this;
  if (state == State::kRefused) send_refusal();
  return state == State::kPlaced;
}

void HttpStream::send_refusal() {
  static constexpr envoy_dynamic_module_type_module_http_header kRetryAfter = {"retry-after", 11, "1", 1};
  const Refusal why = refusal();
  const std::string reason = why == Refusal::kUnavailable ? revision->settings().unavailable : std::string();
  auto headers = kRetryAfter;
  envoy_dynamic_module_callback_http_send_response(filter_, http_status_of(why), &headers, 1, buffer(reason),
                                                   buffer(details_of(why)));
}

// A time limit has passed: answers the request, or resets the stream if its answer has begun.
void HttpStream::cut() {
  if (answered_ || local_reply_) return;
  const std::string_view details = details_of(overdue());
  if (begun_) {
    envoy_dynamic_module_callback_http_filter_reset_stream(
        filter_, envoy_dynamic_module_type_http_filter_stream_reset_reason_LocalReset, buffer(details));
    return;
  }
  local_reply_ = true;
  status_ = kGatewayTimeout;
  envoy_dynamic_module_callback_http_send_response(filter_, kGatewayTimeout, nullptr, 0, {nullptr, 0}, buffer(details));
}

void HttpStream::end() {
  if (revision && !std::exchange(ended_, true)) revision->end(*this, now(), status_);
}

// A stream that ends before its answer frees its slot when Envoy's router has closed the connection to the instance.
// The router does so after the gate's last hook, and Envoy frees the stream's memory after that. So Envoy's filter
// state keeps this object until then.
void HttpStream::keep() {
  kept_ = envoy_dynamic_module_callback_http_set_filter_state_object(
      filter_, buffer("tidegate.gate"), this,
      [](void* kept) {
        auto* stream = static_cast<HttpStream*>(kept);
        stream->end();
        delete stream;
      },
      envoy_dynamic_module_type_filter_state_life_span_FilterChain);
}

}  // namespace gate
