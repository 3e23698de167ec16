// SPDX-License-Identifier: Apache-2.0
// Hosts that accept requests and do not answer them, of one revision. The lock is the Revision's, except for `began`.
//
// A host is silent when all of this holds:
//   * it has not begun to answer a request for `patience` seconds,
//   * it has begun no answer since that request arrived,
//   * another host has begun an answer since then.
// While there is a host that is not silent, a silent host gets no new requests except a trial now and then: it may be
// well, and that one request may only take long, e.g. a long poll.
#pragma once

#include <atomic>

#include "host.h"
#include "slots.h"

namespace gate {

constexpr Time kSuspicion = 1;  // seconds: no host is suspected sooner

class Silence {
 public:
  // The host began an answer `took` seconds after it got the request. Takes no lock.
  void began(Host& host, Time took, Time now);
  // A request that the host has had since then is still unanswered. True when the host is silent from now on.
  bool suspect(Slots& slots, Host& host, Time since, Time now) const;
  // Ends the silence of hosts that answer again and of a host that is alone, and allows trials for the rest. True when
  // a silence has ended.
  bool tick(Slots& slots, Time now);

 private:
  Time patience() const;

  std::atomic<Time> slowest_ = 0;  // the slowest beginning of an answer in this period
  Time slowest_before_ = 0;        // and in the period before
  Time period_began_ = 0;
};

}  // namespace gate
