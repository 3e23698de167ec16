// SPDX-License-Identifier: Apache-2.0
// The load-balancing policy: one a cluster and worker. It reports the hosts that its worker knows to the revision, and
// names the host of a request when Envoy's router asks for it.
//
// The filter of a request is the last before the router, and the router asks the policy for a host while the request
// leaves the filter. So the policy knows which request the first question is for. It notes the router, and recognizes
// the request by it when the router retries. All of this happens on one worker.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "decision.h"

namespace gate {

// A request of any protocol that Envoy's router sends.
class RoutedRequest : public Request {
 public:
  using Request::Request;

  std::shared_ptr<Revision> revision;  // none: the request's cluster has another policy, and the gate ignores it
  const void* router = nullptr;        // once it has asked for a host
  unsigned attempts = 0;               // how often it has asked for a host

  // Whether the request starts again when its router finds no host.
  virtual bool is_repeatable() const = 0;
};

class Policy {
 public:
  Policy(std::shared_ptr<Revision> revision, bool is_limited)
      : revision(std::move(revision)), is_limited(is_limited) {}

  const std::shared_ptr<Revision> revision;
  const bool is_limited;  // its requests have time limits at their hosts

  // Reads the hosts from Envoy. `lb` is Envoy's handle of this policy.
  void learn(void* lb);
  // Sets the priority and the index of the host for the request that this router sends. False: there is no host.
  bool choose_host(void* lb, const void* router, uint32_t& priority, uint32_t& index);

 private:
  std::unordered_map<const Host*, uint32_t> indexes_;  // in Envoy's list of healthy hosts
};

}  // namespace gate
