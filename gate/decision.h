// SPDX-License-Identifier: Apache-2.0
// Which instance a request gets, and when: the slots and the queue of one revision.
//
// In: the hosts that each of Envoy's workers knows, and requests as they arrive, fail to connect and end. Out: a host
// for each request, or the reason why it gets none; and the counters of it all. There is no Envoy in here and no clock:
// a time is an argument, in seconds. Called by filter.cc (requests, hosts), report.cc (tick, report) and the tests,
// from any thread.
#pragma once

#include <array>
#include <atomic>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "codes.h"
#include "latency.h"
#include "watch.h"

namespace gate {

constexpr unsigned kWorkers = 256;  // threads of Envoy that may hold a policy: its workers and its main thread

struct Settings {
  unsigned container_concurrency = 0;  // requests at one host at a time; 0: any number
  bool shared = false;                 // other gateways have the hosts too: only what `share` gives may be used
  size_t queue_length = 10'000;        // requests that may wait
  Time queue_deadline = 300;           // how long one may wait
  size_t held_bytes = 64 << 20;        // request bytes held for those that wait
  size_t mirror_queue_length = 100;    // the same two of mirrored copies, for which nobody waits
  size_t mirror_held_bytes = 8 << 20;
  std::string unavailable;  // not empty: why a request that finds no host at all is refused rather than queued
  // From when a request has its host; 0: without limit.
  Time response_start = 0;  // to the beginning of the answer
  Time idle = 0;            // without a byte of the answer
  Time request = 0;         // to the end of the answer

  bool is_limited() const { return response_start > 0 || idle > 0 || request > 0; }
};

enum class Refusal : uint8_t { kNone, kQueueFull, kDeadline, kHeldBytes, kUnavailable, kRemoved, kControlPlaneDown };
constexpr size_t kRefusals = 7;

// Which limit of time a request has passed at its host.
enum class Overdue : uint8_t { kNone, kResponseStart, kIdle, kRequest };

// Of the answer to a request that is refused for it.
constexpr unsigned status_of(Refusal why) { return why == Refusal::kDeadline ? 504 : 503; }

struct Host;
using Hosts = std::list<Host>;

struct Host {
  std::string address;          // "ip:port"
  unsigned requests = 0;        // in flight here
  std::bitset<kWorkers> known;  // the workers that have it from EDS; none: it drains
  Time rests_until = 0;         // a connection to it failed: nothing new before this time
  uint64_t learned = 0;         // the last `learn` that named it
  unsigned share = 0;           // requests that may be here at a time, of those that all gateways may have here
  uint64_t share_version = 0;   // of that number; 0: none was given yet
  std::atomic<Time> began = 0;  // when an answer last began here
  bool is_silent = false;       // it gets nothing new but trials, see Revision::suspect
  bool on_trial = false;        // one request
  Time silent_since = 0;        // when the request came that it does not begin to answer
  Time trial_at = 0;            // the next
  Time trial_pause = 0;         // and how long after the one before
  Hosts* list = nullptr;
};

// How many requests this gateway may have at a host. Of two for one host, the one with the higher version holds.
struct Share {
  std::string_view address;
  uint64_t version = 0;
  unsigned slots = 0;
};

class Revision;

// One request at a revision. Its owner calls the Revision with it, from one thread: the worker that serves it.
class Request : public Watched {
 public:
  // A `copy` is mirrored traffic: it waits behind all requests of clients and takes none of the room that they have in
  // the queue.
  explicit Request(unsigned worker, bool copy = false) : worker_(worker), copy_(copy) {}
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  virtual ~Request() = default;

  // It waited and now has a host, or was refused; or it has a host and is overdue there. Comes on any thread and under
  // the revision's lock: pass it on, do nothing else.
  virtual void wake() = 0;

  enum class State : uint8_t { kNew, kWaiting, kPlaced, kRefused, kEnded };

  // To be read by the owner, but not while the request waits: then it may change at any moment, and `wake` tells.
  State state() const { return state_; }
  const Host* host() const { return state_ == State::kPlaced ? &*host_ : nullptr; }
  Refusal refusal() const { return refusal_; }
  Overdue overdue() const { return overdue_.load(std::memory_order_relaxed); }
  // Whether each byte of the answer counts, or only the first.
  bool is_idle_limited() const { return idle_limited_; }

 private:
  friend class Revision;

  const unsigned worker_;
  const bool copy_;
  State state_ = State::kNew;
  Refusal refusal_ = Refusal::kNone;
  Hosts::iterator host_;
  uint64_t order_ = 0;  // of arrival, copies after all others
  Time arrived_ = 0;
  Time placed_ = 0;        // when it got its host
  bool idle_limited_ = false;
  std::atomic<Time> heard_ = 0;  // when the last byte of the answer came; 0: none yet
  std::atomic<Overdue> overdue_ = Overdue::kNone;
  size_t held_ = 0;        // bytes
  bool in_line_ = false;   // it waits, or its host failed and it is to move on
  bool moves_on_ = false;  // a slot is kept for it at `next_`, since `kept_since_`
  Hosts::iterator next_;
  Time kept_since_ = 0;
};

// What one request hands on to another that takes its place: a stream that starts again keeps its turn and its
// deadline.
struct Turn {
  uint64_t order = 0;
  Time arrived = 0;
};

// Told under the revision's lock: pass it on, do nothing else.
class Listener {
 public:
  virtual ~Listener() = default;
  // The revision has something to report after a time without. It goes on so until `Revision::idle` says that it has
  // not.
  virtual void active(Revision& revision) = 0;
  // It is to be reported at once: a first request waits, twice as many wait as when it was urgent or ticked last, a
  // host has drained and gone, or a share is another. A queue that comes and goes within a tick is so only for as long as
  // it grows.
  virtual void urgent(Revision& revision) = 0;
};

// What became of requests since the revision came to be.
struct Outcomes {
  uint64_t requests = 0;
  Codes responses;  // by status code
  std::array<uint64_t, kRefusals> refused{};
};

// The outcomes are those of clients' requests; all else is of these and of mirrored copies together.
struct Report : Outcomes {
  unsigned in_flight = 0, queued = 0;  // now
  double concurrency_seconds = 0;      // integral of in_flight + queued
  double queue_seconds = 0;            // integral of queued
  Latency request_latency;             // of clients' requests that were answered, from their arrival
  Latency app_request_latency;         // of those that had a host, from when they got it
  Outcomes mirrored;                   // of copies; the responses are those of instances alone
  std::vector<std::pair<std::string, unsigned>> hosts;  // address, requests in flight
  std::vector<std::string> silent;                      // those of the hosts that get nothing new but trials
  bool shared = false;
  std::vector<std::pair<uint64_t, unsigned>> shares;    // version and slots at each of `hosts`; none unless shared
  uint64_t version = 0;                                 // of what is told, for `reported`
};

// Invariant while unlocked: no request is in line whose worker knows a host with a free slot. So a new request may take
// a free slot without a look at the queue, and the queue only moves when a slot comes free or a worker learns of a
// host.
class Revision : public std::enable_shared_from_this<Revision> {
 public:
  Revision(std::string name, Listener& listener) : name_(std::move(name)), listener_(listener) {}
  Revision(const Revision&) = delete;
  Revision& operator=(const Revision&) = delete;

  const std::string& name() const { return name_; }
  void configure(Settings settings, Time now);
  Settings settings() const;

  // All hosts that a worker knows from now on. The answer is in the order of the addresses and lasts while the worker
  // knows them.
  std::vector<const Host*> learn(unsigned worker, const std::vector<std::string_view>& addresses, Time now);
  // The part of the hosts that is this gateway's, as far as it was not told anything newer. Hosts that nobody has learned
  // are passed over.
  void share(const std::vector<Share>& shares, Time now);
  // The worker has no such cluster any more: its waiting requests are refused.
  void leave(unsigned worker, Time now);

  // A new request: true when it got a host at once. Otherwise it is to `wait`, which may yet find one, or refuse it.
  bool arrive(Request& request, Time now, const Turn* turn = nullptr);
  Request::State wait(Request& request, Time now);
  // More of a request, head or body, is held for as long as it waits. False when that is too much: it is refused.
  bool hold(Request& request, size_t bytes, Time now);
  // To be called when a request that waited is about to leave for its host. When its worker has lost the host meanwhile
  // and no other is free, it waits again, in its old turn.
  Request::State confirm(Request& request, Time now);
  // An attempt failed: another free host, else the same again while the worker knows it, and meanwhile a place in the
  // queue for the next slot that comes free. False when there is no host.
  bool move(Request& request, Time now);
  // An attempt did not fail: a slot that is kept for the next one is free again.
  void settle(Request& request, Time now);
  // The host could not be reached; it rests, so that others are tried first.
  void unreached(Request& request, Time now);
  // A byte of the answer came, the first or another. Takes no lock.
  void heard(Request& request, Time now);
  // The end, in whatever state it is; `status` is the answer's code, 0 for none. The turn is for a request that takes
  // its place; when nothing came of that, a second `end` counts the answer.
  Turn end(Request& request, Time now, unsigned status = 0);

  // Refuses those whose deadline has passed, wakes those that are overdue, and ends the rest of hosts. To be called now
  // and then while the revision is active.
  void tick(Time now);
  // There is no control plane, and so no host to come: without any host, those that wait are refused.
  void give_up(Time now);
  Report report(Time now);
  void reported(uint64_t version);
  // Nothing has changed since the last report that was sent.
  bool is_reported();
  // True when nothing is to be reported or ticked until the listener hears of the revision again.
  bool idle();

 private:
  using Lock = std::lock_guard<std::mutex>;

  struct Queue {
    size_t length = 0, held = 0;  // requests, bytes
  };

  Outcomes& outcomes(const Request& request) { return request.copy_ ? counters_.mirrored : counters_; }
  Queue& queue(const Request& request) { return queues_[request.copy_]; }
  bool find_free(unsigned worker, const Host* except, Hosts::iterator& found);
  void take(Request& request, Hosts::iterator host);
  void drop(Request& request);
  void rest(Hosts::iterator host);
  unsigned slots(const Host& host) const;
  void release(Hosts::iterator host);
  void put(Hosts::iterator host);
  void put_or_erase(Hosts::iterator host);
  void enqueue(Request& request);
  void line_up(Request& request);
  void step_out(Request& request);
  void give_back(Request& request);
  void refuse(Request& request, Refusal why);
  void send_away(Request& request, Refusal why);
  void send_all_away(unsigned worker, Refusal why);
  void refuse_unavailable();
  void refuse_all(Refusal why);
  Time look_at(Request& request, Time now);
  std::pair<Time, Overdue> due(Time placed, Time heard) const;
  void suspect(Hosts::iterator host, Time since, Time now);
  void try_silent(Time now);
  bool is_another_lively(const Host& host, Time since) const;
  Time patience() const;
  void dispatch();
  void keep(Request& request, Hosts::iterator host);
  bool is_empty() const { return hosts_.size() == draining_.size(); }
  bool unavailable() const { return !settings_.unavailable.empty() && is_empty(); }
  void advance(Time now);
  void changed();

  const std::string name_;
  Listener& listener_;
  mutable std::mutex lock_;
  Settings settings_;

  // A host is in one of these lists. Moving it is a splice: no memory, and pointers to it stay.
  std::deque<Hosts> by_load_{1};  // [n]: n requests each and room for more, the longest unused first
  Hosts full_, resting_, draining_;
  size_t lowest_ = 0;  // no list of by_load_ below this has a host
  std::unordered_map<std::string, Hosts::iterator> hosts_;
  uint64_t learned_ = 0;

  std::bitset<kWorkers> workers_;                    // those that have the cluster
  std::vector<std::map<uint64_t, Request*>> lines_;  // by worker, in order of arrival
  size_t in_line_ = 0;
  std::list<Request*> keeping_;  // those for which a slot is kept
  Watchlist watchlist_;          // those that have a host
  unsigned silent_ = 0;          // hosts
  std::atomic<Time> slowest_ = 0;  // how long an answer took to begin, of late
  Time slowest_before_ = 0;        // and in the time before that
  Time slowest_from_ = 0;          // when that ended
  uint64_t arrivals_ = 0;
  std::array<Queue, 2> queues_;  // of clients' requests, and of copies
  unsigned urgent_at_ = 1;  // so many in the queue are to be told of at once

  Report counters_;    // without hosts
  Time advanced_ = 0;  // the time up to which they are
  uint64_t reported_ = 0;
  bool active_ = false;
};

}  // namespace gate
