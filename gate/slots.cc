// SPDX-License-Identifier: Apache-2.0
#include "slots.h"

#include <algorithm>
#include <limits>

namespace gate {
namespace {

// Long enough that a dead instance does not attract every request because it has the fewest, short enough to forgive a
// single failure.
constexpr Time kRest = 0.1;

}  // namespace

void Slots::configure(unsigned concurrency, bool shared, Time now) {
  concurrency_ = concurrency;
  shared_ = shared;
  for (const auto& [address, host] : hosts_) put(host, now);  // a full host may have a free slot now, or the reverse
}

Slots::Learned Slots::learn(unsigned worker, const std::vector<std::string_view>& addresses, Time now) {
  Learned learned;
  ++learned_;
  learned.hosts.reserve(addresses.size());
  for (std::string_view address : addresses) {
    auto [entry, is_new] = hosts_.try_emplace(std::string(address));
    Hosts::iterator& host = entry->second;
    learned.has_new |= is_new;
    if (is_new) {
      host = draining_.emplace(draining_.end());
      host->address = address;
      host->list = &draining_;
    }
    host->learned = learned_;
    if (!host->known[worker]) {
      host->known.set(worker);
      if (host->list == &draining_) put(host, now);
    }
    learned.hosts.push_back(&*host);
  }
  for (auto entry = hosts_.begin(); entry != hosts_.end();) {
    Hosts::iterator host = (entry++)->second;  // advance first: the entry may be erased
    if (!host->known[worker] || host->learned == learned_) continue;
    host->known.reset(worker);
    if (host->known.none()) learned.has_drained |= put_or_erase(host, now);
  }
  return learned;
}

bool Slots::share(const std::vector<Share>& shares, Time now) {
  bool has_new = false;
  for (const Share& share : shares) {
    const auto entry = hosts_.find(std::string(share.address));
    if (entry == hosts_.end() || share.version <= entry->second->share_version) continue;
    entry->second->share = share.slots;
    entry->second->share_version = share.version;
    put(entry->second, now);
    has_new = true;
  }
  return has_new;
}

// A worker learns of new hosts soon, so few hosts are unknown to it and this rarely looks at more than one.
bool Slots::find_free(unsigned worker, const Host* except, Hosts::iterator& found) {
  while (lowest_ + 1 < by_load_.size() && by_load_[lowest_].empty()) ++lowest_;
  for (size_t load = lowest_; load < by_load_.size(); ++load) {
    Hosts& hosts = by_load_[load];
    found = std::find_if(hosts.begin(), hosts.end(),
                         [&](const Host& host) { return host.known[worker] && &host != except; });
    if (found != hosts.end()) return true;
  }
  return false;
}

void Slots::take(Hosts::iterator host, Time now) {
  host->on_trial = false;
  ++host->requests;
  put(host, now);
}

bool Slots::release(Hosts::iterator host, Time now) {
  --host->requests;
  const bool belongs_to_another = shared_ && host->requests >= limit(*host);
  return put_or_erase(host, now) || belongs_to_another;
}

void Slots::rest(Hosts::iterator host, Time now) {
  host->rests_until = now + kRest;
  put(host, now);
}

void Slots::end_rests(Time now) {
  for (auto next = resting_.begin(); next != resting_.end();) {
    Hosts::iterator host = next++;
    if (host->rests_until <= now) put(host, now);
  }
}

void Slots::set_silent(Host& host, bool silent, Time now) {
  silent_ += silent;
  silent_ -= host.is_silent;
  host.is_silent = silent;
  host.on_trial = false;
  put(hosts_.find(host.address)->second, now);
}

void Slots::allow_trial(Host& host, Time now) {
  host.on_trial = true;
  put(hosts_.find(host.address)->second, now);
}

// Limit of requests at a host.
unsigned Slots::limit(const Host& host) const {
  unsigned limit = concurrency_ == 0 ? std::numeric_limits<unsigned>::max() : concurrency_;
  if (shared_ && concurrency_ > 0) limit = std::min(limit, host.share);
  if (host.is_silent) limit = std::min(limit, host.on_trial ? host.requests + 1 : 0);
  return limit;
}

// Moves a host to the end of the list that it belongs to.
void Slots::put(Hosts::iterator host, Time now) {
  Hosts* list = &draining_;
  if (host->known.any() && host->rests_until > now) {
    list = &resting_;
  } else if (host->known.any() && host->requests >= limit(*host)) {
    list = &full_;
  } else if (host->known.any()) {
    while (by_load_.size() <= host->requests) by_load_.emplace_back();
    lowest_ = std::min<size_t>(lowest_, host->requests);
    list = &by_load_[host->requests];
  }
  list->splice(list->end(), *host->list, host);
  host->list = list;
}

// True when the host has drained and is erased.
bool Slots::put_or_erase(Hosts::iterator host, Time now) {
  if (host->known.any() || host->requests > 0) {
    put(host, now);
    return false;
  }
  silent_ -= host->is_silent;
  hosts_.erase(host->address);
  host->list->erase(host);
  return true;
}

}  // namespace gate
