// SPDX-License-Identifier: Apache-2.0
// Requests that have a host, by the time of their next check. Most of them end before their first check, so adding and
// removing such a request only sets a few pointers; a request that has been checked has an entry in a map.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "clock.h"

namespace gate {

class Watched {
 private:
  friend class Watchlist;
  enum class Place : uint8_t { kNowhere, kYoung, kOld };

  Place place_ = Place::kNowhere;
  Watched *before_ = nullptr, *after_ = nullptr;
  Time since_ = 0;
  std::multimap<Time, Watched*>::iterator entry_;
};

class Watchlist {
 public:
  // `since` is never less than for the requests added before, except by an insignificant amount.
  void add(Watched& watched, Time since) {
    watched.place_ = Watched::Place::kYoung;
    watched.since_ = since;
    watched.before_ = youngest_;
    watched.after_ = nullptr;
    (youngest_ == nullptr ? oldest_ : youngest_->after_) = &watched;
    youngest_ = &watched;
  }

  void remove(Watched& watched) {
    if (watched.place_ == Watched::Place::kOld) checks_.erase(watched.entry_);
    if (watched.place_ == Watched::Place::kYoung) unlink(watched);
    watched.place_ = Watched::Place::kNowhere;
  }

  // Checks requests that were added `first` seconds ago for the first time, and requests whose next check is due.
  // `check` returns the time of the next one.
  template <typename Check>
  void check(Time now, Time first, Check check) {
    while (oldest_ != nullptr && oldest_->since_ + first <= now) {
      Watched& watched = *oldest_;
      unlink(watched);
      watched.place_ = Watched::Place::kOld;
      watched.entry_ = checks_.emplace(check(watched), &watched);
    }
    while (!checks_.empty() && checks_.begin()->first <= now) {
      auto entry = checks_.extract(checks_.begin());
      Watched& watched = *entry.mapped();
      entry.key() = check(watched);
      watched.entry_ = checks_.insert(std::move(entry));
    }
  }

 private:
  void unlink(Watched& watched) {
    (watched.before_ == nullptr ? oldest_ : watched.before_->after_) = watched.after_;
    (watched.after_ == nullptr ? youngest_ : watched.after_->before_) = watched.before_;
  }

  Watched *oldest_ = nullptr, *youngest_ = nullptr;
  std::multimap<Time, Watched*> checks_;
};

}  // namespace gate
