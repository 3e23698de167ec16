// SPDX-License-Identifier: Apache-2.0
// The gate in Envoy: one module, two extension points, one process-wide table of revisions (a revision is an Envoy
// cluster).
//
//   * The load-balancing policy, one a cluster and worker, tells the revision which hosts its worker knows, and
//     answers choose_host.
//   * The HTTP filter takes a slot for its stream or has it wait, and lets it go on once it has one.
//
// The filter has to be the last before the router: Envoy's router asks the policy for a host while the filter's stream
// leaves it, so choose_host knows whose turn it is. It notes the router, and knows the stream again by that when the
// router retries. All of it happens on one worker. See decision.h for what is decided, abi.h for Envoy's side.
#include <atomic>
#include <cstdio>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "abi.h"
#include "connection.h"
#include "decision.h"
#include "report.h"
#include "settings.h"
#include "table.h"

namespace gate {
namespace {

// What the hooks answer, in short.
struct Headers {
  static constexpr int Continue = envoy_dynamic_module_type_headers_status_Continue;
  static constexpr int StopIteration = envoy_dynamic_module_type_headers_status_StopIteration;
};
struct Body {
  static constexpr int Continue = envoy_dynamic_module_type_body_status_Continue;
  static constexpr int StopIterationAndWatermark = envoy_dynamic_module_type_body_status_StopIterationAndWatermark;
  static constexpr int StopIterationNoBuffer = envoy_dynamic_module_type_body_status_StopIterationNoBuffer;
};

std::string_view view(envoy_dynamic_module_type_envoy_buffer buffer) { return {buffer.ptr, buffer.length}; }
envoy_dynamic_module_type_module_buffer buffer(std::string_view text) { return {text.data(), text.size()}; }

void log_error(const std::string& message) {
  envoy_dynamic_module_callback_log(envoy_dynamic_module_type_log_level_Error, buffer(message));
}

// Never destroyed: the reporter's thread uses them to the process's last moment.
Reporter& reporter() {
  static Reporter& reporter = *new Reporter;
  return reporter;
}

Table& table() {
  static Table& table = *new Table(reporter());
  return table;
}

struct Policy;
struct Stream;

// The streams of one worker that have been to choose_host, by their router. Keeps the nodes of those that left for
// those that come.
class Routers {
 public:
  void add(const void* router, Stream* stream) {
    if (spare_.empty()) {
      streams_.emplace(router, stream);
      return;
    }
    Streams::node_type node = std::move(spare_.back());
    spare_.pop_back();
    node.key() = router;
    node.mapped() = stream;
    streams_.insert(std::move(node));
  }

  void remove(const void* router) {
    Streams::node_type node = streams_.extract(router);
    if (!node.empty()) spare_.push_back(std::move(node));
  }

  Stream* find(const void* router) const {
    auto entry = streams_.find(router);
    return entry == streams_.end() ? nullptr : entry->second;
  }

 private:
  using Streams = std::unordered_map<const void*, Stream*>;
  Streams streams_;
  std::vector<Streams::node_type> spare_;
};

// What a stream hands on to the one that Envoy makes in its place.
struct Restart {
  std::shared_ptr<Revision> revision;
  Turn turn;
  unsigned resets, repeats;
};

// What one thread of Envoy has.
struct Worker {
  const unsigned number;
  std::unordered_map<std::string_view, Policy*> policies;  // by cluster; the key is the revision's name
  Routers routers;
  Stream* leaving = nullptr;  // has its slot, and is on its way from the filter to the router
  std::optional<Restart> restarted;     // by a stream while Envoy makes it anew
};

Worker& worker() {
  static std::atomic<unsigned> count = 0;
  static thread_local Worker& worker = *new Worker{.number = count++};  // never destroyed: Envoy outlives its threads
  return worker;
}

// The shares in the metadata of all hosts. Envoy changes a host's metadata where it is, so a number may be newer than the
// version that was read before it, but never older.
std::vector<Share> read_shares(void* lb) {
  static constexpr std::string_view kSpace = "tidegate.gate", kVersion = "version", kSlots = "slots";
  std::vector<Share> shares;
  const size_t count = envoy_dynamic_module_callback_lb_get_hosts_count(lb, 0);
  for (size_t index = 0; index < count; ++index) {
    const auto read = [&](std::string_view key, double& number) {
      return envoy_dynamic_module_callback_lb_get_host_metadata_number(lb, 0, index, buffer(kSpace), buffer(key),
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

struct Policy {
  std::shared_ptr<Revision> revision;
  bool is_limited = false;                            // its requests have limits of time at their hosts
  std::unordered_map<const Host*, uint32_t> indexes;  // within Envoy's healthy hosts

  void learn(void* lb) {
    const size_t count = envoy_dynamic_module_callback_lb_get_healthy_hosts_count(lb, 0);
    std::vector<std::string_view> addresses(count);
    for (size_t index = 0; index < count; ++index) {
      envoy_dynamic_module_type_envoy_buffer address{};
      envoy_dynamic_module_callback_lb_get_healthy_host_address(lb, 0, index, &address);
      addresses[index] = view(address);
    }
    const std::vector<const Host*> hosts = revision->learn(worker().number, addresses, now());
    indexes.clear();
    for (uint32_t index = 0; index < hosts.size(); ++index) indexes[hosts[index]] = index;
    if (revision->settings().shared) revision->share(read_shares(lb), now());
  }
};

// Why Envoy's router gave up.
enum class Failure : uint8_t {
  kOther,
  kUnreached,  // it found no host, or could not connect to one: the request is as if it had just come
  kStale,      // the instance closed a connection that it had kept alive, and has not begun to answer
  kReset,      // it closed the first connection that it was asked on, or reset the stream
};

struct Stream final : Request {
  Stream(void* filter, bool copy) : Request(worker().number, copy), filter(filter) {}
  ~Stream() override {
    if (scheduler != nullptr) envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler);
  }

  void wake() override { envoy_dynamic_module_callback_http_filter_scheduler_commit(scheduler, 0); }

  void* const filter;
  std::shared_ptr<Revision> revision;  // none: the stream's cluster has another policy, and the gate lets it pass
  void* scheduler = nullptr;           // made when it may be woken
  const void* router = nullptr;        // once it has been to choose_host
  size_t body = 0;                     // request bytes that went by
  unsigned attempts = 0;               // how often it has been there
  unsigned status = 0;                 // of the answer
  unsigned repeats = 0;                // how often it started again that an instance may have seen
  unsigned resets = 0;                 // and how often of these by Failure::kReset
  bool stopped = false;                // Envoy holds the request for it
  bool complete = false;               // the whole request is here
  bool trailers = false;               // and ended with trailers
  bool local_reply = false;            // Envoy answers, not the instance
  Failure failure = Failure::kOther;   // and why
  bool begun = false;                  // the instance's answer has begun
  bool answered = false;               // and is complete
  bool ended = false;                  // the revision has been told of its end
  bool kept = false;                   // Envoy's filter state owns it now
};

// What is known of all streams of a listener.
struct FilterConfig {
  bool copies = false;  // they are mirrored traffic
};

// By these details tidegate/xds/replies.py chooses the text.
const char* details_of(Refusal why) {
  switch (why) {
    case Refusal::kQueueFull:
      return "gate_queue_full";
    case Refusal::kDeadline:
      return "gate_deadline";
    case Refusal::kHeldBytes:
      return "gate_held_bytes";
    case Refusal::kUnavailable:
      return "gate_unavailable";
    case Refusal::kControlPlaneDown:
      return "gate_control_plane_down";
    default:
      return "gate_removed";
  }
}

const char* details_of(Overdue limit) {
  switch (limit) {
    case Overdue::kResponseStart:
      return "gate_response_start_timeout";
    case Overdue::kIdle:
      return "gate_idle_timeout";
    default:
      return "gate_request_timeout";
  }
}

void send_refusal(Stream& stream) {
  static constexpr envoy_dynamic_module_type_module_http_header kRetryAfter = {"retry-after", 11, "1", 1};
  const Refusal why = stream.refusal();
  const std::string reason = why == Refusal::kUnavailable ? stream.revision->settings().unavailable : std::string();
  auto headers = kRetryAfter;
  envoy_dynamic_module_callback_http_send_response(stream.filter, status_of(why), &headers, 1, buffer(reason),
                                                   buffer(details_of(why)));
}

// The request has had its time at its instance: it is answered, or the answer that has begun is cut off.
void cut(Stream& stream) {
  if (stream.answered || stream.local_reply) return;
  const std::string_view details = details_of(stream.overdue());
  if (stream.begun) {
    envoy_dynamic_module_callback_http_filter_reset_stream(
        stream.filter, envoy_dynamic_module_type_http_filter_stream_reset_reason_LocalReset, buffer(details));
    return;
  }
  stream.local_reply = true;
  stream.status = 504;
  envoy_dynamic_module_callback_http_send_response(stream.filter, 504, nullptr, 0, {nullptr, 0}, buffer(details));
}

// Lets the request go on to its host, or answers it; false when it goes on waiting.
bool leave(Stream& stream, Request::State state) {
  if (state == Request::State::kPlaced) worker().leaving = &stream;
  if (state == Request::State::kRefused) send_refusal(stream);
  return state == Request::State::kPlaced;
}

size_t header_bytes(void* filter) {
  constexpr auto kRequest = envoy_dynamic_module_type_http_header_type_RequestHeader;
  std::vector<envoy_dynamic_module_type_envoy_http_header> headers(
      envoy_dynamic_module_callback_http_get_headers_size(filter, kRequest));
  size_t bytes = 0;
  if (envoy_dynamic_module_callback_http_get_headers(filter, kRequest, headers.data()))
    for (const auto& header : headers) bytes += header.key_length + header.value_length;
  return bytes;
}

// Envoy finds a host's routes by the name as it is written, but a host is the same in whatever case. Those who write it
// in capitals are rare, so it is looked up again only when nothing was found. False when that changes nothing.
bool find_in_lower_case(const Stream& stream) {
  constexpr auto kRequest = envoy_dynamic_module_type_http_header_type_RequestHeader;
  envoy_dynamic_module_type_envoy_buffer value;
  if (!envoy_dynamic_module_callback_http_get_header(stream.filter, kRequest, buffer(":authority"), &value, 0, nullptr))
    return false;
  std::string host(view(value));
  for (char& each : host)
    if (each >= 'A' && each <= 'Z') each += 'a' - 'A';
  if (host == view(value)) return false;
  envoy_dynamic_module_callback_http_set_header(stream.filter, kRequest, buffer(":authority"), buffer(host));
  envoy_dynamic_module_callback_http_clear_route_cache(stream.filter);
  return true;
}

bool find_cluster(const Stream& stream, envoy_dynamic_module_type_envoy_buffer& cluster) {
  const auto found = [&] { return envoy_dynamic_module_callback_http_get_cluster_name(stream.filter, &cluster); };
  return found() || (find_in_lower_case(stream) && found());
}

int on_request(Stream& stream) {
  envoy_dynamic_module_type_envoy_buffer cluster;
  if (!find_cluster(stream, cluster)) return Headers::Continue;
  const auto policy = worker().policies.find(view(cluster));
  if (policy == worker().policies.end()) return Headers::Continue;
  stream.revision = policy->second->revision;

  const auto restarted = std::exchange(worker().restarted, std::nullopt);
  const bool again = restarted && restarted->revision == stream.revision;
  if (again) {
    stream.resets = restarted->resets;
    stream.repeats = restarted->repeats;
  }
  const auto make_scheduler = [&] {
    if (stream.scheduler == nullptr)
      stream.scheduler = envoy_dynamic_module_callback_http_filter_scheduler_new(stream.filter);
  };
  if (policy->second->is_limited) make_scheduler();
  const Time time = now();
  Request::State state = Request::State::kPlaced;
  if (!stream.revision->arrive(stream, time, again ? &restarted->turn : nullptr)) {
    make_scheduler();
    state = stream.revision->wait(stream, time);  // from here on another thread may wake it
    if (state == Request::State::kWaiting && !stream.revision->hold(stream, header_bytes(stream.filter), time))
      state = Request::State::kRefused;
    stream.stopped = state == Request::State::kWaiting;
  }
  return leave(stream, state) ? Headers::Continue : Headers::StopIteration;
}

void on_woken(Stream& stream) {
  if (!stream.stopped) {
    if (stream.overdue() != Overdue::kNone) cut(stream);
    return;
  }
  const Request::State state = stream.revision->confirm(stream, now());
  if (state == Request::State::kWaiting) return;
  stream.stopped = false;
  if (leave(stream, state)) envoy_dynamic_module_callback_http_filter_continue_decoding(stream.filter);
}

int on_body(Stream& stream, bool end) {
  const size_t size = envoy_dynamic_module_callback_http_get_body_size(
      stream.filter, envoy_dynamic_module_type_http_body_type_ReceivedRequestBody);
  stream.body += size;
  stream.complete = end;
  if (!stream.stopped) return Body::Continue;
  if (stream.revision->hold(stream, size, now())) return Body::StopIterationAndWatermark;
  stream.stopped = false;
  send_refusal(stream);
  return Body::StopIterationNoBuffer;
}

// Whether Envoy still has all that it needs to send the request once more.
bool is_repeatable(const Stream& stream) {
  return stream.complete && !stream.trailers &&
         stream.body == envoy_dynamic_module_callback_http_get_body_size(
                            stream.filter, envoy_dynamic_module_type_http_body_type_BufferedRequestBody);
}

// By the details of the answer that Envoy's router gives.
Failure failure_of(std::string_view details) {
  constexpr std::string_view kReset = "upstream_reset_before_response_started{";
  if (details == "no_healthy_upstream") return Failure::kUnreached;
  if (!details.starts_with(kReset)) return Failure::kOther;
  details.remove_prefix(kReset.size());
  for (std::string_view reason : {"remote_connection_failure", "local_connection_failure", "connection_timeout"})
    if (details.starts_with(reason)) return Failure::kUnreached;
  if (details.starts_with("connection_termination")) return closed_stale ? Failure::kStale : Failure::kReset;
  return details.starts_with("remote_reset") ? Failure::kReset : Failure::kOther;
}

// Whether the request may have been carried out and be sent again all the same (RFC 9110, 9.2.2).
bool is_idempotent(const Stream& stream) {
  envoy_dynamic_module_type_envoy_buffer method;
  if (!envoy_dynamic_module_callback_http_get_header(stream.filter,
                                                     envoy_dynamic_module_type_http_header_type_RequestHeader,
                                                     buffer(":method"), &method, 0, nullptr))
    return false;
  for (std::string_view each : {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
    if (view(method) == each) return true;
  return false;
}

// Whether it is to be sent again. An app may close a connection that it keeps alive just when a request is on its way
// there (RFC 9112, 9.3.1), and the next may be like that one. But where the app closes a connection that is new, it may
// be the request that ends it, and not every instance is to have its try.
bool is_to_restart(const Stream& stream) {
  constexpr unsigned kResets = 2, kRepeats = 10;
  if (stream.failure == Failure::kOther || stream.router == nullptr || !is_repeatable(stream)) return false;
  if (stream.failure == Failure::kUnreached) return true;
  return stream.resets < kResets && stream.repeats < kRepeats && is_idempotent(stream);
}

// The router rewrites the host and the path of a request on its way out; they are to be as they came when it is routed
// again.
void restore(Stream& stream, std::string_view original, std::string_view name) {
  constexpr auto kRequest = envoy_dynamic_module_type_http_header_type_RequestHeader;
  envoy_dynamic_module_type_envoy_buffer value;
  if (!envoy_dynamic_module_callback_http_get_header(stream.filter, kRequest, buffer(original), &value, 0, nullptr))
    return;
  const std::string copy(view(value));
  envoy_dynamic_module_callback_http_set_header(stream.filter, kRequest, buffer(name), buffer(copy));
  envoy_dynamic_module_callback_http_set_header(stream.filter, kRequest, buffer(original), {nullptr, 0});
}

// Envoy's router gave up on a request that may be sent again: it waits in its old turn, as a new stream of the same
// request. True when the stream is gone for that.
bool restart(Stream& stream) {
  if (!is_to_restart(stream)) return false;
  void* const filter = stream.filter;
  std::shared_ptr<Revision> revision = stream.revision;
  restore(stream, "x-envoy-original-host", ":authority");
  restore(stream, "x-envoy-original-path", ":path");
  const Time time = now();
  if (stream.failure == Failure::kUnreached) revision->unreached(stream, time);
  const bool reset = stream.failure == Failure::kReset, repeated = stream.failure != Failure::kUnreached;
  worker().restarted =
      Restart{revision, revision->end(stream, time), stream.resets + reset, stream.repeats + repeated};
  const bool restarted = envoy_dynamic_module_callback_http_filter_recreate_stream(filter, nullptr, 0);
  worker().restarted.reset();  // if a filter before this one keeps the new stream back, it will come as a new request
  return restarted;
}

int on_response(Stream& stream, bool end) {
  if (restart(stream)) return Headers::StopIteration;
  if (stream.attempts > 1) stream.revision->settle(stream, now());
  uint64_t status = 0;  // as Envoy's router has noted it, which costs less than a look at the head
  if (envoy_dynamic_module_callback_http_filter_get_attribute_int(
          stream.filter, envoy_dynamic_module_type_attribute_id_ResponseCode, &status))
    stream.status = static_cast<unsigned>(status);
  if (!stream.local_reply) {
    stream.begun = true;
    stream.revision->heard(stream, now());
  }
  stream.answered |= end;
  return Headers::Continue;
}

void end(Stream& stream) {
  if (stream.revision && !std::exchange(stream.ended, true)) stream.revision->end(stream, now(), stream.status);
}

// The slot of a stream that ends before its answer is free once Envoy's router has closed the connection to the
// instance, and that comes after the gate's own hooks. What comes later still is the end of the stream's memory, so the
// stream is left to that.
void keep(Stream& stream) {
  stream.kept = envoy_dynamic_module_callback_http_set_filter_state_object(
      stream.filter, buffer("tidegate.gate"), &stream,
      [](void* kept) {
        auto* stream = static_cast<Stream*>(kept);
        end(*stream);
        delete stream;
      },
      envoy_dynamic_module_type_filter_state_life_span_FilterChain);
}

void on_complete(Stream& stream) {
  if (!stream.revision) return;
  if (worker().leaving == &stream) worker().leaving = nullptr;
  if (stream.router != nullptr) worker().routers.remove(stream.router);
  const bool instance_is_done = stream.router == nullptr || (stream.answered && !stream.local_reply);
  if (instance_is_done)
    end(stream);
  else
    keep(stream);
}

// The stream that a router asks a host for; none when it never came by the filter.
Stream* stream_at(void* router, const Policy& policy) {
  Stream* const leaving = worker().leaving;
  if (leaving == nullptr || leaving->revision != policy.revision) return worker().routers.find(router);
  worker().leaving = nullptr;
  leaving->router = router;
  worker().routers.add(router, leaving);
  return leaving;
}

bool choose_host(Policy& policy, void* lb, void* router, uint32_t& priority, uint32_t& index) {
  Stream* const stream = router == nullptr ? nullptr : stream_at(router, policy);
  if (stream == nullptr || stream->revision != policy.revision) return false;
  const bool first = stream->attempts++ == 0;
  if (first || policy.revision->move(*stream, now())) {
    const auto entry = policy.indexes.find(stream->host());
    if (entry != policy.indexes.end()) {
      priority = 0;
      index = entry->second;
      return true;
    }
  }
  // Nowhere to go. A request that can be repeated starts again, see `restart`. For others there may be a host of
  // priority 1 where nothing listens: the attempt fails, and the router comes again after its retry's pause.
  priority = 1;
  index = 0;
  return !is_repeatable(*stream) && envoy_dynamic_module_callback_lb_get_healthy_hosts_count(lb, 1) > 0;
}

}  // namespace
}  // namespace gate

// ---- The hooks. They translate and do nothing else.

using namespace gate;  // NOLINT: this file is the module

namespace {
Stream& stream_of(void* stream) { return *static_cast<Stream*>(stream); }

}  // namespace

const char* envoy_dynamic_module_on_program_init(void) { return "v0.2.0"; }

void* envoy_dynamic_module_on_lb_config_new(void*, envoy_dynamic_module_type_envoy_buffer,
                                            envoy_dynamic_module_type_envoy_buffer config) {
  try {
    return new Settings(parse_settings(view(config)));
  } catch (const std::invalid_argument& error) {
    log_error("gate: load-balancing policy's configuration refused: " + std::string(error.what()));
    return nullptr;
  }
}

void envoy_dynamic_module_on_lb_config_destroy(void* config) { delete static_cast<Settings*>(config); }

void* envoy_dynamic_module_on_lb_new(void* config, void* lb) {
  if (worker().number >= kWorkers) {
    log_error("gate: more than " + std::to_string(kWorkers) + " threads of Envoy");
    return nullptr;
  }
  envoy_dynamic_module_type_envoy_buffer cluster;
  envoy_dynamic_module_callback_lb_get_cluster_name(lb, &cluster);
  const Settings& settings = *static_cast<Settings*>(config);
  auto* policy = new Policy{table().at(view(cluster)), settings.is_limited(), {}};
  policy->revision->configure(settings, now());
  policy->learn(lb);
  worker().policies.erase(policy->revision->name());  // a cluster that is replaced has both its policies for a moment
  worker().policies.emplace(policy->revision->name(), policy);
  return policy;
}

void envoy_dynamic_module_on_lb_on_host_membership_update(void* lb, void* policy, size_t, size_t) {
  static_cast<Policy*>(policy)->learn(lb);
}

bool envoy_dynamic_module_on_lb_choose_host(void* lb, void* policy, void* context, uint32_t* priority,
                                            uint32_t* index) {
  return choose_host(*static_cast<Policy*>(policy), lb, context, *priority, *index);
}

void envoy_dynamic_module_on_lb_destroy(void* pointer) {
  std::unique_ptr<Policy> policy(static_cast<Policy*>(pointer));
  auto entry = worker().policies.find(policy->revision->name());
  if (entry == worker().policies.end() || entry->second != policy.get()) return;  // it was replaced
  worker().policies.erase(entry);
  policy->revision->leave(worker().number, now());
}

void* envoy_dynamic_module_on_http_filter_config_new(void*, envoy_dynamic_module_type_envoy_buffer name,
                                                     envoy_dynamic_module_type_envoy_buffer config) {
  try {
    reporter().report_to(table(), parse_socket(view(config)));
    return new FilterConfig{.copies = view(name) == "mirror"};
  } catch (const std::invalid_argument& error) {
    log_error("gate: filter's configuration refused: " + std::string(error.what()));
    return nullptr;
  }
}

void envoy_dynamic_module_on_http_filter_config_destroy(void* config) { delete static_cast<FilterConfig*>(config); }

void* envoy_dynamic_module_on_http_filter_new(void* config, void* filter) {
  return new Stream(filter, static_cast<const FilterConfig*>(config)->copies);
}

int envoy_dynamic_module_on_http_filter_request_headers(void*, void* stream, bool end) {
  stream_of(stream).complete = end;
  return on_request(stream_of(stream));
}

int envoy_dynamic_module_on_http_filter_request_body(void*, void* stream, bool end) {
  return stream_of(stream).revision ? on_body(stream_of(stream), end) : Body::Continue;
}

int envoy_dynamic_module_on_http_filter_request_trailers(void*, void* stream) {
  stream_of(stream).complete = stream_of(stream).trailers = true;
  return stream_of(stream).stopped ? Headers::StopIteration : Headers::Continue;
}

void envoy_dynamic_module_on_http_filter_scheduled(void*, void* stream, uint64_t) { on_woken(stream_of(stream)); }

int envoy_dynamic_module_on_http_filter_local_reply(void*, void* stream, uint32_t,
                                                    envoy_dynamic_module_type_envoy_buffer details, bool) {
  stream_of(stream).local_reply = true;
  stream_of(stream).failure = failure_of(view(details));
  return envoy_dynamic_module_type_on_http_filter_local_reply_status_Continue;
}

int envoy_dynamic_module_on_http_filter_response_headers(void*, void* stream, bool end) {
  return stream_of(stream).revision ? on_response(stream_of(stream), end) : Headers::Continue;
}

int envoy_dynamic_module_on_http_filter_response_body(void*, void* pointer, bool end) {
  Stream& stream = stream_of(pointer);
  stream.answered |= end;
  if (stream.begun && stream.is_idle_limited()) stream.revision->heard(stream, now());
  return Body::Continue;
}

int envoy_dynamic_module_on_http_filter_response_trailers(void*, void* stream) {
  stream_of(stream).answered = true;
  return Headers::Continue;
}

void envoy_dynamic_module_on_http_filter_stream_complete(void*, void* stream) { on_complete(stream_of(stream)); }

void envoy_dynamic_module_on_http_filter_destroy(void* pointer) {
  if (stream_of(pointer).kept) return;
  end(stream_of(pointer));
  delete static_cast<Stream*>(pointer);
}

// ---- Hooks that Envoy insists on and the gate has no use for.

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
