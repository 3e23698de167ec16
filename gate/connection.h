// SPDX-License-Identifier: Apache-2.0
// One connection to an instance, as its transport socket sees it, and what the filter learns when it closes.
#pragma once

namespace gate {

// Tracks whether a request is the first of its connection, and whether a byte of its answer has arrived.
class Connection {
 public:
  // `multiplexed`: the connection carries several requests at a time, so nothing is known about a single one.
  explicit Connection(bool multiplexed) : multiplexed_(multiplexed) {}

  void wrote() {
    if (answered_) kept_alive_ = true;
    answered_ = false;
  }
  void read() { answered_ = true; }

  // The instance kept the connection alive after an answer, and no byte has arrived since the next request was sent.
  bool is_stale() const { return kept_alive_ && !answered_ && !multiplexed_; }

 private:
  const bool multiplexed_;
  bool kept_alive_ = false, answered_ = false;
};

// Whether the connection that this thread of Envoy closed last was stale. Envoy ends the connection's request right
// after it closes the connection, so the filter reads this before another connection closes.
inline thread_local bool closed_stale = false;

}  // namespace gate
