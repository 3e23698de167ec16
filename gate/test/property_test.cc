// SPDX-License-Identifier: Apache-2.0
// Random arrivals, ends, failures, changes of hosts and deadlines, compared with a simple model.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "../decision.h"
#include "check.h"
#include "fakes.h"

namespace gate {
namespace {

constexpr unsigned kThreads = 3;
constexpr Time kStep = 0.01;
constexpr uint64_t kCopies = 1ULL << 32;  // more arrivals than there are

class Model {
 public:
  explicit Model(unsigned seed) : random_(seed) {
    settings_.container_concurrency = seed % 4;
    settings_.shared = seed % 8 > 4;
    settings_.queue_length = 20;
    settings_.mirror_queue_length = 5;
    settings_.queue_deadline = 3;
    revision_->configure(settings_, now_);
    for (unsigned worker = 0; worker < kThreads; ++worker) learn(worker);
  }

  void run(int steps) {
    for (int step = 0; step < steps; ++step) {
      now_ += kStep;
      act();
      verify();
    }
    while (!requests_.empty()) end(requests_.begin());
    for (unsigned worker = 0; worker < kThreads; ++worker) {
      known_[worker].clear();
      revision_->leave(worker, now_);
    }
    const Report report = revision_->report(now_);
    CHECK_EQ(report.hosts.size(), 0u);
    CHECK_EQ(report.in_flight + report.queued, 0u);
    CHECK_EQ(report.requests + report.mirrored.requests, arrived_);
    CHECK(std::abs(report.concurrency_seconds - seconds_) < 1e-6);
  }

 private:
  using Requests = std::map<uint64_t, std::unique_ptr<FakeRequest>>;  // in order of arrival, copies last

  unsigned below(unsigned bound) { return std::uniform_int_distribution<unsigned>(0, bound - 1)(random_); }

  void act() {
    const unsigned dice = below(100);
    if (dice < 45) return arrive();
    if (dice < 80) return with_any([this](Requests::iterator request) { end(request); });
    if (dice < 86) return with_any([this](Requests::iterator request) { fail(*request->second); });
    if (dice < 89) return with_any([this](Requests::iterator request) { settle(*request->second); });
    if (dice < 97) return settings_.shared && below(2) == 0 ? share() : learn(below(kThreads));
    revision_->tick(now_);
  }

  void arrive() {
    const bool copy = below(4) == 0;
    const uint64_t order = ++arrived_ + (copy ? kCopies : 0);
    const size_t waiting = queued(copy);
    auto request = std::make_unique<FakeRequest>(below(kThreads), copy);
    const unsigned least = least_free_load(request->worker);
    const bool placed = revision_->arrive(*request, now_);
    if (placed) CHECK(load_of(request->at()) - 1 <= least);
    const State state = placed ? State::kPlaced : revision_->wait(*request, now_);
    if (placed) CHECK(known_[request->worker].contains(request->at()));
    CHECK_EQ(state == State::kRefused,
             state != State::kPlaced && waiting == (copy ? settings_.mirror_queue_length : settings_.queue_length));
    if (state == State::kRefused) return;
    began_[order] = now_;
    requests_[order] = std::move(request);
  }

  // How many copies wait, or how many other requests.
  size_t queued(bool copies) const {
    const auto waits = [](const auto& entry) { return entry.second->state() == State::kWaiting; };
    const auto middle = requests_.lower_bound(kCopies);
    return copies ? std::count_if(middle, requests_.end(), waits) : std::count_if(requests_.begin(), middle, waits);
  }

  template <typename Do>
  void with_any(Do act_on) {
    if (requests_.empty()) return;
    auto request = requests_.begin();
    std::advance(request, below(static_cast<unsigned>(requests_.size())));
    act_on(request);
  }

  void end(Requests::iterator request) {
    const bool refused = request->second->state() == State::kRefused;
    seconds_ += (refused ? refused_at_[request->first] : now_) - began_[request->first];
    revision_->end(*request->second, now_, refused || below(2) == 0 ? 0 : 200);
    requests_.erase(request);
  }

  void fail(FakeRequest& request) {
    if (request.state() != State::kPlaced) return;
    const std::string host = request.at();
    if (revision_->retry(request, now_)) {
      CHECK(known_[request.worker].contains(request.at()));
      if (request.at() == host) revision_->unreached(request, now_);
      rested_at_[host] = now_;
    }
  }

  void settle(FakeRequest& request) {
    if (request.state() == State::kPlaced) revision_->settle(request, now_);
  }

  void learn(unsigned worker) {
    std::set<std::string> hosts;
    for (const char* host : {"a", "b", "c", "d", "e"})
      if (below(2) == 0) hosts.insert(host);
    known_[worker] = hosts;
    revision_->learn(worker, {known_[worker].begin(), known_[worker].end()}, now_);
  }

  // Requests above a lowered share continue.
  void share() {
    const std::string host(1, static_cast<char>('a' + below(5)));
    const Share share{host, ++share_version_, below(settings_.container_concurrency + 1)};
    const auto known = [&](const auto& entry) { return entry.first == host; };
    if (const Report report = revision_->report(now_); std::ranges::any_of(report.hosts, known)) {
      shares_[host] = share.slots;
      run_before_[host] = load_of(host);
    }
    revision_->share({share}, now_);
    revision_->share({{host, share_version_ - 1, 100}}, now_);
  }

  unsigned load_of(const std::string& address) {
    for (const auto& [host, load] : revision_->report(now_).hosts)
      if (host == address) return load;
    return 0;
  }

  static uint64_t count_of(const Latency& latency) {
    return std::accumulate(latency.within().begin(), latency.within().end(), uint64_t{0});
  }

  static std::map<std::string, unsigned> loads_of(const Report& report) {
    return {report.hosts.begin(), report.hosts.end()};
  }

  bool may_rest(const std::string& host) { return rested_at_.contains(host); }

  // The least load of the hosts that the worker knows and that certainly do not rest; at most the limit.
  unsigned least_free_load(unsigned worker) {
    unsigned least = ~0u;
    for (const auto& [host, load] : revision_->report(now_).hosts)
      if (known_[worker].contains(host) && !may_rest(host) && load < bound(host)) least = std::min(least, load);
    return least;
  }

  unsigned bound(const std::string& host) {
    if (settings_.container_concurrency == 0) return ~0u;
    return settings_.shared ? shares_[host] : settings_.container_concurrency;
  }

  void note_refused() {
    for (auto& [order, request] : requests_)
      if (request->state() == State::kRefused) refused_at_.emplace(order, now_);
  }

  void verify() {
    note_refused();
    const Report report = revision_->report(now_);
    std::map<std::string, unsigned> loads;
    unsigned queued = 0, in_flight = 0;
    std::set<unsigned> waiting_workers;
    for (auto& [order, request] : requests_) {
      if (request->state() == State::kPlaced) {
        ++loads[request->at()];
        ++in_flight;
        // In a worker's line, no later request was woken before one that still waits.
        CHECK(request->woken == 0 || !waiting_workers.contains(request->worker) || was_placed_.contains(order));
        was_placed_.insert(order);
      }
      if (request->state() == State::kWaiting) {
        ++queued;
        waiting_workers.insert(request->worker);
      }
    }
    CHECK_EQ(report.queued, queued);
    CHECK_EQ(report.in_flight, in_flight);
    uint64_t answered = 0;
    for (const auto& [code, count] : report.responses) answered += count;
    CHECK_EQ(count_of(report.request_latency), answered);
    CHECK(count_of(report.app_request_latency) <= answered);
    CHECK(report.app_request_latency.seconds() <= report.request_latency.seconds() + 1e-9);
    unsigned kept = 0;
    for (const auto& [host, load] : report.hosts) {
      run_before_[host] = std::min(run_before_[host], load);
      CHECK(load <= std::max(bound(host), run_before_[host]));
      CHECK(load >= loads[host]);  // more: a slot is reserved for a retry
      kept += load - loads[host];
      if (load < bound(host) && !may_rest(host))
        for (unsigned worker : waiting_workers) CHECK(!known_[worker].contains(host));
    }
    CHECK(kept <= in_flight);
    const auto gone = [&](const auto& entry) { return !loads_of(report).contains(entry.first); };
    std::erase_if(shares_, gone);
    if (std::erase_if(rested_at_, [this](const auto& entry) { return entry.second + 1 < now_; }) > 0) {
      revision_->tick(now_);  // now they certainly do not rest
      note_refused();
    }
  }

  std::mt19937 random_;
  Time now_ = 100;
  Settings settings_;
  FakeListener listener_;
  std::shared_ptr<Revision> revision_ = std::make_shared<Revision>("default/hello-00001", listener_);
  std::map<unsigned, std::set<std::string>> known_;
  std::map<std::string, Time> rested_at_;
  std::map<std::string, unsigned> shares_, run_before_;  // of shared hosts; how many ran when the share was lowered
  uint64_t share_version_ = 0;
  Requests requests_;
  std::map<uint64_t, Time> began_, refused_at_;
  std::set<uint64_t> was_placed_;
  uint64_t arrived_ = 0;
  double seconds_ = 0;
};

TEST(slots_turns_and_counters_match_a_model_after_random_events) {
  for (unsigned seed = 0; seed < 40; ++seed) Model(seed).run(2000);
}

}  // namespace
}  // namespace gate
