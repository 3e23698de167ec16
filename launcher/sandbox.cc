// SPDX-License-Identifier: Apache-2.0
#include "sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

namespace sandbox {
namespace {

constexpr char kStep[] = "sandbox";
constexpr unsigned kCloseOnExec = 1 << 2;  // CLOSE_RANGE_CLOEXEC, which older headers do not have

struct Namespace {
  const char* name;
  int flag;
};
constexpr Namespace kNamespaces[] = {
    {"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS}, {"pid", CLONE_NEWPID},       {"ipc", CLONE_NEWIPC},
    {"uts", CLONE_NEWUTS},   {"net", CLONE_NEWNET}, {"cgroup", CLONE_NEWCGROUP},
};

void set_signals(void (*handler)(int)) {
  for (int number = 1; number < SIGRTMIN; ++number)
    if (number != SIGCHLD) signal(number, handler);  // fails for SIGKILL and SIGSTOP
}

// While it exists, this process has the rights that the program's user has on files.
class AsUser {
 public:
  explicit AsUser(const Orders& orders) : switches_(orders.switches_user) {
    if (!switches_) return;
    check(setgroups(orders.groups.size(), orders.groups.data()), kStep);
    setfsgid(orders.group);
    setfsuid(orders.user);
    if (setfsuid(static_cast<uid_t>(-1)) != static_cast<int>(orders.user)) fail(kStep, EPERM);
  }
  ~AsUser() {
    if (!switches_) return;
    setfsuid(0);
    setfsgid(0);
  }
  AsUser(const AsUser&) = delete;
  AsUser& operator=(const AsUser&) = delete;

 private:
  bool switches_;
};

std::string link(const std::string& path) {
  char target[64];
  const ssize_t length = readlink(path.c_str(), target, sizeof target);
  return length < 0 ? "" : std::string(target, static_cast<std::size_t>(length));
}

// The only child of the process that leads a sandbox: the sandbox's PID 1. 0: none.
long init_of(long leader) {
  const std::string id = std::to_string(leader), path = "/proc/" + id + "/task/" + id + "/children";
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char text[32] = {};
  const ssize_t length = ::read(file, text, sizeof text - 1);
  close(file);
  return length > 0 ? std::strtol(text, nullptr, 10) : 0;
}

// The arguments of bubblewrap, in which each "--show MODE PATH" has become a bind of the opened file, so that the very
// file is bound that the user of the program may see, whatever takes its place. A path that this user cannot reach, or
// that does not exist, is left out.
Texts opened(const Orders& orders) {
  const AsUser user(orders);
  Texts words;
  for (std::size_t at = 0; at < orders.sandbox.size(); ++at) {
    if (orders.sandbox[at] != "--show" || at + 2 >= orders.sandbox.size()) {
      words.push_back(orders.sandbox[at]);
      continue;
    }
    const std::string mode = orders.sandbox[++at], path = orders.sandbox[++at];
    const int file = open(path.c_str(), O_PATH);
    if (file < 0) continue;
    words.push_back(mode == "rw" ? "--bind-fd" : "--ro-bind-fd");
    words.push_back(std::to_string(file));
    words.push_back(path);
  }
  return words;
}

[[noreturn]] void end_as(int status) {
  if (WIFSIGNALED(status)) {
    signal(WTERMSIG(status), SIG_DFL);
    kill(getpid(), WTERMSIG(status));
  }
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

}  // namespace

void enter_new(const Orders& orders, int status) {
  Texts words = opened(orders);
  const int itself = open("/proc/self/exe", O_PATH);
  check(itself, kStep);
  for (const std::string& word :
       {std::string("--as-pid-1"), std::string("--"), "/proc/self/fd/" + std::to_string(itself),
        std::to_string(orders.copy()), std::to_string(answer), std::to_string(status), std::string("init")})
    words.push_back(word);
  fcntl(answer, F_SETFD, 0);
  set_signals(SIG_IGN);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  fail(kStep);
}

void be_init(int status) {
  set_signals(SIG_DFL);
  check(write(answer, "+", 1), kStep);
  const pid_t child = fork();
  check(child, kStep);
  if (child == 0) {
    check(syscall(SYS_close_range, 3, ~0U, kCloseOnExec), kStep);  // bubblewrap's, STATUS, this program itself
    return;
  }
  prctl(PR_SET_DUMPABLE, 0);  // not to be traced by the program
  if (status > 0) dup2(status, 0);
  syscall(SYS_close_range, 1, ~0U, 0);
  for (int ended = 0;;) {
    const pid_t pid = waitpid(-1, &ended, 0);
    if (pid != child) continue;
    const std::string text = std::to_string(ended);
    (void)!write(0, text.data(), text.size());
    _exit(WIFEXITED(ended) ? WEXITSTATUS(ended) : 128 + WTERMSIG(ended));
  }
}

void end_with_parent() { check(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "parent"); }

void enter_existing(const Orders& orders, pid_t agent) {
  const long leader = orders.beside, init = init_of(leader);
  if (init == 0) fail(kStep, ESRCH);
  const int handle = static_cast<int>(syscall(SYS_pidfd_open, init, 0));
  check(handle, kStep);
  const std::string ours = "/proc/self/ns/", theirs = "/proc/" + std::to_string(init) + "/ns/";
  int flags = 0;
  for (const Namespace& each : kNamespaces)
    if (link(ours + each.name) != link(theirs + each.name)) flags |= each.flag;
  if (init_of(leader) != init) fail(kStep, ESRCH);  // the number may be another process's
  prctl(PR_SET_DUMPABLE, 0);                        // not to be traced by programs of the sandbox
  check(setns(handle, flags), kStep);
  close(handle);
  if (orders.attended) {
    end_with_parent();
    if (getppid() != agent) fail("parent", ESRCH);
  }
  set_signals(SIG_IGN);  // those of a terminal are for the child
  const pid_t child = fork();
  check(child, kStep);
  if (child == 0) {
    set_signals(SIG_DFL);
    return;
  }
  syscall(SYS_close_range, 0, ~0U, 0);
  int ended = 0;
  while (waitpid(child, &ended, 0) < 0) {
  }
  end_as(ended);
}

}  // namespace sandbox
