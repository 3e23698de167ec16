// SPDX-License-Identifier: Apache-2.0
// How long requests took, as a Prometheus histogram: the number of requests in each bucket, and the sum of seconds.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace gate {

class Latency {
 public:
  // Upper bounds of the buckets in seconds; the last bucket takes the rest. tidegate/model/load.py has the same bounds.
  static constexpr std::array kBounds{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                      0.5,    1.0,   2.5,    5.0,   10.0, 30.0,  60.0, 300.0,
                                      std::numeric_limits<double>::infinity()};

  void count(double seconds) {
    const auto bound = std::lower_bound(kBounds.begin(), kBounds.end() - 1, seconds);
    ++within_[static_cast<size_t>(bound - kBounds.begin())];
    seconds_ += seconds;
  }

  double seconds() const { return seconds_; }

  // The number of requests within each bound and above the bound before it.
  const std::array<uint64_t, kBounds.size()>& within() const { return within_; }

 private:
  double seconds_ = 0;
  std::array<uint64_t, kBounds.size()> within_{};
};

}  // namespace gate
