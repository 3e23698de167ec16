// SPDX-License-Identifier: Apache-2.0
// How long requests took: how many fell within each of a row of bounds, and the sum of all, as a histogram of
// Prometheus needs it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace gate {

class Latency {
 public:
  // Seconds; the last takes what exceeds all others. tidegate/model/load.py has the same.
  static constexpr std::array kBounds{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                      0.5,    1.0,   2.5,    5.0,   10.0, 30.0,  60.0, 300.0,
                                      std::numeric_limits<double>::infinity()};

  void count(double seconds) {
    const auto bound = std::lower_bound(kBounds.begin(), kBounds.end() - 1, seconds);
    ++within_[static_cast<size_t>(bound - kBounds.begin())];
    seconds_ += seconds;
  }

  double seconds() const { return seconds_; }

  // How many were within each of the bounds, and not within the one before it.
  const std::array<uint64_t, kBounds.size()>& within() const { return within_; }

 private:
  double seconds_ = 0;
  std::array<uint64_t, kBounds.size()> within_{};
};

}  // namespace gate
