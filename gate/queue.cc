// SPDX-License-Identifier: Apache-2.0
#include "queue.h"

#include <algorithm>
#include <utility>

namespace gate {
namespace {

// Where copies begin in a line: more arrivals than there will ever be.
constexpr uint64_t kCopies = 1ULL << 63;

}  // namespace

uint64_t Queue::next_order(bool copy) { return ++arrivals_ + (copy ? kCopies : 0); }

void Queue::add(Request& request) {
  if (lines_.size() <= request.worker_) lines_.resize(request.worker_ + 1);
  lines_[request.worker_].emplace(request.order_, &request);
  request.in_line_ = true;
  ++in_line_;
}

void Queue::remove(Request& request) {
  lines_[request.worker_].erase(request.order_);
  request.in_line_ = false;
  --in_line_;
  if (request.state_ != Request::State::kWaiting) return;
  Size& size = sizes_[request.copy_];
  size.bytes -= std::exchange(request.held_, 0);
  --size.length;
  --waiting_;
}

bool Queue::wait(Request& request) {
  request.state_ = Request::State::kWaiting;
  add(request);
  ++sizes_[request.copy_].length;
  if (++waiting_ < urgent_at_) return false;
  urgent_at_ = 2 * waiting_;
  return true;
}

void Queue::hold(Request& request, size_t bytes) {
  request.held_ += bytes;
  sizes_[request.copy_].bytes += bytes;
}

// The waiting requests of one worker can use the same hosts, so only the first of each line is tried. A request that
// retries is different: it cannot use the host that failed, so the one behind it is tried too.
Queue::Next Queue::next(Slots& slots) const {
  Next next;
  if (in_line_ == 0) return next;
  Hosts::iterator free;
  for (unsigned worker = 0; worker < lines_.size(); ++worker) {
    for (auto& [order, request] : lines_[worker]) {
      if (next.request != nullptr && next.request->order_ < order) break;
      if (slots.find_free(worker, request->host(), free)) {
        next = {request, free};
        break;
      }
      if (request->state_ == Request::State::kWaiting) break;
    }
  }
  return next;
}

Request* Queue::expired(Time now, Time deadline) const {
  for (const auto& line : lines_)
    for (const uint64_t first : {uint64_t{0}, kCopies}) {
      const auto oldest = line.lower_bound(first);
      if (oldest != line.end() && oldest->second->arrived_ + deadline <= now) return oldest->second;
    }
  return nullptr;
}

Request* Queue::any_of(unsigned worker) const {
  if (worker >= lines_.size() || lines_[worker].empty()) return nullptr;
  return lines_[worker].begin()->second;
}

void Queue::tick() { urgent_at_ = std::max(1u, 2 * waiting_); }

}  // namespace gate
