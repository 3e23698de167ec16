// SPDX-License-Identifier: Apache-2.0
#include "policy.h"

#include "envoy.h"
#include "worker.h"

namespace gate {
namespace {

// The shares in the metadata of all hosts. Envoy changes the metadata of a host in place, so the slots can be newer
// than the version that was read before them, but never older.
std::vector<Share> read_shares(void* lb) {
  static constexpr std::string_view kNamespace = "tidegate.gate", kVersion = "version", kSlots = "slots";
  std::vector<Share> shares;
  const size_t count = envoy_dynamic_module_callback_lb_get_hosts_count(lb, 0);
  for (size_t index = 0; index < count; ++index) {
    const auto read = [&](std::string_view key, double& number) {
      return envoy_dynamic_module_callback_lb_get_host_metadata_number(lb, 0, index, buffer(kNamespace), buffer(key),
                                                                       &number);
    };
    envoy_dynamic_module_type_envoy_buffer address{};
    double version = 0, slots = 0;
    if (read(kVersion, version) && read(kSlots, slots) && version >= 0 && slots >= 0 &&
        envoy_dynamic_module_callback_lb_get_host_address(lb, 0, index, &address))
      shares.push_back({view(address), static_cast<uint64_t>(version), static_cast<unsigned>(slots)});
  }
  return shares;
}

// The request that a router sends; nullptr if it did not pass the gate's filter.
RoutedRequest* request_of(const void* router, const std::shared_ptr<Revision>& revision) {
  RoutedRequest* const leaving = worker().leaving;
  if (leaving == nullptr || leaving->revision != revision) return worker().routers.find(router);
  worker().leaving = nullptr;
  leaving->router = router;
  worker().routers.add(router, leaving);
  return leaving;
}

}  // namespace

void Policy::learn(void* lb) {
  const size_t count = envoy_dynamic_module_callback_lb_get_healthy_hosts_count(lb, 0);
  std::vector<std::string_view> addresses(count);
  for (size_t index = 0; index < count; ++index) {
    envoy_dynamic_module_type_envoy_buffer address{};
    envoy_dynamic_module_callback_lb_get_healthy_host_address(lb, 0, index, &address);
    addresses[index] = view(address);
  }
  const std::vector<const Host*> hosts = revision->learn(worker().number, addresses, now());
  indexes_.clear();
  for (uint32_t index = 0; index < hosts.size(); ++index) indexes_[hosts[index]] = index;
  if (revision->settings().shared) revision->share(read_shares(lb), now());
}

bool Policy::choose_host(void* lb, const void* router, uint32_t& priority, uint32_t& index) {
  RoutedRequest* const request = router == nullptr ? nullptr : request_of(router, revision);
  if (request == nullptr || request->revision != revision) return false;
  const bool first = request->attempts++ == 0;
  if (first || revision->retry(*request, now())) {
    const auto entry = indexes_.find(request->host());
    if (entry != indexes_.end()) {
      priority = 0;
      index = entry->second;
      return true;
    }
  }
  // There is no host. A repeatable request starts again. For others there may be a host of priority 1 where nothing
  // listens: the attempt fails, and the router asks again after its pause before a retry.
  priority = 1;
  index = 0;
  return !request->is_repeatable() && envoy_dynamic_module_callback_lb_get_healthy_hosts_count(lb, 1) > 0;
}

}  // namespace gate
