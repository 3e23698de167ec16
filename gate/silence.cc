// SPDX-License-Identifier: Apache-2.0
#include "silence.h"

#include <algorithm>

namespace gate {
namespace {

// Patience is at least kSuspicion, and kTimes the slowest beginning of an answer in this and the previous period.
constexpr Time kTimes = 4;
constexpr Time kPeriod = 300;
constexpr Time kFirstTrial = 1, kLastTrial = 60;  // the pause before a trial doubles each time

void raise(std::atomic<Time>& slowest, Time took) {
  if (took > slowest.load(std::memory_order_relaxed)) slowest.store(took, std::memory_order_relaxed);
}

// Whether another host, which takes requests and is not silent, has begun an answer since then.
bool has_another_lively(const Slots& slots, const Host& host, Time since) {
  return std::any_of(slots.hosts().begin(), slots.hosts().end(), [&](const auto& entry) {
    const Host& other = *entry.second;
    return &other != &host && other.known.any() && !other.is_silent &&
           other.began.load(std::memory_order_relaxed) >= since;
  });
}

}  // namespace

void Silence::began(Host& host, Time took, Time now) {
  host.began.store(now, std::memory_order_relaxed);
  raise(slowest_, took);
}

bool Silence::suspect(Slots& slots, Host& host, Time since, Time now) const {
  const bool answers = host.began.load(std::memory_order_relaxed) >= since;
  if (host.is_silent || answers || now - since < patience() || !has_another_lively(slots, host, since)) return false;
  host.silent_since = since;
  host.trial_pause = kFirstTrial;
  host.trial_at = now + kFirstTrial;
  slots.set_silent(host, true, now);
  return true;
}

bool Silence::tick(Slots& slots, Time now) {
  bool has_ended = false;
  if (slots.silent() > 0) {
    for (const auto& [address, host] : slots.hosts()) {
      if (!host->is_silent) continue;
      const bool answers = host->began.load(std::memory_order_relaxed) >= host->silent_since;
      if (answers || !has_another_lively(slots, *host, 0)) {
        slots.set_silent(*host, false, now);
        has_ended = true;
        // The suspicion was wrong: the request that raised it takes its time here.
        if (answers) raise(slowest_, now - host->silent_since);
      } else if (now >= host->trial_at) {
        host->trial_pause = std::min(2 * host->trial_pause, kLastTrial);
        host->trial_at = now + host->trial_pause;
        slots.allow_trial(*host, now);
      }
    }
  }
  if (now - period_began_ >= kPeriod) {
    slowest_before_ = slowest_.exchange(0, std::memory_order_relaxed);
    period_began_ = now;
  }
  return has_ended;
}

Time Silence::patience() const {
  return std::max(kSuspicion, kTimes * std::max(slowest_before_, slowest_.load(std::memory_order_relaxed)));
}

}  // namespace gate
