// SPDX-License-Identifier: Apache-2.0
// What the module keeps: for the process, the reporter and the table of revisions; for each thread of Envoy, a Worker.
#pragma once

#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "policy.h"
#include "reporter.h"
#include "table.h"

namespace gate {

// Both are never destroyed: the reporter's thread uses them until the process ends.
Reporter& reporter();
Table& table();

// The requests of one worker that have asked for a host, by their router. Keeps the map's nodes for the next requests.
class Routers {
 public:
  void add(const void* router, RoutedRequest* request) {
    if (spare_.empty()) {
      requests_.emplace(router, request);
      return;
    }
    Requests::node_type node = std::move(spare_.back());
    spare_.pop_back();
    node.key() = router;
    node.mapped() = request;
    requests_.insert(std::move(node));
  }

  void remove(const void* router) {
    Requests::node_type node = requests_.extract(router);
    if (!node.empty()) spare_.push_back(std::move(node));
  }

  RoutedRequest* find(const void* router) const {
    auto entry = requests_.find(router);
    return entry == requests_.end() ? nullptr : entry->second;
  }

 private:
  using Requests = std::unordered_map<const void*, RoutedRequest*>;
  Requests requests_;
  std::vector<Requests::node_type> spare_;
};

// What a stream passes on to the stream that Envoy makes in its place.
struct Restart {
  std::shared_ptr<Revision> revision;
  Turn turn;
  unsigned resets, repeats;  // see HttpStream
};

struct Worker {
  const unsigned number;
  std::unordered_map<std::string_view, Policy*> policies = {};  // by cluster; the key is the revision's name
  Routers routers = {};
  RoutedRequest* leaving = nullptr;  // it has a slot and is on its way from its filter to the router
  std::optional<Restart> restart = {};  // of a stream, while Envoy makes it again
};

// Of the calling thread. Never destroyed: Envoy outlives its threads.
Worker& worker();

}  // namespace gate
