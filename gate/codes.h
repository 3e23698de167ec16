// SPDX-License-Identifier: Apache-2.0
// How many answers had which status code: a few words for the few codes that a revision gives, none for one that gave
// none.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace gate {

class Codes {
 public:
  // False, and not counted, for what is no status code of HTTP (0: there was no answer): an instance may make up any
  // number.
  bool count(unsigned code) {
    if (code < 100 || code > 599) return false;
    auto entry = std::lower_bound(counts_.begin(), counts_.end(), code,
                                  [](const auto& each, unsigned wanted) { return each.first < wanted; });
    if (entry == counts_.end() || entry->first != code) entry = counts_.insert(entry, {code, 0});
    ++entry->second;
    return true;
  }

  uint64_t of(unsigned code) const {
    for (const auto& [each, count] : counts_)
      if (each == code) return count;
    return 0;
  }

  // Code and count, by code.
  auto begin() const { return counts_.begin(); }
  auto end() const { return counts_.end(); }

 private:
  std::vector<std::pair<unsigned, uint64_t>> counts_;
};

}  // namespace gate
