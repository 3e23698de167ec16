// SPDX-License-Identifier: Apache-2.0
// The hosts of one revision and their free slots. The lock is the Revision's.
//
// A host is in one of several lists: by the number of its requests, full, resting or draining. Moving it between lists
// takes no memory, and pointers to it stay valid. So finding a slot costs the same with one host and with 500.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "host.h"

namespace gate {

class Slots {
 public:
  struct Learned {
    std::vector<const Host*> hosts;  // in the order of the addresses; valid as long as the worker knows them
    bool has_new = false;            // a host that no worker knew
    bool has_drained = false;        // a host without requests was removed
  };

  // `concurrency`: limit of requests at a host, 0 for no limit. `shared`: also limited by the host's share.
  void configure(unsigned concurrency, bool shared, Time now);
  // From now on the worker knows these hosts and no others.
  Learned learn(unsigned worker, const std::vector<std::string_view>& addresses, Time now);
  // False when no share was newer than the known one. Unknown hosts are ignored.
  bool share(const std::vector<Share>& shares, Time now);

  // The host with the fewest requests that has a free slot and that the worker knows; `except` is skipped.
  bool find_free(unsigned worker, const Host* except, Hosts::iterator& found);
  void take(Hosts::iterator host, Time now);
  // True when this must be reported at once: the host has drained, or the slot belongs to another gateway now.
  bool release(Hosts::iterator host, Time now);

  // A connection to the host failed: it gets no new requests for a while, so that others are tried first.
  void rest(Hosts::iterator host, Time now);
  void end_rests(Time now);
  bool has_resting() const { return !resting_.empty(); }

  // A silent host gets no new requests except trials.
  void set_silent(Host& host, bool silent, Time now);
  void allow_trial(Host& host, Time now);
  unsigned silent() const { return silent_; }

  // No worker knows a host.
  bool is_empty() const { return hosts_.size() == draining_.size(); }
  bool is_shared() const { return shared_; }
  const std::unordered_map<std::string, Hosts::iterator>& hosts() const { return hosts_; }

 private:
  unsigned limit(const Host& host) const;
  void put(Hosts::iterator host, Time now);
  bool put_or_erase(Hosts::iterator host, Time now);

  unsigned concurrency_ = 0;
  bool shared_ = false;
  std::deque<Hosts> by_load_{1};  // [n]: hosts with n requests and a free slot, the longest unused first
  Hosts full_, resting_, draining_;
  size_t lowest_ = 0;  // every list of by_load_ below this is empty
  std::unordered_map<std::string, Hosts::iterator> hosts_;
  uint64_t learned_ = 0;
  unsigned silent_ = 0;
};

}  // namespace gate
