// SPDX-License-Identifier: Apache-2.0
// Requests that have a host, by when they are to be looked at next. Most end before their first look, so that one costs
// a few pointers; each further look has an entry in a map.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <utility>

namespace gate {

using Time = double;  // seconds, CLOCK_MONOTONIC

constexpr Time kNever = std::numeric_limits<Time>::infinity();

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
  // Times are never less than those of what was added before, or by so little that nobody cares.
  void add(Watched& watched, Time since) {
    watched.place_ = Watched::Place::kYoung;
    watched.since_ = since;
    watched.before_ = youngest_;
    watched.after_ = nullptr;
    (youngest_ == nullptr ? oldest_ : youngest_->after_) = &watched;
    youngest_ = &watched;
  }

  void remove(Watched& watched) {
    if (watched.place_ == Watched::Place::kOld) looks_.erase(watched.entry_);
    if (watched.place_ == Watched::Place::kYoung) unlink(watched);
    watched.place_ = Watched::Place::kNowhere;
  }

  // Looks at those that were added `first` seconds ago for the first time, and at those whose time has come again.
  // `look` answers when to look next.
  template <typename Look>
  void look(Time now, Time first, Look look) {
    while (oldest_ != nullptr && oldest_->since_ + first <= now) {
      Watched& watched = *oldest_;
      unlink(watched);
      watched.place_ = Watched::Place::kOld;
      watched.entry_ = looks_.emplace(look(watched), &watched);
    }
    while (!looks_.empty() && looks_.begin()->first <= now) {
      auto entry = looks_.extract(looks_.begin());
      Watched& watched = *entry.mapped();
      entry.key() = look(watched);
      watched.entry_ = looks_.insert(std::move(entry));
    }
  }

 private:
  void unlink(Watched& watched) {
    (watched.before_ == nullptr ? oldest_ : watched.before_->after_) = watched.after_;
    (watched.after_ == nullptr ? youngest_ : watched.after_->before_) = watched.before_;
  }

  Watched *oldest_ = nullptr, *youngest_ = nullptr;
  std::multimap<Time, Watched*> looks_;
};

}  // namespace gate
