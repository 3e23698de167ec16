// SPDX-License-Identifier: Apache-2.0
// A dynamic module of Envoy whose filter does nothing: what any module costs. `instructions.py` builds it.
#include "../gate/abi.h"

namespace {
int something;
}  // namespace

const char* envoy_dynamic_module_on_program_init(void) { return "v0.2.0"; }

void* envoy_dynamic_module_on_http_filter_config_new(void*, envoy_dynamic_module_type_envoy_buffer,
                                                     envoy_dynamic_module_type_envoy_buffer) {
  return &something;
}
void envoy_dynamic_module_on_http_filter_config_destroy(void*) {}
void* envoy_dynamic_module_on_http_filter_new(void*, void*) { return &something; }
int envoy_dynamic_module_on_http_filter_request_headers(void*, void*, bool) { return 0; }
int envoy_dynamic_module_on_http_filter_request_body(void*, void*, bool) { return 0; }
int envoy_dynamic_module_on_http_filter_request_trailers(void*, void*) { return 0; }
int envoy_dynamic_module_on_http_filter_response_headers(void*, void*, bool) { return 0; }
int envoy_dynamic_module_on_http_filter_response_body(void*, void*, bool) { return 0; }
int envoy_dynamic_module_on_http_filter_response_trailers(void*, void*) { return 0; }
int envoy_dynamic_module_on_http_filter_local_reply(void*, void*, uint32_t, envoy_dynamic_module_type_envoy_buffer,
                                                    bool) {
  return 0;
}
void envoy_dynamic_module_on_http_filter_scheduled(void*, void*, uint64_t) {}
void envoy_dynamic_module_on_http_filter_stream_complete(void*, void*) {}
void envoy_dynamic_module_on_http_filter_destroy(void*) {}

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
