// SPDX-License-Identifier: Apache-2.0
// The requests of one revision that need a slot, in order of arrival. The lock is the Revision's.
//
// A request in line waits for a first host, or it retries: its host failed, and it keeps its slot there while it is in
// line for a slot at another host. Mirrored copies come after all other requests.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "request.h"
#include "slots.h"

namespace gate {

class Queue {
 public:
  // Of the requests that wait.
  struct Size {
    size_t length = 0, bytes = 0;
  };

  // The next place in the order of arrival.
  uint64_t next_order(bool copy);

  void add(Request& request);
  void remove(Request& request);
  // Adds a request as one that waits. True when the queue must be reported at once: it has its first request, or has
  // doubled since it was reported or ticked.
  bool wait(Request& request);
  void hold(Request& request, size_t bytes);

  const Size& size(const Request& request) const { return sizes_[request.copy_]; }  // of clients' requests or of copies
  unsigned waiting() const { return waiting_; }                                     // requests of both kinds

  struct Next {
    Request* request = nullptr;
    Hosts::iterator host;
  };
  // The first request in line for which a slot is free, and the host with this slot.
  Next next(Slots& slots) const;
  // A request that has waited for `deadline` seconds; nullptr if there is none.
  Request* expired(Time now, Time deadline) const;
  // Any request of the worker; nullptr if there is none.
  Request* any_of(unsigned worker) const;
  unsigned workers() const { return static_cast<unsigned>(lines_.size()); }

  void tick();

 private:
  std::vector<std::map<uint64_t, Request*>> lines_;  // by worker, in order of arrival
  size_t in_line_ = 0;
  uint64_t arrivals_ = 0;
  std::array<Size, 2> sizes_;  // of clients' requests, and of copies
  unsigned waiting_ = 0;
  unsigned urgent_at_ = 1;  // this many waiting requests must be reported at once
};

}  // namespace gate
