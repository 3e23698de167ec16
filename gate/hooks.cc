// SPDX-License-Identifier: Apache-2.0
// The module's hooks: Envoy calls them. They translate and do nothing else.
//
// One module, three extension points: the load-balancing policy (policy.h), the HTTP filter (http_stream.h) and the
// transport socket of connections to instances (upstream_socket.h).
#include <memory>
#include <stdexcept>
#include <string>

#include "envoy.h"
#include "http_stream.h"
#include "policy.h"
#include "settings.h"
#include "upstream_socket.h"
#include "worker.h"

using namespace gate;  // NOLINT: this file is the module

namespace {

HttpStream& stream_of(void* stream) { return *static_cast<HttpStream*>(stream); }

}  // namespace

const char* envoy_dynamic_module_on_program_init(void) { return "v0.2.0"; }

// ---- Load-balancing policy.

void* envoy_dynamic_module_on_lb_config_new(void*, envoy_dynamic_module_type_envoy_buffer,
                                            envoy_dynamic_module_type_envoy_buffer config) {
  try {
    return new Settings(parse_settings(view(config)));
  } catch (const std::invalid_argument& error) {
    log_error("the load-balancing policy's configuration is invalid: " + std::string(error.what()));
    return nullptr;
  }
}

void envoy_dynamic_module_on_lb_config_destroy(void* config) { delete static_cast<Settings*>(config); }

void* envoy_dynamic_module_on_lb_new(void* config, void* lb) {
  if (worker().number >= kWorkers) {
    log_error("Envoy has more than " + std::to_string(kWorkers) + " threads");
    return nullptr;
  }
  envoy_dynamic_module_type_envoy_buffer cluster;
  envoy_dynamic_module_callback_lb_get_cluster_name(lb, &cluster);
  const Settings& settings = *static_cast<Settings*>(config);
  auto* policy = new Policy(table().at(view(cluster)), settings.is_limited());
  policy->revision->configure(settings, now());
  policy->learn(lb);
  worker().policies.erase(policy->revision->name());  // while a cluster is replaced, it has two policies
  worker().policies.emplace(policy->revision->name(), policy);
  return policy;
}

void envoy_dynamic_module_on_lb_on_host_membership_update(void* lb, void* policy, size_t, size_t) {
  static_cast<Policy*>(policy)->learn(lb);
}

bool envoy_dynamic_module_on_lb_choose_host(void* lb, void* policy, void* context, uint32_t* priority,
                                            uint32_t* index) {
  return static_cast<Policy*>(policy)->choose_host(lb, context, *priority, *index);
}

void envoy_dynamic_module_on_lb_destroy(void* pointer) {
  std::unique_ptr<Policy> policy(static_cast<Policy*>(pointer));
  auto entry = worker().policies.find(policy->revision->name());
  if (entry == worker().policies.end() || entry->second != policy.get()) return;  // it was replaced
  worker().policies.erase(entry);
  policy->revision->leave(worker().number, now());
}

// ---- HTTP filter.

void* envoy_dynamic_module_on_http_filter_config_new(void*, envoy_dynamic_module_type_envoy_buffer name,
                                                     envoy_dynamic_module_type_envoy_buffer config) {
  try {
    reporter().report_to(table(), parse_socket(view(config)));
    return new HttpFilterConfig{.copies = view(name) == "mirror"};
  } catch (const std::invalid_argument& error) {
    log_error("the HTTP filter's configuration is invalid: " + std::string(error.what()));
    return nullptr;
  }
}

void envoy_dynamic_module_on_http_filter_config_destroy(void* config) {
  delete static_cast<HttpFilterConfig*>(config);
}

void* envoy_dynamic_module_on_http_filter_new(void* config, void* filter) {
  return new HttpStream(filter, static_cast<const HttpFilterConfig*>(config)->copies);
}

int envoy_dynamic_module_on_http_filter_request_headers(void*, void* stream, bool end) {
  return stream_of(stream).on_request_headers(end);
}

int envoy_dynamic_module_on_http_filter_request_body(void*, void* stream, bool end) {
  return stream_of(stream).on_request_body(end);
}

int envoy_dynamic_module_on_http_filter_request_trailers(void*, void* stream) {
  return stream_of(stream).on_request_trailers();
}

void envoy_dynamic_module_on_http_filter_scheduled(void*, void* stream, uint64_t) { stream_of(stream).on_woken(); }

int envoy_dynamic_module_on_http_filter_local_reply(void*, void* stream, uint32_t,
                                                    envoy_dynamic_module_type_envoy_buffer details, bool) {
  stream_of(stream).on_local_reply(view(details));
  return envoy_dynamic_module_type_on_http_filter_local_reply_status_Continue;
}

int envoy_dynamic_module_on_http_filter_response_headers(void*, void* stream, bool end) {
  return stream_of(stream).on_response_headers(end);
}

int envoy_dynamic_module_on_http_filter_response_body(void*, void* stream, bool end) {
  return stream_of(stream).on_response_body(end);
}

int envoy_dynamic_module_on_http_filter_response_trailers(void*, void* stream) {
  return stream_of(stream).on_response_trailers();
}

void envoy_dynamic_module_on_http_filter_stream_complete(void*, void* stream) { stream_of(stream).on_complete(); }

void envoy_dynamic_module_on_http_filter_destroy(void* stream) { stream_of(stream).on_destroy(); }

// ---- Transport socket.

void* envoy_dynamic_module_on_transport_socket_factory_config_new(void*, envoy_dynamic_module_type_envoy_buffer name,
                                                                  envoy_dynamic_module_type_envoy_buffer, bool) {
  return new UpstreamSocketConfig{.is_multiplexed = view(name) == "http2"};
}

void envoy_dynamic_module_on_transport_socket_factory_config_destroy(void* config) {
  delete static_cast<UpstreamSocketConfig*>(config);
}

void* envoy_dynamic_module_on_transport_socket_new(void* config, void*) {
  return new Connection(static_cast<const UpstreamSocketConfig*>(config)->is_multiplexed);
}

void envoy_dynamic_module_on_transport_socket_destroy(void* connection) {
  delete static_cast<Connection*>(connection);
}

void envoy_dynamic_module_on_transport_socket_on_connected(void* socket, void*) {
  envoy_dynamic_module_callback_transport_socket_raise_event(
      socket, envoy_dynamic_module_type_network_connection_event_Connected);
}

envoy_dynamic_module_type_transport_socket_io_result envoy_dynamic_module_on_transport_socket_do_read(
    void* socket, void* connection) {
  return read_from(socket, *static_cast<Connection*>(connection));
}

envoy_dynamic_module_type_transport_socket_io_result envoy_dynamic_module_on_transport_socket_do_write(
    void* socket, void* connection, bool end) {
  return write_to(socket, *static_cast<Connection*>(connection), end);
}

void envoy_dynamic_module_on_transport_socket_close(void*, void* connection,
                                                    envoy_dynamic_module_type_network_connection_event, bool) {
  closed_stale = static_cast<Connection*>(connection)->is_stale();
}

void envoy_dynamic_module_on_transport_socket_get_protocol(void*, void*,
                                                           envoy_dynamic_module_type_module_buffer* text) {
  *text = {nullptr, 0};
}

void envoy_dynamic_module_on_transport_socket_get_failure_reason(void*, void*,
                                                                 envoy_dynamic_module_type_module_buffer* text) {
  *text = {nullptr, 0};
}

bool envoy_dynamic_module_on_transport_socket_can_flush_close(void*, void*) { return true; }
bool envoy_dynamic_module_on_transport_socket_start_secure_transport(void*, void*) { return false; }

// ---- Envoy requires these hooks, and the gate does not use them.

void envoy_dynamic_module_on_transport_socket_set_callbacks(void*, void*) {}
void* envoy_dynamic_module_on_http_filter_per_route_config_new(envoy_dynamic_module_type_envoy_buffer,
                                                               envoy_dynamic_module_type_envoy_buffer) {
  return nullptr;
}
void envoy_dynamic_module_on_http_filter_per_route_config_destroy(void*) {}
void envoy_dynamic_module_on_http_filter_config_scheduled(void*, void*, uint64_t) {}
void envoy_dynamic_module_on_http_filter_http_callout_done(void*, void*, uint64_t, int, void*, size_t, void*, size_t) {}
void envoy_dynamic_module_on_http_filter_http_stream_headers(void*, void*, uint64_t, void*, size_t, bool) {}
void envoy_dynamic_module_on_http_filter_http_stream_data(void*, void*, uint64_t, const void*, size_t, bool) {}
void envoy_dynamic_module_on_http_filter_http_stream_trailers(void*, void*, uint64_t, void*, size_t) {}
void envoy_dynamic_module_on_http_filter_http_stream_complete(void*, void*, uint64_t) {}
void envoy_dynamic_module_on_http_filter_http_stream_reset(void*, void*, uint64_t, int) {}
void envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(void*, void*) {}
void envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(void*, void*) {}
