// SPDX-License-Identifier: Apache-2.0
// The transport socket of connections to instances: plain TCP, like Envoy's own, but for one thing.
//
// An app may answer before it has read the whole request, e.g. 413, and close the connection. What Envoy still writes
// then fails. Envoy's own socket closes at that moment, and with it goes the answer that waits to be read. Here a failed
// write changes nothing: the answer is read, and the end of the connection after it.
//
// There is no state: one object stands for all sockets.
#include <cstdint>
#include <limits>

#include "abi.h"

namespace {

using Result = envoy_dynamic_module_type_transport_socket_io_result;

constexpr auto kKeepOpen = envoy_dynamic_module_type_transport_socket_post_io_action_KeepOpen;
constexpr auto kClose = envoy_dynamic_module_type_transport_socket_post_io_action_Close;
constexpr auto kSuccess = envoy_dynamic_module_type_transport_socket_io_status_Success;
constexpr auto kError = envoy_dynamic_module_type_transport_socket_io_status_Error;

char every_socket;

}  // namespace

void* envoy_dynamic_module_on_transport_socket_factory_config_new(void*, envoy_dynamic_module_type_envoy_buffer,
                                                                  envoy_dynamic_module_type_envoy_buffer, bool) {
  return &every_socket;
}

void envoy_dynamic_module_on_transport_socket_factory_config_destroy(void*) {}
void* envoy_dynamic_module_on_transport_socket_new(void*, void*) { return &every_socket; }
void envoy_dynamic_module_on_transport_socket_destroy(void*) {}
void envoy_dynamic_module_on_transport_socket_set_callbacks(void*, void*) {}

void envoy_dynamic_module_on_transport_socket_on_connected(void* socket, void*) {
  envoy_dynamic_module_callback_transport_socket_raise_event(
      socket, envoy_dynamic_module_type_network_connection_event_Connected);
}

Result envoy_dynamic_module_on_transport_socket_do_read(void* socket, void*) {
  Result result{kKeepOpen, 0, false};
  for (;;) {
    size_t bytes = 0;
    const auto status = envoy_dynamic_module_callback_transport_socket_io_read_to_read_buffer(
        socket, std::numeric_limits<size_t>::max(), &bytes);
    if (status == kError) result.action = kClose;
    if (status == kSuccess && bytes == 0) result.end_stream_read = true;
    if (status != kSuccess || bytes == 0) return result;
    result.bytes_processed += bytes;
    if (!envoy_dynamic_module_callback_transport_socket_should_drain_read_buffer(socket)) continue;
    envoy_dynamic_module_callback_transport_socket_set_is_readable(socket);  // there may be more, later
    return result;
  }
}

Result envoy_dynamic_module_on_transport_socket_do_write(void* socket, void*, bool end) {
  Result result{kKeepOpen, 0, false};
  while (envoy_dynamic_module_callback_transport_socket_write_buffer_length(socket) > 0) {
    size_t bytes = 0;
    const auto status = envoy_dynamic_module_callback_transport_socket_io_write_from_write_buffer(socket, &bytes);
    if (status == kError) envoy_dynamic_module_callback_transport_socket_set_is_readable(socket);
    if (status != kSuccess) return result;
    result.bytes_processed += bytes;
  }
  if (end) envoy_dynamic_module_callback_transport_socket_io_shutdown_write(socket);
  return result;
}

void envoy_dynamic_module_on_transport_socket_close(void*, void*, envoy_dynamic_module_type_network_connection_event,
                                                    bool) {}

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
