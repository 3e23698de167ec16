// SPDX-License-Identifier: Apache-2.0
// The transport socket of connections to instances: plain TCP, like Envoy's own, but for one thing.
//
// An app may answer before it has read the whole request, e.g. 413, and close the connection. What Envoy still writes
// then fails. Envoy's own socket closes at that moment, and with it goes the answer that waits to be read. Here a failed
// write changes nothing: the answer is read, and the end of the connection after it.
//
// It also tells the filter whether a connection that closes was one that the instance kept alive.
#include <cstdint>
#include <limits>
#include <string_view>

#include "abi.h"
#include "connection.h"

namespace {

using Result = envoy_dynamic_module_type_transport_socket_io_result;

constexpr auto kKeepOpen = envoy_dynamic_module_type_transport_socket_post_io_action_KeepOpen;
constexpr auto kClose = envoy_dynamic_module_type_transport_socket_post_io_action_Close;
constexpr auto kSuccess = envoy_dynamic_module_type_transport_socket_io_status_Success;
constexpr auto kError = envoy_dynamic_module_type_transport_socket_io_status_Error;

// The configurations, by name.
struct Config {
  bool multiplexed;
};
Config plain{false}, http2{true};

gate::Connection& connection_of(void* in_module) { return *static_cast<gate::Connection*>(in_module); }

}  // namespace

void* envoy_dynamic_module_on_transport_socket_factory_config_new(void*, envoy_dynamic_module_type_envoy_buffer name,
                                                                  envoy_dynamic_module_type_envoy_buffer, bool) {
  return std::string_view(name.ptr, name.length) == "http2" ? &http2 : &plain;
}

void envoy_dynamic_module_on_transport_socket_factory_config_destroy(void*) {}
void* envoy_dynamic_module_on_transport_socket_new(void* config, void*) {
  return new gate::Connection(static_cast<const Config*>(config)->multiplexed);
}
void envoy_dynamic_module_on_transport_socket_destroy(void* in_module) { delete &connection_of(in_module); }
void envoy_dynamic_module_on_transport_socket_set_callbacks(void*, void*) {}

void envoy_dynamic_module_on_transport_socket_on_connected(void* socket, void*) {
  envoy_dynamic_module_callback_transport_socket_raise_event(
      socket, envoy_dynamic_module_type_network_connection_event_Connected);
}

Result envoy_dynamic_module_on_transport_socket_do_read(void* socket, void* in_module) {
  Result result{kKeepOpen, 0, false};
  for (;;) {
    size_t bytes = 0;
    const auto status = envoy_dynamic_module_callback_transport_socket_io_read_to_read_buffer(
        socket, std::numeric_limits<size_t>::max(), &bytes);
    if (status == kError) result.action = kClose;
    if (status == kSuccess && bytes == 0) result.end_stream_read = true;
    if (status != kSuccess || bytes == 0) return result;
    connection_of(in_module).read();
    result.bytes_processed += bytes;
    if (!envoy_dynamic_module_callback_transport_socket_should_drain_read_buffer(socket)) continue;
    envoy_dynamic_module_callback_transport_socket_set_is_readable(socket);  // there may be more, later
    return result;
  }
}

Result envoy_dynamic_module_on_transport_socket_do_write(void* socket, void* in_module, bool end) {
  Result result{kKeepOpen, 0, false};
  while (envoy_dynamic_module_callback_transport_socket_write_buffer_length(socket) > 0) {
    size_t bytes = 0;
    const auto status = envoy_dynamic_module_callback_transport_socket_io_write_from_write_buffer(socket, &bytes);
    if (status == kError) envoy_dynamic_module_callback_transport_socket_set_is_readable(socket);
    connection_of(in_module).wrote();
    if (status != kSuccess) return result;
    result.bytes_processed += bytes;
  }
  if (end) envoy_dynamic_module_callback_transport_socket_io_shutdown_write(socket);
  return result;
}

void envoy_dynamic_module_on_transport_socket_close(void*, void* in_module,
                                                    envoy_dynamic_module_type_network_connection_event, bool) {
  gate::closed_stale = connection_of(in_module).is_stale();
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
