// SPDX-License-Identifier: Apache-2.0
#include "upstream_socket.h"

#include <limits>

namespace gate {
namespace {

using Result = envoy_dynamic_module_type_transport_socket_io_result;

constexpr auto kKeepOpen = envoy_dynamic_module_type_transport_socket_post_io_action_KeepOpen;
constexpr auto kClose = envoy_dynamic_module_type_transport_socket_post_io_action_Close;
constexpr auto kSuccess = envoy_dynamic_module_type_transport_socket_io_status_Success;
constexpr auto kError = envoy_dynamic_module_type_transport_socket_io_status_Error;

}  // namespace

Result read_from(void* socket, Connection& connection) {
  Result result{kKeepOpen, 0, false};
  for (;;) {
    size_t bytes = 0;
    const auto status = envoy_dynamic_module_callback_transport_socket_io_read_to_read_buffer(
        socket, std::numeric_limits<size_t>::max(), &bytes);
    if (status == kError) result.action = kClose;
    if (status == kSuccess && bytes == 0) result.end_stream_read = true;
    if (status != kSuccess || bytes == 0) return result;
    connection.read();
    result.bytes_processed += bytes;
    if (!envoy_dynamic_module_callback_transport_socket_should_drain_read_buffer(socket)) continue;
    envoy_dynamic_module_callback_transport_socket_set_is_readable(socket);  // there may be more to read later
    return result;
  }
}

Result write_to(void* socket, Connection& connection, bool end) {
  Result result{kKeepOpen, 0, false};
  while (envoy_dynamic_module_callback_transport_socket_write_buffer_length(socket) > 0) {
    size_t bytes = 0;
    const auto status = envoy_dynamic_module_callback_transport_socket_io_write_from_write_buffer(socket, &bytes);
    if (status == kError) envoy_dynamic_module_callback_transport_socket_set_is_readable(socket);
    connection.wrote();
    if (status != kSuccess) return result;
    result.bytes_processed += bytes;
  }
  if (end) envoy_dynamic_module_callback_transport_socket_io_shutdown_write(socket);
  return result;
}

}  // namespace gate
