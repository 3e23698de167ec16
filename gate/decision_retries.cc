// SPDX-License-Identifier: Apache-2.0
// The part of the decision for requests whose attempt at a host failed.
//
// Such a request keeps the slot that it has and is in line for a slot at another host. When one becomes free, it is
// reserved for the request until its next attempt.
#include <utility>

#include "decision.h"

namespace gate {

bool Revision::retry(Request& request, Time now) {
  Lock lock(lock_);
  if (request.state_ != Request::State::kPlaced) return false;
  advance(now);
  if (request.has_reserve_ && !request.reserve_->known[request.worker_]) {
    cancel_reserve(request);
    dispatch();
  }
  Hosts::iterator other;
  if (request.has_reserve_) {
    other = request.reserve_;
  } else if (!slots_.find_free(request.worker_, &*request.host_, other)) {
    if (!request.in_line_) queue_.add(request);
    return request.host_->known[request.worker_];
  }
  if (request.in_line_) queue_.remove(request);
  cancel_reserve(request);
  slots_.rest(request.host_, advanced_);
  release(request);
  take(request, other);
  dispatch();
  changed();
  return true;
}

void Revision::settle(Request& request, Time now) {
  Lock lock(lock_);
  if (!request.in_line_ && !request.has_reserve_) return;
  advance(now);
  if (request.in_line_) queue_.remove(request);
  cancel_reserve(request);
  dispatch();
}

void Revision::unreached(Request& request, Time now) {
  Lock lock(lock_);
  advance(now);
  if (request.state_ == Request::State::kPlaced) slots_.rest(request.host_, advanced_);
}

void Revision::reserve(Request& request, Hosts::iterator host) {
  request.has_reserve_ = true;
  request.reserve_ = host;
  request.reserved_at_ = advanced_;
  reserving_.push_back(&request);
  slots_.take(host, advanced_);
}

void Revision::cancel_reserve(Request& request) {
  if (!std::exchange(request.has_reserve_, false)) return;
  reserving_.remove(&request);
  release(request.reserve_);
}

}  // namespace gate
