// SPDX-License-Identifier: Apache-2.0
// The number of answers by status code. A revision's answers have few codes, so this is a short sorted list.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace gate {

class Codes {
 public:
  // False, and not counted, for 0: there was no answer.
  bool count(unsigned code) {
    if (code == 0) return false;
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

  // Pairs of code and count, by code.
  auto begin() const { return counts_.begin(); }
  auto end() const { return counts_.end(); }

 private:
  std::vector<std::pair<unsigned, uint64_t>> counts_;
};

}  // namespace gate
