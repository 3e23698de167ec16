// SPDX-License-Identifier: Apache-2.0
#include "process.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace gate {
namespace {

sigset_t sigterm() {
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  return term;
}

// Field 22 of /proc/self/stat.
std::string start_time() {
  std::string stat(1024, 0);
  const int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  stat.resize(static_cast<size_t>(std::max<ssize_t>(read(file, stat.data(), stat.size()), 0)));
  close(file);
  // Field 3 comes after the last ')': field 2 is the program's name, which can contain anything.
  const char* field = stat.c_str() + std::min(stat.rfind(')') + 2, stat.size());
  for (int number = 3; number < 22 && field != nullptr; ++number) {
    field = std::strchr(field, ' ');
    if (field != nullptr) ++field;
  }
  return field == nullptr ? "" : std::string(field, std::strcspn(field, " "));
}

}  // namespace

std::string gateway_id() {
  if (const char* name = std::getenv("TIDEGATE_GATEWAY"); name != nullptr && *name != 0) return name;
  return std::to_string(getpid()) + "-" + start_time();
}

int blocked_sigterm() {
  sigset_t blocked;
  const sigset_t term = sigterm();
  pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  if (sigismember(&blocked, SIGTERM) == 0) return -1;
  prctl(PR_SET_PDEATHSIG, 0);
  const int file = signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK);
  signalfd_siginfo pending;
  [[maybe_unused]] const auto got = read(file, &pending, sizeof pending);
  return file;
}

void end_by_sigterm() {
  const sigset_t term = sigterm();
  pthread_sigmask(SIG_UNBLOCK, &term, nullptr);
  raise(SIGTERM);
}

}  // namespace gate
