// SPDX-License-Identifier: Apache-2.0
// The part of the decision that depends on time alone.
#include <algorithm>

#include "decision.h"
#include "limits.h"

namespace gate {
namespace {

// A slot is reserved for a retry for this long: several times the pause before a retry.
constexpr Time kReserve = 1;

}  // namespace

void Revision::tick(Time now) {
  Lock lock(lock_);
  advance(now);
  while (Request* request = queue_.expired(now, settings_.queue_deadline))
    remove_from_queue(*request, Refusal::kDeadline);
  while (!reserving_.empty() && reserving_.front()->reserved_at_ + kReserve <= now) cancel_reserve(*reserving_.front());
  watchlist_.check(now, std::min(kSuspicion, first_limit(settings_, 0, 0).time),
                   [&](Watched& watched) { return check(static_cast<Request&>(watched), now); });
  if (silence_.tick(slots_, now)) changed();
  slots_.end_rests(now);
  dispatch();
  queue_.tick();
}

// Wakes a request that is overdue. Returns when to check it next.
Time Revision::check(Request& request, Time now) {
  const Time heard = request.heard_.load(std::memory_order_relaxed);
  const Limit limit = first_limit(settings_, request.placed_, heard);
  if (limit.time <= now) {
    request.overdue_.store(limit.overdue, std::memory_order_relaxed);
    request.wake();
    return kNever;
  }
  if (heard > 0) return limit.time;
  if (silence_.suspect(slots_, *request.host_, request.placed_, now)) changed_urgently();
  return std::min(limit.time, now + kSuspicion);
}

}  // namespace gate
