// SPDX-License-Identifier: Apache-2.0
// The reporter: one thread a process that tells the control plane of the revisions, over a Unix SOCK_SEQPACKET socket,
// one JSON object a packet.
//
// A revision is reported when the socket connects, at once when its first request waits or a removed host has drained,
// every 100 ms while it is active, and never while it is idle: then the thread sleeps. The thread also gives every
// active revision its tick, and refuses what waits for a first instance while there is no control plane. The counters
// are cumulative, so a packet that could not be sent is simply made anew later.
//
// A process that was started with SIGTERM blocked does not end on it: the control plane is asked for another process,
// which takes over first. While no control plane is connected, the process ends as Envoys do.
#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "decision.h"
#include "table.h"

namespace gate {

Time now();  // CLOCK_MONOTONIC

// One revision as the reports have it.
std::string to_json(std::string_view name, const Report& report);

class Reporter : public Listener {
 public:
  // After `patience` seconds without a control plane nothing is waited for that it would have to start.
  explicit Reporter(Time patience = 10);

  // Reports go to the socket from now on; empty: nowhere, the revisions still get their ticks. The first call starts
  // the thread.
  void report_to(Table& table, const std::string& socket);

  void active(Revision& revision) override;
  void urgent(Revision& revision) override;

 private:
  using Revisions = std::vector<std::shared_ptr<Revision>>;

  void start(Table& table);
  void run(Table& table);
  void sleep(Time until) const;
  void collect();
  void drop_idle();
  bool connect(Table& table);
  void disconnect();
  bool closed_by_peer() const;
  void send_due();
  bool send_packet(const std::string& revisions, Time time, bool leaving = false);
  void take_signal();
  void wake_up() const;

  const std::string gateway_;  // unique to this process: its id and start time
  const int event_;            // an eventfd: something is in the members below
  const Time patience_;

  std::mutex lock_;  // of the members up to the thread's own
  std::string path_;
  Revisions newly_active_, urgent_;
  bool started_ = false;

  // The thread's own.
  Revisions active_;    // to be reported and ticked every period
  Revisions due_;       // to be reported as soon as the socket takes it
  std::string target_;  // the path to be connected to
  int socket_ = -1;
  Time alone_since_ = 0;  // while there is none
  int signals_ = -1;  // a signalfd of SIGTERM, where that is blocked
};

}  // namespace gate
