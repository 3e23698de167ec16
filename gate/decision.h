// SPDX-License-Identifier: Apache-2.0
// The decision of the gate: which instance a request gets, and when. One revision's slots and queue.
//
// In: the hosts that each of Envoy's workers knows, and requests when they arrive, fail to connect and end. Out: a host
// for each request, or the reason why it gets none; and the numbers of a report.
// Called by: policy.cc (hosts, retries), http_filter.cc (requests), reporter.cc (tick, report) and the tests, from any
// thread. There is no Envoy, no protocol and no clock in here: a time is an argument.
#pragma once

#include <bitset>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "queue.h"
#include "report.h"
#include "request.h"
#include "settings.h"
#include "silence.h"
#include "slots.h"
#include "watch.h"

namespace gate {

class Revision;

// Called under the revision's lock: an implementation passes the call on and does nothing else.
class Listener {
 public:
  virtual ~Listener() = default;
  // The revision has something to report, and had nothing before. It stays active until `Revision::idle` returns true.
  virtual void active(Revision& revision) = 0;
  // The revision must be reported at once: its first request waits, its queue has doubled since it was urgent or ticked
  // last, a host has drained, a host fell silent, or a share has changed. A queue that empties and fills again between
  // two ticks is urgent only if it grows.
  virtual void urgent(Revision& revision) = 0;
};

// Invariant while unlocked: no request is in line whose worker knows a host with a free slot. So a new request may take
// a free slot without a look at the queue, and the queue moves only when a slot becomes free or a worker learns of a
// host.
class Revision : public std::enable_shared_from_this<Revision> {
 public:
  Revision(std::string name, Listener& listener) : name_(std::move(name)), listener_(listener) {}
  Revision(const Revision&) = delete;
  Revision& operator=(const Revision&) = delete;

  const std::string& name() const { return name_; }
  void configure(Settings settings, Time now);
  Settings settings() const;

  // ---- Hosts.

  // From now on the worker knows these hosts and no others. The result is in the order of the addresses and valid as
  // long as the worker knows them.
  std::vector<const Host*> learn(unsigned worker, const std::vector<std::string_view>& addresses, Time now);
  // Sets this gateway's shares of the hosts, except where a newer one is known. Unknown hosts are ignored.
  void share(const std::vector<Share>& shares, Time now);
  // The worker no longer has the cluster: its waiting requests are refused.
  void leave(unsigned worker, Time now);

  // ---- Requests.

  // A new request. True when it has a host at once. Otherwise the caller calls `wait`, which may still find a host, or
  // refuse the request.
  bool arrive(Request& request, Time now, const Turn* turn = nullptr);
  Request::State wait(Request& request, Time now);
  // Envoy holds more bytes of the request, head or body, while it waits. False when this passes a limit: the request is
  // refused.
  bool hold(Request& request, size_t bytes, Time now);
  // Must be called when a request that waited is about to leave for its host. If its worker has lost the host meanwhile
  // and no other is free, it waits again, in its old turn.
  Request::State confirm(Request& request, Time now);
  // An attempt failed. The request gets another free host; else it gets the same host again, if the worker knows it,
  // and is in line for the next slot. False when there is no host.
  bool retry(Request& request, Time now);
  // An attempt did not fail: a slot that is reserved for a retry becomes free.
  void settle(Request& request, Time now);
  // No connection to the request's host could be made: the host rests.
  void unreached(Request& request, Time now);
  // A byte of the answer came, the first or another. Takes no lock.
  void heard(Request& request, Time now);
  // The end of a request, in any state. `status`: the code of the answer, 0 for none. The result is for a request that
  // takes its place; if there is none after all, a second `end` counts the answer.
  Turn end(Request& request, Time now, unsigned status = 0);

  // ---- Time and reports.

  // Refuses requests whose deadline has passed, wakes overdue ones, and ends the rest of hosts. Must be called every
  // now and then while the revision is active.
  void tick(Time now);
  // There is no control plane that could start a host. If there is no host, waiting requests are refused.
  void give_up(Time now);
  Report report(Time now);
  void reported(uint64_t version);
  // Nothing has changed since the last report that was sent.
  bool is_reported();
  // True when there is nothing to report or tick until the listener's next `active`.
  bool idle();

 private:
  using Lock = std::lock_guard<std::mutex>;

  Outcomes& outcomes(const Request& request) { return request.copy_ ? counters_.mirrored : counters_; }
  bool is_unavailable() const { return !settings_.unavailable.empty() && slots_.is_empty(); }
  void take(Request& request, Hosts::iterator host);
  void release(Request& request);
  void release(Hosts::iterator host);
  void wait_in_queue(Request& request);
  void dispatch();
  void reserve(Request& request, Hosts::iterator host);
  void cancel_reserve(Request& request);
  void refuse(Request& request, Refusal why);
  void remove_from_queue(Request& request, Refusal why);
  void remove_all_from_queue(unsigned worker, Refusal why);
  void refuse_all(Refusal why);
  Time check(Request& request, Time now);
  void advance(Time now);
  void changed();
  void changed_urgently();

  const std::string name_;
  Listener& listener_;
  mutable std::mutex lock_;
  Settings settings_;

  Slots slots_;
  Queue queue_;
  Silence silence_;
  Watchlist watchlist_;            // requests that have a host
  std::list<Request*> reserving_;  // requests with a slot that is reserved for a retry, the oldest first
  std::bitset<kWorkers> workers_;  // the workers that have the cluster

  Report counters_;    // without hosts
  Time advanced_ = 0;  // the time that the integrals of `counters_` include
  uint64_t reported_ = 0;
  bool active_ = false;
};

}  // namespace gate
