// SPDX-License-Identifier: Apache-2.0
#include "decision.h"

#include <algorithm>
#include <limits>

namespace gate {
namespace {

// Long enough that a dead instance does not draw every request for being the least loaded, short enough to forgive a
// single failure.
constexpr Time kRest = 0.1;

// Several times as long as a retry may take to come for the slot that is kept for it.
constexpr Time kKeep = 1;

// A host is not suspected to be silent before, nor before several times as long as answers took to begin of late, which
// is the longest of these seconds and as many before. It is tried again after a second, and twice as long each time.
constexpr Time kSuspicion = 1;
constexpr Time kTimes = 4;
constexpr Time kOfLate = 300;
constexpr Time kFirstTrial = 1, kLastTrial = 60;

// Where copies begin in a line; more arrivals than will ever be before it.
constexpr uint64_t kCopies = 1ULL << 63;

}  // namespace

void Revision::configure(Settings settings, Time now) {
  Lock lock(lock_);
  advance(now);
  if (settings.shared != settings_.shared) changed();
  settings_ = std::move(settings);
  for (const auto& [address, host] : hosts_) put(host);  // whether it is full may be otherwise now
  refuse_unavailable();
  dispatch();
}

Settings Revision::settings() const {
  Lock lock(lock_);
  return settings_;
}

std::vector<const Host*> Revision::learn(unsigned worker, const std::vector<std::string_view>& addresses, Time now) {
  Lock lock(lock_);
  advance(now);
  bool is_news = workers_.none();
  workers_.set(worker);
  ++learned_;
  std::vector<const Host*> learned;
  learned.reserve(addresses.size());
  for (std::string_view address : addresses) {
    auto [entry, is_new] = hosts_.try_emplace(std::string(address));
    Hosts::iterator& host = entry->second;
    is_news |= is_new;
    if (is_new) {
      host = draining_.emplace(draining_.end());
      host->address = address;
      host->list = &draining_;
    }
    host->learned = learned_;
    if (!host->known[worker]) {
      host->known.set(worker);
      if (host->list == &draining_) put(host);
    }
    learned.push_back(&*host);
  }
  for (auto entry = hosts_.begin(); entry != hosts_.end();) {
    Hosts::iterator host = (entry++)->second;  // first: it may be erased
    if (!host->known[worker] || host->learned == learned_) continue;
    host->known.reset(worker);
    if (host->known.none()) put_or_erase(host);
  }
  refuse_unavailable();
  dispatch();
  if (is_news) changed();  // not for a worker that learns what another has learned before: the report is the same
  return learned;
}

void Revision::share(const std::vector<Share>& shares, Time now) {
  Lock lock(lock_);
  advance(now);
  bool is_news = false;
  for (const Share& share : shares) {
    const auto entry = hosts_.find(std::string(share.address));
    if (entry == hosts_.end() || share.version <= entry->second->share_version) continue;
    entry->second->share = share.slots;
    entry->second->share_version = share.version;
    put(entry->second);
    is_news = true;
  }
  if (!is_news) return;
  dispatch();
  changed();
  listener_.urgent(*this);
}

void Revision::leave(unsigned worker, Time now) {
  learn(worker, {}, now);
  Lock lock(lock_);
  advance(now);
  workers_.reset(worker);
  send_all_away(worker, Refusal::kRemoved);
}

bool Revision::arrive(Request& request, Time now, const Turn* turn) {
  Lock lock(lock_);
  advance(now);
  if (turn == nullptr) {
    ++outcomes(request).requests;
    request.order_ = ++arrivals_ + (request.copy_ ? kCopies : 0);
    request.arrived_ = now;
  } else {
    request.order_ = turn->order;
    request.arrived_ = turn->arrived;
  }
  changed();
  Hosts::iterator host;
  if (!find_free(request.worker_, nullptr, host)) return false;
  take(request, host);
  return true;
}

Request::State Revision::wait(Request& request, Time now) {
  Lock lock(lock_);
  advance(now);
  Hosts::iterator host;
  if (find_free(request.worker_, nullptr, host)) {
    take(request, host);
  } else if (unavailable()) {
    refuse(request, Refusal::kUnavailable);
  } else if (queue(request).length >= (request.copy_ ? settings_.mirror_queue_length : settings_.queue_length)) {
    refuse(request, Refusal::kQueueFull);
  } else {
    enqueue(request);
  }
  return request.state_;
}

bool Revision::hold(Request& request, size_t bytes, Time now) {
  Lock lock(lock_);
  if (request.state_ != Request::State::kWaiting) return true;
  advance(now);
  request.held_ += bytes;
  queue(request).held += bytes;
  if (queue(request).held <= (request.copy_ ? settings_.mirror_held_bytes : settings_.held_bytes)) return true;
  refuse(request, Refusal::kHeldBytes);
  return false;
}

Request::State Revision::confirm(Request& request, Time now) {
  Lock lock(lock_);
  if (request.state_ != Request::State::kPlaced || request.host_->known[request.worker_]) return request.state_;
  advance(now);
  drop(request);
  Hosts::iterator host;
  if (find_free(request.worker_, nullptr, host))
    take(request, host);
  else if (workers_[request.worker_])
    enqueue(request);
  else
    refuse(request, Refusal::kRemoved);
  dispatch();  // the slot that it had is one for the streams of workers that still know the host
  return request.state_;
}

bool Revision::move(Request& request, Time now) {
  Lock lock(lock_);
  if (request.state_ != Request::State::kPlaced) return false;
  advance(now);
  if (request.moves_on_ && !request.next_->known[request.worker_]) {
    give_back(request);
    dispatch();
  }
  Hosts::iterator other;
  if (request.moves_on_) {
    other = request.next_;
  } else if (!find_free(request.worker_, &*request.host_, other)) {
    if (!request.in_line_) line_up(request);
    return request.host_->known[request.worker_];
  }
  if (request.in_line_) step_out(request);
  give_back(request);
  rest(request.host_);
  drop(request);
  take(request, other);
  dispatch();
  changed();
  return true;
}

void Revision::settle(Request& request, Time now) {
  Lock lock(lock_);
  if (!request.in_line_ && !request.moves_on_) return;
  advance(now);
  if (request.in_line_) step_out(request);
  give_back(request);
  dispatch();
}

void Revision::unreached(Request& request, Time now) {
  Lock lock(lock_);
  advance(now);
  if (request.state_ == Request::State::kPlaced) rest(request.host_);
}

void Revision::heard(Request& request, Time now) {
  const bool begins = request.heard_.exchange(now, std::memory_order_relaxed) == 0;
  if (!begins || request.state_ != Request::State::kPlaced) return;
  request.host_->began.store(now, std::memory_order_relaxed);
  const Time took = now - request.placed_;
  if (took > slowest_.load(std::memory_order_relaxed)) slowest_.store(took, std::memory_order_relaxed);
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
  if (request.in_line_) step_out(request);
  give_back(request);
  if (placed) drop(request);
  request.state_ = Request::State::kEnded;
  dispatch();
  return {request.order_, request.arrived_};
}

void Revision::tick(Time now) {
  Lock lock(lock_);
  advance(now);
  for (auto& line : lines_)
    for (const uint64_t first : {uint64_t{0}, kCopies})
      for (auto oldest = line.lower_bound(first);
           oldest != line.end() && oldest->second->arrived_ + settings_.queue_deadline <= now;
           oldest = line.lower_bound(first))
        send_away(*oldest->second, Refusal::kDeadline);
  while (!keeping_.empty() && keeping_.front()->kept_since_ + kKeep <= now) give_back(*keeping_.front());
  const auto [soonest, _] = due(0, 0);
  watchlist_.look(now, std::min(kSuspicion, soonest),
                  [&](Watched& watched) { return look_at(static_cast<Request&>(watched), now); });
  if (silent_ > 0) try_silent(now);
  if (now - slowest_from_ >= kOfLate) {
    slowest_before_ = slowest_.exchange(0, std::memory_order_relaxed);
    slowest_from_ = now;
  }
  for (auto next = resting_.begin(); next != resting_.end();) {
    Hosts::iterator host = next++;
    if (host->rests_until <= now) put(host);
  }
  dispatch();
  urgent_at_ = std::max(1u, 2 * counters_.queued);
}

void Revision::give_up(Time now) {
  Lock lock(lock_);
  advance(now);
  if (is_empty()) refuse_all(Refusal::kControlPlaneDown);
}

Report Revision::report(Time now) {
  Lock lock(lock_);
  advance(now);
  Report report = counters_;
  report.hosts.reserve(hosts_.size());
  for (const auto& [address, host] : hosts_) {
    report.hosts.emplace_back(address, host->requests);
    if (host->is_silent) report.silent.push_back(address);
  }
  report.shared = settings_.shared;
  if (!report.shared) return report;
  report.shares.reserve(hosts_.size());
  for (const auto& [address, host] : hosts_) report.shares.emplace_back(host->share_version, host->share);
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
  const bool idle = reported_ == counters_.version && counters_.in_flight + counters_.queued == 0 && resting_.empty();
  if (idle) active_ = false;
  return idle;
}

// The least loaded host with a free slot that the worker knows. Hosts that it does not know are few and soon known, so
// this looks at one.
bool Revision::find_free(unsigned worker, const Host* except, Hosts::iterator& found) {
  while (lowest_ + 1 < by_load_.size() && by_load_[lowest_].empty()) ++lowest_;
  for (size_t load = lowest_; load < by_load_.size(); ++load) {
    Hosts& hosts = by_load_[load];
    found = std::find_if(hosts.begin(), hosts.end(),
                         [&](const Host& host) { return host.known[worker] && &host != except; });
    if (found != hosts.end()) return true;
  }
  return false;
}

void Revision::take(Request& request, Hosts::iterator host) {
  request.state_ = Request::State::kPlaced;
  request.host_ = host;
  request.placed_ = advanced_;
  request.idle_limited_ = settings_.idle > 0;
  request.heard_.store(0, std::memory_order_relaxed);
  watchlist_.add(request, advanced_);
  host->on_trial = false;
  ++host->requests;
  ++counters_.in_flight;
  put(host);
}

void Revision::drop(Request& request) {
  watchlist_.remove(request);
  --counters_.in_flight;
  release(request.host_);
}

// Requests that may be at a host at a time.
unsigned Revision::slots(const Host& host) const {
  const unsigned concurrency = settings_.container_concurrency;
  unsigned bound = concurrency == 0 ? std::numeric_limits<unsigned>::max() : concurrency;
  if (settings_.shared && concurrency > 0) bound = std::min(bound, host.share);
  if (host.is_silent) bound = std::min(bound, host.on_trial ? host.requests + 1 : 0);
  return bound;
}

// A slot is free. One that this gateway's share has no more is another gateway's, once it is told.
void Revision::release(Hosts::iterator host) {
  --host->requests;
  if (settings_.shared && host->requests >= slots(*host)) {
    changed();
    listener_.urgent(*this);
  }
  put_or_erase(host);
}

void Revision::rest(Hosts::iterator host) {
  host->rests_until = advanced_ + kRest;
  put(host);
}

// Puts a host into the list where it belongs, behind those that came before.
void Revision::put(Hosts::iterator host) {
  Hosts* list = &draining_;
  if (host->known.any() && host->rests_until > advanced_) {
    list = &resting_;
  } else if (host->known.any() && host->requests >= slots(*host)) {
    list = &full_;
  } else if (host->known.any()) {
    while (by_load_.size() <= host->requests) by_load_.emplace_back();
    lowest_ = std::min<size_t>(lowest_, host->requests);
    list = &by_load_[host->requests];
  }
  list->splice(list->end(), *host->list, host);
  host->list = list;
}

void Revision::put_or_erase(Hosts::iterator host) {
  if (host->known.any() || host->requests > 0) return put(host);
  silent_ -= host->is_silent;
  hosts_.erase(host->address);
  host->list->erase(host);
  changed();
  listener_.urgent(*this);
}

void Revision::enqueue(Request& request) {
  request.state_ = Request::State::kWaiting;
  line_up(request);
  changed();
  ++queue(request).length;
  if (++counters_.queued < urgent_at_) return;
  urgent_at_ = 2 * counters_.queued;
  listener_.urgent(*this);
}

void Revision::line_up(Request& request) {
  if (lines_.size() <= request.worker_) lines_.resize(request.worker_ + 1);
  lines_[request.worker_].emplace(request.order_, &request);
  request.in_line_ = true;
  ++in_line_;
}

void Revision::step_out(Request& request) {
  lines_[request.worker_].erase(request.order_);
  request.in_line_ = false;
  --in_line_;
  if (request.state_ != Request::State::kWaiting) return;
  queue(request).held -= std::exchange(request.held_, 0);
  --queue(request).length;
  --counters_.queued;
}

// The slot that is kept for a request besides its own.
void Revision::give_back(Request& request) {
  if (!std::exchange(request.moves_on_, false)) return;
  keeping_.remove(&request);
  release(request.next_);
}

void Revision::refuse(Request& request, Refusal why) {
  if (request.in_line_) step_out(request);
  request.state_ = Request::State::kRefused;
  request.refusal_ = why;
  ++outcomes(request).refused[static_cast<size_t>(why)];
  if (!request.copy_) {
    counters_.responses.count(status_of(why));
    counters_.request_latency.count(advanced_ - request.arrived_);
  }
  changed();
}

// Out of the line: one that waits is refused, one that has a host is left with that.
void Revision::send_away(Request& request, Refusal why) {
  if (request.state_ != Request::State::kWaiting) return step_out(request);
  refuse(request, why);
  request.wake();
}

void Revision::send_all_away(unsigned worker, Refusal why) {
  if (worker >= lines_.size()) return;
  while (!lines_[worker].empty()) send_away(*lines_[worker].begin()->second, why);
}

void Revision::refuse_unavailable() {
  if (unavailable()) refuse_all(Refusal::kUnavailable);
}

void Revision::refuse_all(Refusal why) {
  for (unsigned worker = 0; worker < lines_.size(); ++worker) send_all_away(worker, why);
}

// When to look at a request next.
Time Revision::look_at(Request& request, Time now) {
  const Time heard = request.heard_.load(std::memory_order_relaxed);
  const auto [time, overdue] = due(request.placed_, heard);
  if (time <= now) {
    request.overdue_.store(overdue, std::memory_order_relaxed);
    request.wake();
    return kNever;
  }
  if (heard > 0) return time;
  suspect(request.host_, request.placed_, now);
  return std::min(time, now + kSuspicion);
}

// When which limit is passed, of a request that has had its host since `placed` and of whose answer the last byte came
// at `heard`, 0 for none.
std::pair<Time, Overdue> Revision::due(Time placed, Time heard) const {
  std::pair<Time, Overdue> first{kNever, Overdue::kNone};
  const auto limit = [&first](Time from, Time seconds, Overdue overdue) {
    if (seconds > 0) first = std::min(first, {from + seconds, overdue});
  };
  limit(placed, settings_.request, Overdue::kRequest);
  limit(heard > 0 ? heard : placed, settings_.idle, Overdue::kIdle);
  if (heard == 0) limit(placed, settings_.response_start, Overdue::kResponseStart);
  return first;
}

// A host is silent when it has not begun to answer a request for long, nor any other since that came, while another
// host has begun to answer. It then gets nothing new as long as there is another that is not silent, but one request now
// and then: it may be well, and that request only takes long, e.g. a long poll.
void Revision::suspect(Hosts::iterator host, Time since, Time now) {
  const bool answers = host->began.load(std::memory_order_relaxed) >= since;
  if (host->is_silent || answers || now - since < patience() || !is_another_lively(*host, since)) return;
  host->is_silent = true;
  host->on_trial = false;
  host->silent_since = since;
  host->trial_pause = kFirstTrial;
  host->trial_at = now + kFirstTrial;
  ++silent_;
  put(host);
  changed();
  listener_.urgent(*this);
}

// Silent hosts that answer again are as others, and those that remain alone; the rest may have its trial.
void Revision::try_silent(Time now) {
  for (auto& [address, host] : hosts_) {
    if (!host->is_silent) continue;
    const bool answers = host->began.load(std::memory_order_relaxed) >= host->silent_since;
    if (answers || !is_another_lively(*host, 0)) {
      host->is_silent = false;
      --silent_;
      changed();
      // The suspicion was wrong: what it was raised by takes its time here.
      if (answers && now - host->silent_since > slowest_.load(std::memory_order_relaxed))
        slowest_.store(now - host->silent_since, std::memory_order_relaxed);
    } else if (now >= host->trial_at) {
      host->on_trial = true;
      host->trial_pause = std::min(2 * host->trial_pause, kLastTrial);
      host->trial_at = now + host->trial_pause;
    }
    put(host);
  }
}

// Whether another host, which takes requests and is not silent, has begun to answer since then.
bool Revision::is_another_lively(const Host& host, Time since) const {
  return std::any_of(hosts_.begin(), hosts_.end(), [&](const auto& entry) {
    const Host& other = *entry.second;
    return &other != &host && other.known.any() && !other.is_silent &&
           other.began.load(std::memory_order_relaxed) >= since;
  });
}

Time Revision::patience() const {
  return std::max(kSuspicion, kTimes * std::max(slowest_before_, slowest_.load(std::memory_order_relaxed)));
}

// Free slots to those in line, the oldest first. A worker's own line is in order and its requests have the same hosts
// to choose from, but for those that are to move on from one; so only the heads are compared.
void Revision::dispatch() {
  while (in_line_ > 0) {
    Request* next = nullptr;
    Hosts::iterator free, host;
    for (unsigned worker = 0; worker < lines_.size(); ++worker) {
      for (auto& [order, request] : lines_[worker]) {
        if (next != nullptr && next->order_ < order) break;
        if (find_free(worker, request->host(), free)) {
          next = request;
          host = free;
          break;
        }
        if (request->state_ == Request::State::kWaiting) break;
      }
    }
    if (next == nullptr) return;
    step_out(*next);
    if (next->state_ == Request::State::kWaiting) {
      take(*next, host);
      next->wake();
    } else {
      keep(*next, host);
    }
  }
}

// For a request whose host failed: it comes for the slot when it tries again.
void Revision::keep(Request& request, Hosts::iterator host) {
  request.moves_on_ = true;
  request.next_ = host;
  request.kept_since_ = advanced_;
  keeping_.push_back(&request);
  host->on_trial = false;
  ++host->requests;
  put(host);
}

// Each change advances the integrals to its own time first. A time before the last one (its caller had to wait for the
// lock) subtracts what the other change added too much: the sum is exact.
void Revision::advance(Time now) {
  const Time passed = now - advanced_;
  counters_.concurrency_seconds += passed * (counters_.in_flight + counters_.queued);
  counters_.queue_seconds += passed * counters_.queued;
  advanced_ = now;
}

void Revision::changed() {
  ++counters_.version;
  if (std::exchange(active_, true)) return;
  listener_.active(*this);
}

}  // namespace gate
