// SPDX-License-Identifier: Apache-2.0
// The transport socket of connections to instances: plain TCP like Envoy's own socket, with one difference.
//
// An app may answer before it has read the whole request, e.g. with 413, and close the connection. Then Envoy's next
// write fails. Envoy's own socket closes at that moment and loses the answer, which is not read yet. This socket
// ignores a failed write: it reads the answer, and the end of the connection after it.
//
// It also notes for the HTTP filter whether a connection that closes was one that the instance kept alive.
#pragma once

#include "abi.h"
#include "connection.h"

namespace gate {

struct UpstreamSocketConfig {
  bool is_multiplexed;  // its connections speak HTTP/2
};

// `socket` is Envoy's handle of one connection.
envoy_dynamic_module_type_transport_socket_io_result read_from(void* socket, Connection& connection);
envoy_dynamic_module_type_transport_socket_io_result write_to(void* socket, Connection& connection, bool end);

}  // namespace gate
