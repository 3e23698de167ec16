// SPDX-License-Identifier: Apache-2.0
#include "sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

namespace sandbox {
namespace {

constexpr char kStep[] = "sandbox";
constexpr unsigned kCloseOnExec = 1 << 2;  // CLOSE_RANGE_CLOEXEC, which older headers do not have
constexpr unsigned kCloneTree = 1 | O_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH;  // OPEN_TREE_CLONE
constexpr unsigned kFromFile = 4;                                             // MOVE_MOUNT_F_EMPTY_PATH

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

// How many words follow an option of bubblewrap. Those words may be any text, e.g. "--bind".
std::size_t values_of(const std::string& option) {
  for (const char* two : {"--bind", "--ro-bind", "--symlink", "--show"})
    if (option == two) return 2;
  for (const char* none : {"--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-user"})
    if (option == none) return 0;
  return 1;
}

// A mount of bubblewrap's: the words of `Orders` that ask for it, and a copy of the source's mounts.
struct Source {
  std::size_t word;
  int file;
};

// The arguments of bubblewrap, in which each "--show MODE PATH" has become a bind of the opened file, so that the very
// file is bound that the user of the program may see, whatever takes its place. A path that this user cannot reach, or
// that does not exist, is left out. `sources`: the binds among them.
Texts opened(const Orders& orders, std::size_t first, std::vector<Source>& sources) {
  const Texts& all = orders.sandbox;
  Texts words = {all.at(first)};
  for (std::size_t at = first + 1; at < all.size();) {
    const std::size_t end = at + 1 + values_of(all[at]);
    if (end > all.size()) fail(kStep, EINVAL);
    if (all[at] == "--show") {
      const AsUser user(orders);
      if (const int file = open(all[at + 2].c_str(), O_PATH); file >= 0) {
        sources.push_back({words.size(), file});
        words.push_back(all[at + 1] == "rw" ? "--bind-fd" : "--ro-bind-fd");
        words.push_back(std::to_string(file));
        words.push_back(all[at + 2]);
      }
    } else {
      if (all[at] == "--bind" || all[at] == "--ro-bind") sources.push_back({words.size(), -1});
      words.insert(words.end(), all.begin() + static_cast<long>(at), all.begin() + static_cast<long>(end));
    }
    at = end;
  }
  return words;
}

// Enters the small mount namespace in the file `path`, in a copy of its own, with the sources of the binds and no other
// mount of the host: bubblewrap reads the whole table of mounts for each bind.
void enter_mounts(const std::string& path, Texts& words, const std::vector<Source>& sources) {
  std::vector<int> trees;
  for (const Source& source : sources) {
    const std::string from = source.file >= 0 ? "" : words[source.word + 1];
    const int folder = source.file >= 0 ? source.file : AT_FDCWD;
    trees.push_back(static_cast<int>(syscall(SYS_open_tree, folder, from.c_str(), kCloneTree)));
    check(trees.back(), kStep);
    if (source.file >= 0) close(source.file);
  }
  const int mounts = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  check(mounts, kStep);
  check(setns(mounts, CLONE_NEWNS), kStep);
  close(mounts);
  check(unshare(CLONE_NEWNS), kStep);
  for (std::size_t at = 0; at < trees.size(); ++at) {
    struct stat state {};
    check(fstatat(trees[at], "", &state, AT_EMPTY_PATH), kStep);
    const bool is_folder = S_ISDIR(state.st_mode);
    const std::string place = (is_folder ? "/tmp/folder" : "/tmp/file") + std::to_string(at);
    if (is_folder) {
      if (mkdir(place.c_str(), 0700) < 0 && errno != EEXIST) fail(kStep);  // sandboxes share the file system
    } else {
      const int made = open(place.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
      check(made, kStep);
      close(made);
    }
    check(syscall(SYS_move_mount, trees[at], "", AT_FDCWD, place.c_str(), kFromFile), kStep);
    close(trees[at]);
    std::string& option = words[sources[at].word];
    if (option.ends_with("-fd")) option.resize(option.size() - 3);
    words[sources[at].word + 1] = place;
  }
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
  const bool is_small = orders.sandbox[0] == "--mounts" && orders.sandbox.size() > 2;
  std::vector<Source> sources;
  Texts words = opened(orders, is_small ? 2 : 0, sources);
  const int itself = open("/proc/self/exe", O_PATH);
  check(itself, kStep);
  if (is_small) enter_mounts(orders.sandbox[1], words, sources);
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

void hold_mounts() {
  constexpr char kRoot[] = "/tmp/root";
  check(unshare(CLONE_NEWNS), kStep);
  check(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), kStep);
  check(mount("tidegate", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700,size=1m"), kStep);
  check(mkdir(kRoot, 0700), kStep);
  check(mount("/", kRoot, nullptr, MS_BIND, nullptr), kStep);
  for (const char* each : {"/usr", "/bin", "/lib", "/lib32", "/lib64", "/nix", "/etc", "/proc", "/dev"}) {
    struct stat state {};
    if (lstat(each, &state) < 0 || !S_ISDIR(state.st_mode)) continue;
    const bool has_more = std::string(each) != "/proc";
    check(mount(each, (kRoot + std::string(each)).c_str(), nullptr, MS_BIND | (has_more ? MS_REC : 0), nullptr), kStep);
  }
  check(mount("tidegate", (kRoot + std::string("/tmp")).c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700,size=4m"),
        kStep);
  check(chdir(kRoot), kStep);
  check(syscall(SYS_pivot_root, ".", "."), kStep);
  check(umount2(".", MNT_DETACH), kStep);
  const int itself = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  check(setns(itself, CLONE_NEWNS), kStep);  // what `enter_mounts` does, as a trial
  check(syscall(SYS_open_tree, AT_FDCWD, "/usr", kCloneTree), kStep);
  check(write(answer, "+", 1), kStep);
  char end;
  (void)!::read(STDIN_FILENO, &end, 1);
}

void be_init(int status) {
  set_signals(SIG_DFL);
  check(write(answer, "+", 1), kStep);
  prctl(PR_SET_DUMPABLE, 0);  // never to be traced by the program: it would be stopped for good as its tracer ends
  const pid_t child = fork();
  check(child, kStep);
  if (child == 0) {
    check(syscall(SYS_close_range, 3, ~0U, kCloseOnExec), kStep);  // bubblewrap's, STATUS, this program itself
    return;
  }
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
