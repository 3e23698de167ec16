// SPDX-License-Identifier: Apache-2.0
// One instance of a revision. Envoy's word for it is host.
#pragma once

#include <atomic>
#include <bitset>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>

#include "clock.h"

namespace gate {

constexpr unsigned kWorkers = 256;  // limit of Envoy's threads that can have a policy: its workers and its main thread

struct Host;
using Hosts = std::list<Host>;

struct Host {
  std::string address;          // "ip:port"
  unsigned requests = 0;        // in flight here, and slots reserved for retries
  std::bitset<kWorkers> known;  // the workers that have it from EDS; none: it drains
  Time rests_until = 0;         // after a failed connection: it gets no new request before this time
  uint64_t learned = 0;         // the last `learn` that named it
  unsigned share = 0;           // limit of requests of this gateway here, where several gateways share the hosts
  uint64_t share_version = 0;   // version of that limit; 0: no share was received yet
  std::atomic<Time> began = 0;  // when an answer last began here
  bool is_silent = false;       // it gets no new requests except trials, see silence.h
  bool on_trial = false;        // it may get one request
  Time silent_since = 0;        // when the request arrived that it does not begin to answer
  Time trial_at = 0;            // when the next trial is due
  Time trial_pause = 0;         // time between that trial and the one before
  Hosts* list = nullptr;        // the list of `Slots` that it is in
};

// How many requests this gateway may have at a host. If there are two for one host, the higher version is valid.
struct Share {
  std::string_view address;
  uint64_t version = 0;
  unsigned slots = 0;
};

}  // namespace gate
