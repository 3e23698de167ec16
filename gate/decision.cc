// SPDX-License-Identifier: Apache-2.0
#include "decision.h"

#include <algorithm>

#include "limits.h"

namespace gate {

void Revision::configure(Settings settings, Time now) {
  Lock lock(lock_);
  advance(now);
  if (settings.shared != settings_.shared) changed();
  settings_ = std::move(settings);
  slots_.configure(settings_.container_concurrency, settings_.shared, now);
  if (is_unavailable()) refuse_all(Refusal::kUnavailable);
  dispatch();
}

Settings Revision::settings() const {
  Lock lock(lock_);
  return settings_;
}

std::vector<const Host*> Revision::learn(unsigned worker, const std::vector<std::string_view>& addresses, Time now) {
  Lock lock(lock_);
  advance(now);
  const bool is_first = workers_.none();
  workers_.set(worker);
  Slots::Learned learned = slots_.learn(worker, addresses, now);
  if (is_unavailable()) refuse_all(Refusal::kUnavailable);
  dispatch();
  if (learned.has_drained) changed_urgently();
  if (learned.has_new || is_first) changed();
  return std::move(learned.hosts);
}

void Revision::share(const std::vector<Share>& shares, Time now) {
  Lock lock(lock_);
  advance(now);
  if (!slots_.share(shares, now)) return;
  dispatch();
  changed_urgently();
}

void Revision::leave(unsigned worker, Time now) {
  learn(worker, {}, now);
  Lock lock(lock_);
  advance(now);
  workers_.reset(worker);
  remove_all_from_queue(worker, Refusal::kRemoved);
}

bool Revision::arrive(Request& request, Time now, const Turn* turn) {
  Lock lock(lock_);
  advance(now);
  if (turn == nullptr) {
    ++outcomes(request).requests;
    request.order_ = queue_.next_order(request.copy_);
    request.arrived_ = now;
  } else {
    request.order_ = turn->order;
    request.arrived_ = turn->arrived;
  }
  changed();
  Hosts::iterator host;
  if (!slots_.find_free(request.worker_, nullptr, host)) return false;
  take(request, host);
  return true;
}

Request::State Revision::wait(Request& request, Time now) {
  Lock lock(lock_);
  advance(now);
  Hosts::iterator host;
  if (slots_.find_free(request.worker_, nullptr, host)) {
    take(request, host);
  } else if (is_unavailable()) {
    refuse(request, Refusal::kUnavailable);
  } else if (queue_.size(request).length >= (request.copy_ ? settings_.mirror_queue_length : settings_.queue_length)) {
    refuse(request, Refusal::kQueueFull);
  } else {
    wait_in_queue(request);
  }
  return request.state_;
}

bool Revision::hold(Request& request, size_t bytes, Time now) {
  Lock lock(lock_);
  if (request.state_ != Request::State::kWaiting) return true;
  advance(now);
  queue_.hold(request, bytes);
  if (queue_.size(request).bytes <= (request.copy_ ? settings_.mirror_held_bytes : settings_.held_bytes)) return true;
  refuse(request, Refusal::kHeldBytes);
  return false;
}

Request::State Revision::confirm(Request& request, Time now) {
  Lock lock(lock_);
  if (request.state_ != Request::State::kPlaced || request.host_->known[request.worker_]) return request.state_;
  advance(now);
  release(request);
  Hosts::iterator host;
  if (slots_.find_free(request.worker_, nullptr, host))
    take(request, host);
  else if (workers_[request.worker_])
    wait_in_queue(request);
  else
    refuse(request, Refusal::kRemoved);
  dispatch();  // the slot that it had is free for workers that still know the host
  return request.state_;
}

void Revision::heard(Request& request, Time now) {
  const bool begins = request.heard_.exchange(now, std::memory_order_relaxed) == 0;
  if (begins && request.state_ == Request::State::kPlaced)
    silence_.began(*request.host_, now - request.placed_, now);
}

Turn Revision::end(Request& request, Time now, unsigned status) {
  Lock lock(lock_);
  advance(now);
  const bool placed = request.state_ == Request::State::kPlaced;
  if (outcomes(request).responses.count(status) && !request.copy_) {
    counters_.request_latency.count(now - request.arrived_);
    if (placed) counters_.app_request_latency.count(now - request.placed_);
  }
  changed();
  if (request.state_ == Request::State::kEnded) return {request.order_, request.arrived_};
  if (request.in_line_) queue_.remove(request);
  cancel_reserve(request);
  if (placed) release(request);
  request.state_ = Request::State::kEnded;
  dispatch();
  return {request.order_, request.arrived_};
}

void Revision::give_up(Time now) {
  Lock lock(lock_);
  advance(now);
  if (slots_.is_empty()) refuse_all(Refusal::kControlPlaneDown);
}

Report Revision::report(Time now) {
  Lock lock(lock_);
  advance(now);
  Report report = counters_;
  report.queued = queue_.waiting();
  report.hosts.reserve(slots_.hosts().size());
  for (const auto& [address, host] : slots_.hosts()) {
    report.hosts.emplace_back(address, host->requests);
    if (host->is_silent) report.silent.push_back(address);
  }
  report.shared = settings_.shared;
  if (!report.shared) return report;
  report.shares.reserve(slots_.hosts().size());
  for (const auto& [address, host] : slots_.hosts()) report.shares.emplace_back(host->share_version, host->share);
  return report;
}

void Revision::reported(uint64_t version) {
  Lock lock(lock_);
  reported_ = std::max(reported_, version);
}

bool Revision::is_reported() {
  Lock lock(lock_);
  return reported_ == counters_.version;
}

bool Revision::idle() {
  Lock lock(lock_);
  const bool is_reported = reported_ == counters_.version;
  const bool idle = is_reported && counters_.in_flight + queue_.waiting() == 0 && !slots_.has_resting();
  if (idle) active_ = false;
  return idle;
}

void Revision::take(Request& request, Hosts::iterator host) {
  request.state_ = Request::State::kPlaced;
  request.host_ = host;
  request.placed_ = advanced_;
  request.idle_limited_ = settings_.idle > 0;
  request.heard_.store(0, std::memory_order_relaxed);
  watchlist_.add(request, advanced_);
  ++counters_.in_flight;
  slots_.take(host, advanced_);
}

void Revision::release(Request& request) {
  watchlist_.remove(request);
  --counters_.in_flight;
  release(request.host_);
}

void Revision::release(Hosts::iterator host) {
  if (slots_.release(host, advanced_)) changed_urgently();
}

void Revision::wait_in_queue(Request& request) {
  changed();
  if (queue_.wait(request)) listener_.urgent(*this);
}

// Gives free slots to the requests in line, the oldest first.
void Revision::dispatch() {
  for (auto next = queue_.next(slots_); next.request != nullptr; next = queue_.next(slots_)) {
    queue_.remove(*next.request);
    if (next.request->state_ == Request::State::kWaiting) {
      take(*next.request, next.host);
      next.request->wake();
    } else {
      reserve(*next.request, next.host);
    }
  }
}

void Revision::refuse(Request& request, Refusal why) {
  if (request.in_line_) queue_.remove(request);
  request.state_ = Request::State::kRefused;
  request.refusal_ = why;
  ++outcomes(request).refused[static_cast<size_t>(why)];
  if (!request.copy_) {
    counters_.responses.count(request.status_of(why));
    counters_.request_latency.count(advanced_ - request.arrived_);
  }
  changed();
}

// A request that waits is refused; one that retries keeps the host that it has.
void Revision::remove_from_queue(Request& request, Refusal why) {
  if (request.state_ != Request::State::kWaiting) return queue_.remove(request);
  refuse(request, why);
  request.wake();
}

void Revision::remove_all_from_queue(unsigned worker, Refusal why) {
  while (Request* request = queue_.any_of(worker)) remove_from_queue(*request, why);
}

void Revision::refuse_all(Refusal why) {
  for (unsigned worker = 0; worker < queue_.workers(); ++worker) remove_all_from_queue(worker, why);
}

// Each change first brings the integrals up to its own time. A time can be before the last one, because the caller had
// to wait for the lock; then this subtracts what the other change added too much, and the sum is exact.
void Revision::advance(Time now) {
  const Time passed = now - advanced_;
  counters_.concurrency_seconds += passed * (counters_.in_flight + queue_.waiting());
  counters_.queue_seconds += passed * queue_.waiting();
  advanced_ = now;
}

void Revision::changed() {
  ++counters_.version;
  if (std::exchange(active_, true)) return;
  listener_.active(*this);
}

void Revision::changed_urgently() {
  changed();
  listener_.urgent(*this);
}

}  // namespace gate
