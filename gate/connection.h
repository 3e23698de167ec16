// SPDX-License-Identifier: Apache-2.0
// One connection to an instance, as its transport socket sees it, and what the filter learns of one that closes.
#pragma once

namespace gate {

// Whether a request is the first of its connection, and whether anything was answered to it.
class Connection {
 public:
  // `multiplexed`: it carries several requests at a time, so that nothing is known of a single one.
  explicit Connection(bool multiplexed) : multiplexed_(multiplexed) {}

  void wrote() {
    if (answered_) kept_alive_ = true;
    answered_ = false;
  }
  void read() { answered_ = true; }

  // The instance kept the connection alive after an answer, and nothing has come since the next request went out.
  bool is_stale() const { return kept_alive_ && !answered_ && !multiplexed_; }

 private:
  const bool multiplexed_;
  bool kept_alive_ = false, answered_ = false;
};

// The same of the connection that this thread of Envoy closed last. Envoy ends the connection's request right after
// that, and so the filter hears of it before another connection closes.
inline thread_local bool closed_stale = false;

}  // namespace gate
