// SPDX-License-Identifier: Apache-2.0
// The reporter: one thread of a process that reports the revisions to the control plane, over a Unix SOCK_SEQPACKET
// socket, one JSON object a packet.
//
// A revision is reported
//   * when the socket connects,
//   * at once when it is urgent (see `Listener`),
//   * every 100 ms while it is active.
// While all revisions are idle, the thread sleeps. The numbers are cumulative, so a packet that could not be sent is
// not repeated: the next one replaces it.
//
// Every 100 ms the thread also calls `tick` of every active revision, and refuses the requests that wait for a first
// instance after the control plane has been away for long.
//
// A process that was started with SIGTERM blocked does not end on SIGTERM: it asks the control plane for a process that
// takes over first. Without a connection to the control plane the process ends at once.
#pragma once

#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "decision.h"
#include "table.h"

namespace gate {

class Reporter : public Listener {
 public:
  // `patience`: seconds without a control plane after which requests no longer wait for a first instance.
  explicit Reporter(Time patience = 10);

  // From now on reports go to this socket. Without one (empty) there are no reports, but `tick` is still called. The
  // first call starts the thread.
  void report_to(Table& table, const std::string& socket);

  void active(Revision& revision) override;
  void urgent(Revision& revision) override;

 private:
  using Revisions = std::vector<std::shared_ptr<Revision>>;

  void start(Table& table);
  void run(Table& table);
  void sleep(Time until) const;
  void collect();
  void tick(Table& table, Time time, bool behind);
  void drop_idle();
  bool connect(Table& table);
  void disconnect();
  bool closed_by_peer() const;
  void send_due();
  bool send_packet(const std::string& revisions, Time time, bool leaving = false);
  void take_signal();
  void wake_up() const;

  const std::string gateway_;  // unique to this process
  const int event_;            // an eventfd: something is in the members that the lock protects
  const Time patience_;

  std::mutex lock_;  // protects the four members below
  std::string path_;
  Revisions newly_active_, urgent_;
  bool started_ = false;

  // Only the thread uses these.
  Revisions active_;    // reported and ticked every period
  Revisions due_;       // reported as soon as the socket accepts it
  std::string target_;  // the path to connect to
  int socket_ = -1;
  Time alone_since_ = 0;  // when the socket was lost; valid while there is none
  int signals_ = -1;      // a signalfd of SIGTERM, if SIGTERM is blocked
};

}  // namespace gate
