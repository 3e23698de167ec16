// SPDX-License-Identifier: Apache-2.0
// The orders of a launcher, and the answer to a failed step.
#pragma once

#include <sys/types.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

using Texts = std::vector<std::string>;

// Where a failure is written: "STEP ERRNO". An exec closes it.
extern int answer;

[[noreturn]] void fail(const char* step, int error = errno);
void check(long result, const char* step);

struct Orders {
  long files;                  // soft limit of open files, at most the hard limit
  long beside;                 // the process that leads a sandbox in which to run; 0: none
  Texts sandbox;               // bubblewrap and its arguments, and "--show MODE PATH", maybe after "--mounts FILE"; empty: none
  Texts covered;               // folders that an empty folder hides, in a separate mount namespace
  Texts exposed;               // folders below these that stay visible
  bool switches_user;          // whether to set capabilities, user and groups
  std::uint64_t capabilities;  // the most that the program can get, as a bit mask
  uid_t user;
  gid_t group;
  std::vector<gid_t> groups;
  std::string directory;
  bool gains_privileges;  // whether set-user-ID programs work
  bool read_only;         // whether it can write only below /dev
  bool filtered;          // whether `filter_system_calls` applies
  bool attended;          // whether the program is killed when the node agent dies
  bool has_terminal;      // whether stdin is a terminal, which becomes the program's controlling terminal
  Texts program;
  Texts environment;

  // Reads a file to its end.
  static Orders read(int file);

  // Another file with the same orders, not closed by exec.
  int copy() const;

 private:
  std::string text_;
};
