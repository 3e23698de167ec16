// SPDX-License-Identifier: Apache-2.0
#include "reporter.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <csignal>
#include <iterator>
#include <utility>

#include "process.h"
#include "report.h"

namespace gate {
namespace {

constexpr Time kPeriod = 0.1;
constexpr size_t kPacket = 60'000;  // bytes; well within a socket's default send buffer

}  // namespace

Reporter::Reporter(Time patience)
    : gateway_(gateway_id()), event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), patience_(patience) {}

void Reporter::report_to(Table& table, const std::string& socket) {
  std::lock_guard lock(lock_);
  path_ = socket;
  if (!std::exchange(started_, true)) start(table);
  wake_up();
}

// Runs on the main thread, which handles all signals. The new thread blocks them, and reads SIGTERM from `signals_` if
// the process was started with SIGTERM blocked.
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
  [[maybe_unused]] const auto written = write(event_, &one, sizeof one);  // fails if full: the thread is awake already
}

void Reporter::run(Table& table) {
  Time next = now();
  for (;;) {
    const bool disconnected = socket_ < 0 && !target_.empty();
    sleep(active_.empty() && !disconnected ? kNever : next);
    const bool behind = !due_.empty();
    collect();
    if (socket_ >= 0 && closed_by_peer()) disconnect();
    take_signal();
    const Time time = now();
    const bool ticks = time >= next;
    if (ticks) {
      next = time + kPeriod;
      tick(table, time, behind);
    }
    send_due();
    if (ticks) drop_idle();
  }
}

// Sleeps until that time, or until there is something to collect or the socket's state changes.
void Reporter::sleep(Time until) const {
  const short wanted = due_.empty() ? POLLIN : POLLIN | POLLOUT;
  pollfd files[] = {{event_, POLLIN, 0}, {signals_, POLLIN, 0}, {socket_, wanted, 0}};  // poll ignores negative files
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
  // A revision that was reported since it became urgent has nothing new. `is_reported` takes the revision's lock; a
  // revision takes this reporter's lock under its own. So this comes after the release of the reporter's lock.
  std::erase_if(urgent, [](const auto& revision) { return revision->is_reported(); });
  due_.insert(due_.begin(), urgent.begin(), urgent.end());
}

// `behind`: the socket has not accepted all of the previous round; there is no second round on top of it.
void Reporter::tick(Table& table, Time time, bool behind) {
  const bool connected = socket_ < 0 && !target_.empty() && connect(table);
  const bool is_down = socket_ < 0 && !target_.empty() && time - alone_since_ > patience_;
  for (const auto& revision : active_) {
    revision->tick(time);
    if (is_down) revision->give_up(time);
  }
  drop_idle();  // revisions whose last change was reported at once
  if (!behind && !connected) due_ = active_;  // contains every urgent revision
}

void Reporter::drop_idle() {
  std::erase_if(active_, [](const auto& revision) { return revision->idle(); });
}

// True when the socket is connected now: all revisions are due then.
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

// The control plane sends no data, so anything to read is the end of the connection.
bool Reporter::closed_by_peer() const {
  char byte;
  return recv(socket_, &byte, sizeof byte, MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EINTR);
}

// Sends as many due reports as the socket accepts. Without a socket path, due revisions count as reported. While the
// socket is not connected, due reports are dropped: all revisions are reported on connect.
void Reporter::send_due() {
  const Time time = now();
  size_t sent = 0;
  while (sent < due_.size() && (socket_ >= 0 || target_.empty())) {
    std::string revisions;
    std::vector<uint64_t> versions;
    for (size_t each = sent; each < due_.size(); ++each) {
      const Report report = due_[each]->report(time);
      const std::string json = to_json(due_[each]->name(), report);
      if (!revisions.empty() && revisions.size() + json.size() > kPacket) break;
      if (!revisions.empty()) revisions += ',';
      revisions += json;
      versions.push_back(report.version);
    }
    if (!target_.empty() && !send_packet(revisions, time)) break;
    for (const uint64_t version : versions) due_[sent++]->reported(version);
  }
  if (socket_ < 0) sent = due_.size();
  due_.erase(due_.begin(), due_.begin() + static_cast<std::ptrdiff_t>(sent));
}

// On SIGTERM: asks the control plane for a process that takes over, or ends this process if there is no control plane.
void Reporter::take_signal() {
  signalfd_siginfo signal;
  if (signals_ < 0 || read(signals_, &signal, sizeof signal) != sizeof signal) return;
  if (socket_ < 0 || !send_packet("", now(), true)) end_by_sigterm();
}

bool Reporter::send_packet(const std::string& revisions, Time time, bool leaving) {
  const std::string packet = to_packet(gateway_, time, revisions, leaving);
  if (::send(socket_, packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return true;
  if (errno != EAGAIN && errno != EINTR) disconnect();
  return false;
}

}  // namespace gate
