// SPDX-License-Identifier: Apache-2.0
// One request at a revision, whatever its protocol: the state that the decision keeps of it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "clock.h"
#include "host.h"
#include "watch.h"

namespace gate {

// Why a request gets no host.
enum class Refusal : uint8_t { kNone, kQueueFull, kDeadline, kHeldBytes, kUnavailable, kRemoved, kControlPlaneDown };
constexpr size_t kRefusals = 7;

// Which time limit a request has passed at its host.
enum class Overdue : uint8_t { kNone, kResponseStart, kIdle, kRequest };

// What a request passes on to the one that replaces it: a stream that starts again keeps its turn and its deadline.
struct Turn {
  uint64_t order = 0;
  Time arrived = 0;
};

// The owner of a request calls the Revision with it from one thread: the worker that serves it.
class Request : public Watched {
 public:
  // A `copy` is mirrored traffic: it waits behind all requests of clients and takes none of their room in the queue.
  explicit Request(unsigned worker, bool copy = false) : worker_(worker), copy_(copy) {}
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  virtual ~Request() = default;

  // A request that waited now has a host or is refused; or one that has a host is overdue there. Called on any thread
  // and under the revision's lock: an implementation passes the call on and does nothing else.
  virtual void wake() = 0;

  // The status code of the answer to a request that is refused; 0 if its protocol has none.
  virtual unsigned status_of(Refusal) const { return 0; }

  enum class State : uint8_t { kNew, kWaiting, kPlaced, kRefused, kEnded };

  // Only the owner may read it, and not while the request waits: then it can change at any moment, and `wake` reports
  // the change.
  State state() const { return state_; }
  const Host* host() const { return state_ == State::kPlaced ? &*host_ : nullptr; }
  Refusal refusal() const { return refusal_; }
  Overdue overdue() const { return overdue_.load(std::memory_order_relaxed); }
  // Whether `Revision::heard` must be called for each byte of the answer, or only for the first.
  bool is_idle_limited() const { return idle_limited_; }

 private:
  friend class Queue;
  friend class Revision;

  const unsigned worker_;
  const bool copy_;
  State state_ = State::kNew;
  Refusal refusal_ = Refusal::kNone;
  Hosts::iterator host_;
  uint64_t order_ = 0;  // of arrival; copies after all others
  Time arrived_ = 0;
  Time placed_ = 0;  // when it got its host
  bool idle_limited_ = false;
  std::atomic<Time> heard_ = 0;  // when the last byte of the answer came; 0: none yet
  std::atomic<Overdue> overdue_ = Overdue::kNone;
  size_t held_ = 0;          // bytes
  bool in_line_ = false;     // it waits, or its host failed and it needs a slot at another
  bool has_reserve_ = false; // a slot is reserved for its retry at `reserve_`, since `reserved_at_`
  Hosts::iterator reserve_;
  Time reserved_at_ = 0;
};

}  // namespace gate
