// SPDX-License-Identifier: Apache-2.0
// The revisions of this Envoy process by name. A revision exists while a policy, a stream or the reporter holds it. So
// it keeps its slots and counters when its cluster is replaced, and ends with its last request when its cluster is
// deleted.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "decision.h"

namespace gate {

class Table {
 public:
  explicit Table(Listener& listener) : listener_(listener) {}

  // The revision of that name. It is created if there is none.
  std::shared_ptr<Revision> at(std::string_view name);
  std::vector<std::shared_ptr<Revision>> all();
  size_t size();

 private:
  void forget(Revision* revision);

  Listener& listener_;
  std::mutex lock_;
  std::unordered_map<std::string, std::weak_ptr<Revision>> revisions_;
};

}  // namespace gate
