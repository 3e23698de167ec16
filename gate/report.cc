// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <iterator>
#include <utility>

namespace gate {
namespace {

constexpr Time kPeriod = 0.1;
constexpr size_t kPacket = 60'000;  // bytes; well within a socket's default send buffer

// The name that this process was started with, else its id and the start time that /proc gives, which together no two
// processes of a boot share.
std::string gateway_id() {
  if (const char* name = std::getenv("TIDEGATE_GATEWAY"); name != nullptr && *name != 0) return name;
  std::string stat(1024, 0);
  const int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  stat.resize(static_cast<size_t>(std::max<ssize_t>(read(file, stat.data(), stat.size()), 0)));
  close(file);
  const char* field =
      stat.c_str() + std::min(stat.rfind(')') + 2, stat.size());  // the third; the second may hold anything
  for (int number = 3; number < 22 && field != nullptr; ++number) {
    field = std::strchr(field, ' ');
    if (field != nullptr) ++field;
  }
  const std::string start = field == nullptr ? "" : std::string(field, std::strcspn(field, " "));
  return std::to_string(getpid()) + "-" + start;
}

void append_text(std::string& json, std::string_view text) {
  json += '"';
  for (const char each : text) {
    if (each == '"' || each == '\\') json += '\\';
    if (static_cast<unsigned char>(each) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", each);
      json += escaped;
    } else {
      json += each;
    }
  }
  json += '"';
}

void append_seconds(std::string& json, double seconds) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6f", seconds);
  json += text;
}

void append_count(std::string& json, std::string_view name, uint64_t count) {
  if (json.back() != '{') json += ',';
  append_text(json, name);
  json += ':' + std::to_string(count);
}

void append_share(std::string& json, std::string_view address, std::pair<uint64_t, unsigned> share) {
  if (json.back() != '{') json += ',';
  append_text(json, address);
  json += ":[" + std::to_string(share.first) + ',' + std::to_string(share.second) + ']';
}

void append_responses(std::string& json, const Codes& responses) {
  json += ",\"responses\":{";
  for (const auto& [code, count] : responses) append_count(json, std::to_string(code), count);
  json += '}';
}

void append_refused(std::string& json, const std::array<uint64_t, kRefusals>& refused) {
  static constexpr const char* kReasons[kRefusals] = {
      "", "queueFull", "deadline", "heldBytes", "unavailable", "removed", "controlPlaneDown"};
  json += ",\"refused\":{";
  for (size_t why = 0; why < kRefusals; ++why)
    if (refused[why] > 0) append_count(json, kReasons[why], refused[why]);
  json += '}';
}

// Only what there is to tell; the bounds have at most four digits.
void append_latency(std::string& json, std::string_view name, const Latency& latency) {
  json += ",\"" + std::string(name) + "\":{\"seconds\":";
  append_seconds(json, latency.seconds());
  json += ",\"within\":{";
  for (size_t bound = 0; bound < Latency::kBounds.size(); ++bound) {
    if (latency.within()[bound] == 0) continue;
    char text[16];
    std::snprintf(text, sizeof text, "%g", Latency::kBounds[bound]);
    append_count(json, text, latency.within()[bound]);
  }
  json += "}}";
}

void append_mirrored(std::string& json, const Outcomes& mirrored) {
  json += ",\"mirrored\":{\"requests\":" + std::to_string(mirrored.requests);
  append_responses(json, mirrored.responses);
  append_refused(json, mirrored.refused);
  json += '}';
}

void append_silent(std::string& json, const std::vector<std::string>& hosts) {
  json += ",\"silent\":[";
  for (const std::string& host : hosts) {
    if (json.back() != '[') json += ',';
    append_text(json, host);
  }
  json += ']';
}

// SIGTERM as a file to be read, where this process does not take it otherwise; else -1. Envoy wants one when whoever
// started it ends, and it is to outlive that: such a one that came already is forgotten.
int blocked_sigterm() {
  sigset_t blocked, term;
  pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  if (sigismember(&blocked, SIGTERM) == 0) return -1;
  prctl(PR_SET_PDEATHSIG, 0);
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  const int file = signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK);
  signalfd_siginfo earlier;
  [[maybe_unused]] const auto got = read(file, &earlier, sizeof earlier);
  return file;
}

}  // namespace

Time now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<Time>(time.tv_sec) + static_cast<Time>(time.tv_nsec) * 1e-9;
}

std::string to_json(std::string_view name, const Report& report) {
  std::string json = "{\"name\":";
  append_text(json, name);
  json += ",\"inFlight\":" + std::to_string(report.in_flight);
  json += ",\"queued\":" + std::to_string(report.queued);
  json += ",\"requests\":" + std::to_string(report.requests + report.mirrored.requests);
  json += ",\"concurrencySeconds\":";
  append_seconds(json, report.concurrency_seconds);
  json += ",\"queueSeconds\":";
  append_seconds(json, report.queue_seconds);
  append_responses(json, report.responses);
  append_refused(json, report.refused);
  append_latency(json, "requestLatency", report.request_latency);
  append_latency(json, "appRequestLatency", report.app_request_latency);
  if (report.mirrored.requests > 0) append_mirrored(json, report.mirrored);
  if (!report.silent.empty()) append_silent(json, report.silent);
  json += ",\"hosts\":{";
  for (const auto& [address, requests] : report.hosts) append_count(json, address, requests);
  if (report.shared) {
    json += "},\"shares\":{";
    for (size_t index = 0; index < report.hosts.size(); ++index)
      append_share(json, report.hosts[index].first, report.shares[index]);
  }
  json += "}}";
  return json;
}

Reporter::Reporter(Time patience)
    : gateway_(gateway_id()), event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), patience_(patience) {}

void Reporter::report_to(Table& table, const std::string& socket) {
  std::lock_guard lock(lock_);
  path_ = socket;
  if (!std::exchange(started_, true)) start(table);
  wake_up();
}

// Signals are the main thread's, on which this runs; but for SIGTERM where that is blocked.
void Reporter::start(Table& table) {
  signals_ = blocked_sigterm();
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread([this, &table] { run(table); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread.native_handle(), "gate");
  thread.detach();
}

void Reporter::active(Revision& revision) {
  std::lock_guard lock(lock_);
  newly_active_.push_back(revision.shared_from_this());
  wake_up();
}

void Reporter::urgent(Revision& revision) {
  std::lock_guard lock(lock_);
  urgent_.push_back(revision.shared_from_this());
  wake_up();
}

void Reporter::wake_up() const {
  const uint64_t one = 1;
  [[maybe_unused]] const auto written = write(event_, &one, sizeof one);  // full: it is awake already
}

void Reporter::run(Table& table) {
  Time next = now();
  for (;;) {
    const bool disconnected = socket_ < 0 && !target_.empty();
    sleep(active_.empty() && !disconnected ? INFINITY : next);
    const bool behind = !due_.empty();  // a slow reader: no second round on top of an unfinished one
    collect();
    if (socket_ >= 0 && closed_by_peer()) disconnect();
    take_signal();
    const Time time = now();
    const bool tick = time >= next;
    if (tick) {
      next = time + kPeriod;
      const bool connected = socket_ < 0 && !target_.empty() && connect(table);
      const bool is_down = socket_ < 0 && !target_.empty() && time - alone_since_ > patience_;
      for (const auto& revision : active_) {
        revision->tick(time);
        if (is_down) revision->give_up(time);
      }
      drop_idle();  // those whose last change was reported at once
      if (!behind && !connected) due_ = active_;  // these include all that are urgent
    }
    send_due();
    if (tick) drop_idle();
  }
}

// Until that time, or until there is something to collect or the socket has news.
void Reporter::sleep(Time until) const {
  const short wanted = due_.empty() ? POLLIN : POLLIN | POLLOUT;
  pollfd files[] = {{event_, POLLIN, 0}, {signals_, POLLIN, 0}, {socket_, wanted, 0}};  // none of a negative file
  const Time left = std::max(0.0, until - now());
  const int milliseconds = std::isinf(left) ? -1 : static_cast<int>(std::ceil(left * 1000));
  poll(files, std::size(files), milliseconds);
}

void Reporter::collect() {
  uint64_t count;
  [[maybe_unused]] const auto got = read(event_, &count, sizeof count);
  Revisions urgent;
  {
    std::lock_guard lock(lock_);
    active_.insert(active_.end(), newly_active_.begin(), newly_active_.end());
    newly_active_.clear();
    urgent.swap(urgent_);
    if (target_ != path_) {
      disconnect();
      target_ = path_;
      alone_since_ = now();
    }
  }
  // One that was reported since it became urgent has nothing to add. This takes the revision's lock, under which the
  // revision takes this reporter's.
  std::erase_if(urgent, [](const auto& revision) { return revision->is_reported(); });
  due_.insert(due_.begin(), urgent.begin(), urgent.end());
}

void Reporter::drop_idle() {
  std::erase_if(active_, [](const auto& revision) { return revision->idle(); });
}

// Whether the socket is connected now; all revisions are due then.
bool Reporter::connect(Table& table) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (target_.size() >= sizeof address.sun_path) return false;
  target_.copy(address.sun_path, target_.size());
  socket_ = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket_ < 0) return false;
  if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    close(std::exchange(socket_, -1));
    return false;
  }
  due_ = table.all();
  return true;
}

void Reporter::disconnect() {
  if (socket_ < 0) return;
  close(std::exchange(socket_, -1));
  alone_since_ = now();
}

// The control plane sends nothing: whatever there is to read is the end.
bool Reporter::closed_by_peer() const {
  char byte;
  return recv(socket_, &byte, sizeof byte, MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EINTR);
}

// As much of what is due as the socket takes. Without a socket to report to, what is due counts as told; while there is
// none yet it is dropped, since all is told on connect.
void Reporter::send_due() {
  const Time time = now();
  size_t sent = 0;
  while (sent < due_.size() && (socket_ >= 0 || target_.empty())) {
    std::string packet;
    std::vector<uint64_t> versions;
    for (size_t each = sent; each < due_.size(); ++each) {
      const Report report = due_[each]->report(time);
      const std::string json = to_json(due_[each]->name(), report);
      if (!packet.empty() && packet.size() + json.size() > kPacket) break;
      if (!packet.empty()) packet += ',';
      packet += json;
      versions.push_back(report.version);
    }
    if (!target_.empty() && !send_packet(packet, time)) break;
    for (const uint64_t version : versions) due_[sent++]->reported(version);
  }
  if (socket_ < 0) sent = due_.size();
  due_.erase(due_.begin(), due_.begin() + static_cast<std::ptrdiff_t>(sent));
}

// Envoy's own handler ends it, on whatever thread it runs.
void Reporter::take_signal() {
  signalfd_siginfo signal;
  if (signals_ < 0 || read(signals_, &signal, sizeof signal) != sizeof signal) return;
  if (socket_ >= 0 && send_packet("", now(), true)) return;
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  pthread_sigmask(SIG_UNBLOCK, &term, nullptr);
  raise(SIGTERM);
}

bool Reporter::send_packet(const std::string& revisions, Time time, bool leaving) {
  std::string packet = "{\"gateway\":";
  append_text(packet, gateway_);
  packet += ",\"time\":";
  append_seconds(packet, time);
  packet += ",\"revisions\":[" + revisions + (leaving ? "],\"leaving\":true}" : "]}");
  if (::send(socket_, packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return true;
  if (errno != EAGAIN && errno != EINTR) disconnect();
  return false;
}

}  // namespace gate
