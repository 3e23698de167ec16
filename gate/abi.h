// SPDX-License-Identifier: Apache-2.0
// The part of Envoy 1.40's dynamic-module C ABI ("v0.2.0") that the gate uses. Names, types and meaning are Envoy's.
//
// The module calls the `callback` functions of Envoy; Envoy calls the `on` functions (hooks) of the module. A worker
// calls only the hooks of its own streams and policies. Memory behind an envoy_buffer belongs to Envoy and is valid
// until the hook returns.
#pragma once

#include <cstddef>
#include <cstdint>

#define GATE_HOOK __attribute__((visibility("default")))

extern "C" {

struct envoy_dynamic_module_type_envoy_buffer {
  const char* ptr;
  size_t length;
};

struct envoy_dynamic_module_type_module_buffer {
  const char* ptr;
  size_t length;
};

struct envoy_dynamic_module_type_module_http_header {
  const char* key_ptr;
  size_t key_length;
  const char* value_ptr;
  size_t value_length;
};

struct envoy_dynamic_module_type_envoy_http_header {
  const char* key_ptr;
  size_t key_length;
  const char* value_ptr;
  size_t value_length;
};

enum envoy_dynamic_module_type_log_level {
  envoy_dynamic_module_type_log_level_Warn = 3,
  envoy_dynamic_module_type_log_level_Error = 4,
};

enum envoy_dynamic_module_type_http_header_type {
  envoy_dynamic_module_type_http_header_type_RequestHeader = 0,
  envoy_dynamic_module_type_http_header_type_ResponseHeader = 2,
};

enum envoy_dynamic_module_type_http_body_type {
  envoy_dynamic_module_type_http_body_type_ReceivedRequestBody = 0,
  envoy_dynamic_module_type_http_body_type_BufferedRequestBody = 1,
};

enum envoy_dynamic_module_type_attribute_id {
  envoy_dynamic_module_type_attribute_id_ResponseCode = 15,
};

enum envoy_dynamic_module_type_filter_state_life_span {
  envoy_dynamic_module_type_filter_state_life_span_FilterChain = 0,
};

// The result of a hook for headers or trailers.
enum envoy_dynamic_module_type_headers_status {
  envoy_dynamic_module_type_headers_status_Continue = 0,
  envoy_dynamic_module_type_headers_status_StopIteration = 1,
};

enum envoy_dynamic_module_type_body_status {
  envoy_dynamic_module_type_body_status_Continue = 0,
  envoy_dynamic_module_type_body_status_StopIterationAndWatermark = 2,
  envoy_dynamic_module_type_body_status_StopIterationNoBuffer = 3,
};

enum envoy_dynamic_module_type_http_filter_stream_reset_reason {
  envoy_dynamic_module_type_http_filter_stream_reset_reason_LocalReset = 0,
};

enum envoy_dynamic_module_type_on_http_filter_local_reply_status {
  envoy_dynamic_module_type_on_http_filter_local_reply_status_Continue = 0,
};

void envoy_dynamic_module_callback_log(envoy_dynamic_module_type_log_level level,
                                       envoy_dynamic_module_type_module_buffer message);

// ---- HTTP filter. `filter` is Envoy's handle of one stream.

// The cluster of the stream's route. False when there is none.
bool envoy_dynamic_module_callback_http_get_cluster_name(void* filter, envoy_dynamic_module_type_envoy_buffer* name);
// Envoy searches the route again when it needs it next.
void envoy_dynamic_module_callback_http_clear_route_cache(void* filter);
bool envoy_dynamic_module_callback_http_get_header(void* filter, envoy_dynamic_module_type_http_header_type type,
                                                   envoy_dynamic_module_type_module_buffer key,
                                                   envoy_dynamic_module_type_envoy_buffer* value, size_t index,
                                                   size_t* count);
size_t envoy_dynamic_module_callback_http_get_headers_size(void* filter,
                                                           envoy_dynamic_module_type_http_header_type type);
// `headers` must have room for that many.
bool envoy_dynamic_module_callback_http_get_headers(void* filter, envoy_dynamic_module_type_http_header_type type,
                                                    envoy_dynamic_module_type_envoy_http_header* headers);
// An empty value removes the header.
bool envoy_dynamic_module_callback_http_set_header(void* filter, envoy_dynamic_module_type_http_header_type type,
                                                   envoy_dynamic_module_type_module_buffer key,
                                                   envoy_dynamic_module_type_module_buffer value);
// False when the attribute has no value yet.
bool envoy_dynamic_module_callback_http_filter_get_attribute_int(void* filter,
                                                                 envoy_dynamic_module_type_attribute_id attribute,
                                                                 uint64_t* value);
size_t envoy_dynamic_module_callback_http_get_body_size(void* filter, envoy_dynamic_module_type_http_body_type type);
void envoy_dynamic_module_callback_http_send_response(void* filter, uint32_t status,
                                                      envoy_dynamic_module_type_module_http_header* headers,
                                                      size_t headers_count,
                                                      envoy_dynamic_module_type_module_buffer body,
                                                      envoy_dynamic_module_type_module_buffer details);
void envoy_dynamic_module_callback_http_filter_continue_decoding(void* filter);
void envoy_dynamic_module_callback_http_filter_reset_stream(
    void* filter, envoy_dynamic_module_type_http_filter_stream_reset_reason reason,
    envoy_dynamic_module_type_module_buffer details);
// Starts the stream again, as if its request had just arrived. Envoy destroys the present filters before this returns
// true.
bool envoy_dynamic_module_callback_http_filter_recreate_stream(void* filter,
                                                               envoy_dynamic_module_type_module_http_header* headers,
                                                               size_t headers_count);
// Envoy calls `destructor(object)` on the stream's worker when it frees the stream, after it has destroyed its filters.
bool envoy_dynamic_module_callback_http_set_filter_state_object(
    void* filter, envoy_dynamic_module_type_module_buffer key, void* object, void (*destructor)(void* object),
    envoy_dynamic_module_type_filter_state_life_span life_span);
// Any thread may use a scheduler: commit makes Envoy call on_http_filter_scheduled on the stream's worker, if the
// stream still exists.
void* envoy_dynamic_module_callback_http_filter_scheduler_new(void* filter);
void envoy_dynamic_module_callback_http_filter_scheduler_commit(void* scheduler, uint64_t event);
void envoy_dynamic_module_callback_http_filter_scheduler_delete(void* scheduler);

GATE_HOOK const char* envoy_dynamic_module_on_program_init(void);
GATE_HOOK void* envoy_dynamic_module_on_http_filter_config_new(void*, envoy_dynamic_module_type_envoy_buffer name,
                                                               envoy_dynamic_module_type_envoy_buffer config);
GATE_HOOK void envoy_dynamic_module_on_http_filter_config_destroy(void* config);
GATE_HOOK void* envoy_dynamic_module_on_http_filter_new(void* config, void* filter);
GATE_HOOK int envoy_dynamic_module_on_http_filter_request_headers(void* filter, void* stream, bool end);
GATE_HOOK int envoy_dynamic_module_on_http_filter_request_body(void* filter, void* stream, bool end);
GATE_HOOK int envoy_dynamic_module_on_http_filter_request_trailers(void* filter, void* stream);
GATE_HOOK int envoy_dynamic_module_on_http_filter_response_headers(void* filter, void* stream, bool end);
GATE_HOOK int envoy_dynamic_module_on_http_filter_response_body(void* filter, void* stream, bool end);
GATE_HOOK int envoy_dynamic_module_on_http_filter_response_trailers(void* filter, void* stream);
GATE_HOOK int envoy_dynamic_module_on_http_filter_local_reply(void* filter, void* stream, uint32_t status,
                                                              envoy_dynamic_module_type_envoy_buffer details,
                                                              bool reset_imminent);
GATE_HOOK void envoy_dynamic_module_on_http_filter_scheduled(void* filter, void* stream, uint64_t event);
GATE_HOOK void envoy_dynamic_module_on_http_filter_stream_complete(void* filter, void* stream);
GATE_HOOK void envoy_dynamic_module_on_http_filter_destroy(void* stream);

// ---- Load-balancing policy. `lb` is Envoy's handle of one policy: one cluster on one worker. Host indexes count the
// healthy hosts.

void envoy_dynamic_module_callback_lb_get_cluster_name(void* lb, envoy_dynamic_module_type_envoy_buffer* name);
size_t envoy_dynamic_module_callback_lb_get_healthy_hosts_count(void* lb, uint32_t priority);
bool envoy_dynamic_module_callback_lb_get_healthy_host_address(void* lb, uint32_t priority, size_t index,
                                                               envoy_dynamic_module_type_envoy_buffer* address);
// The same for all hosts, whatever their health, with their own indexes.
size_t envoy_dynamic_module_callback_lb_get_hosts_count(void* lb, uint32_t priority);
bool envoy_dynamic_module_callback_lb_get_host_address(void* lb, uint32_t priority, size_t index,
                                                       envoy_dynamic_module_type_envoy_buffer* address);
// A number in the metadata of one of all hosts. False when there is none.
bool envoy_dynamic_module_callback_lb_get_host_metadata_number(void* lb, uint32_t priority, size_t index,
                                                               envoy_dynamic_module_type_module_buffer filter_name,
                                                               envoy_dynamic_module_type_module_buffer key,
                                                               double* number);
GATE_HOOK void* envoy_dynamic_module_on_lb_config_new(void*, envoy_dynamic_module_type_envoy_buffer name,
                                                      envoy_dynamic_module_type_envoy_buffer config);
GATE_HOOK void envoy_dynamic_module_on_lb_config_destroy(void* config);
GATE_HOOK void* envoy_dynamic_module_on_lb_new(void* config, void* lb);
GATE_HOOK void envoy_dynamic_module_on_lb_on_host_membership_update(void* lb, void* policy, size_t added,
                                                                    size_t removed);
// `context` is Envoy's router of one stream. It is the same for all attempts of the stream.
GATE_HOOK bool envoy_dynamic_module_on_lb_choose_host(void* lb, void* policy, void* context, uint32_t* priority,
                                                      uint32_t* index);
GATE_HOOK void envoy_dynamic_module_on_lb_destroy(void* policy);

// ---- Transport socket. `socket` is Envoy's handle of one connection's socket, `in_module` is the module's object.

enum envoy_dynamic_module_type_network_connection_event {
  envoy_dynamic_module_type_network_connection_event_RemoteClose = 0,
  envoy_dynamic_module_type_network_connection_event_LocalClose = 1,
  envoy_dynamic_module_type_network_connection_event_Connected = 2,
};

enum envoy_dynamic_module_type_transport_socket_io_status {
  envoy_dynamic_module_type_transport_socket_io_status_Success = 0,  // no bytes: the peer has closed its side
  envoy_dynamic_module_type_transport_socket_io_status_Again = 1,
  envoy_dynamic_module_type_transport_socket_io_status_Error = 2,
};

enum envoy_dynamic_module_type_transport_socket_post_io_action {
  envoy_dynamic_module_type_transport_socket_post_io_action_KeepOpen = 0,
  envoy_dynamic_module_type_transport_socket_post_io_action_Close = 1,
};

struct envoy_dynamic_module_type_transport_socket_io_result {
  envoy_dynamic_module_type_transport_socket_post_io_action action;
  uint64_t bytes_processed;
  bool end_stream_read;
};

// The buffer belongs to the hook that runs: do_read or do_write.
envoy_dynamic_module_type_transport_socket_io_status
envoy_dynamic_module_callback_transport_socket_io_read_to_read_buffer(void* socket, size_t most, size_t* bytes);
envoy_dynamic_module_type_transport_socket_io_status
envoy_dynamic_module_callback_transport_socket_io_write_from_write_buffer(void* socket, size_t* bytes);
size_t envoy_dynamic_module_callback_transport_socket_write_buffer_length(void* socket);
void envoy_dynamic_module_callback_transport_socket_io_shutdown_write(void* socket);
bool envoy_dynamic_module_callback_transport_socket_should_drain_read_buffer(void* socket);
// Envoy reads soon, whatever the kernel reports.
void envoy_dynamic_module_callback_transport_socket_set_is_readable(void* socket);
void envoy_dynamic_module_callback_transport_socket_raise_event(
    void* socket, envoy_dynamic_module_type_network_connection_event event);

GATE_HOOK void* envoy_dynamic_module_on_transport_socket_factory_config_new(
    void*, envoy_dynamic_module_type_envoy_buffer name, envoy_dynamic_module_type_envoy_buffer config,
    bool is_upstream);
GATE_HOOK void envoy_dynamic_module_on_transport_socket_factory_config_destroy(void* config);
GATE_HOOK void* envoy_dynamic_module_on_transport_socket_new(void* config, void* socket);
GATE_HOOK void envoy_dynamic_module_on_transport_socket_destroy(void* in_module);
GATE_HOOK void envoy_dynamic_module_on_transport_socket_set_callbacks(void* socket, void* in_module);
GATE_HOOK void envoy_dynamic_module_on_transport_socket_on_connected(void* socket, void* in_module);
GATE_HOOK envoy_dynamic_module_type_transport_socket_io_result
envoy_dynamic_module_on_transport_socket_do_read(void* socket, void* in_module);
GATE_HOOK envoy_dynamic_module_type_transport_socket_io_result
envoy_dynamic_module_on_transport_socket_do_write(void* socket, void* in_module, bool end);
GATE_HOOK void envoy_dynamic_module_on_transport_socket_close(
    void* socket, void* in_module, envoy_dynamic_module_type_network_connection_event event, bool abort_reset);
GATE_HOOK void envoy_dynamic_module_on_transport_socket_get_protocol(void* socket, void* in_module,
                                                                     envoy_dynamic_module_type_module_buffer* text);
GATE_HOOK void envoy_dynamic_module_on_transport_socket_get_failure_reason(
    void* socket, void* in_module, envoy_dynamic_module_type_module_buffer* text);
GATE_HOOK bool envoy_dynamic_module_on_transport_socket_can_flush_close(void* socket, void* in_module);
GATE_HOOK bool envoy_dynamic_module_on_transport_socket_start_secure_transport(void* socket, void* in_module);

// ---- Envoy requires these hooks, and the gate does not use them.

GATE_HOOK void* envoy_dynamic_module_on_http_filter_per_route_config_new(envoy_dynamic_module_type_envoy_buffer name,
                                                                         envoy_dynamic_module_type_envoy_buffer config);
GATE_HOOK void envoy_dynamic_module_on_http_filter_per_route_config_destroy(void*);
GATE_HOOK void envoy_dynamic_module_on_http_filter_config_scheduled(void*, void*, uint64_t);
GATE_HOOK void envoy_dynamic_module_on_http_filter_http_callout_done(void*, void*, uint64_t, int, void*, size_t, void*,
                                                                     size_t);
GATE_HOOK void envoy_dynamic_module_on_http_filter_http_stream_headers(void*, void*, uint64_t, void*, size_t, bool);
GATE_HOOK void envoy_dynamic_module_on_http_filter_http_stream_data(void*, void*, uint64_t, const void*, size_t, bool);
GATE_HOOK void envoy_dynamic_module_on_http_filter_http_stream_trailers(void*, void*, uint64_t, void*, size_t);
GATE_HOOK void envoy_dynamic_module_on_http_filter_http_stream_complete(void*, void*, uint64_t);
GATE_HOOK void envoy_dynamic_module_on_http_filter_http_stream_reset(void*, void*, uint64_t, int);
GATE_HOOK void envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(void*, void*);
GATE_HOOK void envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(void*, void*);

}  // extern "C"
