// SPDX-License-Identifier: Apache-2.0
// The HTTP filter: one stream takes a slot of its revision or waits for one, and continues once it has one.
//
// The filter must be the last before Envoy's router, see policy.h. decision.h decides; abi.h describes Envoy's side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "envoy.h"
#include "http_replies.h"
#include "policy.h"
#include "worker.h"

namespace gate {

// The configuration of the filter, for all streams of a listener.
struct HttpFilterConfig {
  bool copies = false;  // the streams are mirrored traffic
};

class HttpStream final : public RoutedRequest {
 public:
  HttpStream(void* filter, bool copy) : RoutedRequest(worker().number, copy), filter_(filter) {}
  ~HttpStream() override {
    if (scheduler_ != nullptr) envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler_);
  }

  void wake() override { envoy_dynamic_module_callback_http_filter_scheduler_commit(scheduler_, 0); }
  unsigned status_of(Refusal why) const override { return http_status_of(why); }
  bool is_repeatable() const override;

  // Envoy's hooks. `end`: this is the last part of the request or the answer.
  int on_request_headers(bool end);
  int on_request_body(bool end);
  int on_request_trailers();
  void on_woken();
  void on_local_reply(std::string_view details);
  int on_response_headers(bool end);
  int on_response_body(bool end);
  int on_response_trailers();
  void on_complete();
  void on_destroy();

 private:
  // Why Envoy's router gave up.
  enum class Failure : uint8_t {
    kOther,
    kUnreached,  // it found no host, or could not connect to one: no instance has seen the request
    kStale,      // the instance closed a connection that it had kept alive, and has not begun to answer
    kReset,      // the instance closed the connection on its first request, or reset the stream
  };
  static Failure failure_of(std::string_view details);

  void make_scheduler();
  bool leave(State state);
  void send_refusal();
  void cut();
  bool restart();
  bool must_restart() const;
  bool is_idempotent() const;
  void restore(std::string_view original, std::string_view name);
  void end();
  void keep();

  void* const filter_;          // Envoy's handle of this stream
  void* scheduler_ = nullptr;   // made when the stream may be woken
  size_t body_ = 0;             // request bytes that have passed
  unsigned status_ = 0;         // of the answer
  unsigned repeats_ = 0;        // how often it started again although an instance may have seen it
  unsigned resets_ = 0;         // how often of these because of Failure::kReset
  bool stopped_ = false;        // Envoy holds the request until it has a slot
  bool complete_ = false;       // the whole request has arrived
  bool trailers_ = false;       // and ended with trailers
  bool local_reply_ = false;    // Envoy answers, not the instance
  Failure failure_ = Failure::kOther;  // the reason of that answer
  bool begun_ = false;          // the instance's answer has begun
  bool answered_ = false;       // and is complete
  bool ended_ = false;          // the revision knows that it has ended
  bool kept_ = false;           // Envoy's filter state owns this object
};

}  // namespace gate
