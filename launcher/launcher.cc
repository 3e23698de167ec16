// SPDX-License-Identifier: Apache-2.0
// Becomes an instance's program: sets the user, the limits and the view of files that its orders say, and executes the
// program.
//
//     launcher ORDERS ANSWER      two file descriptors
//
// In: ORDERS, texts that end in NUL, in the order of `Orders::read`. The launcher reads them to their end before it
// does anything. The node agent writes them once it has recorded this process; a process that is not recorded executes
// nothing. Out: after a failure, ANSWER has "STEP ERRNO"; a successful exec closes it empty.
//
// The launcher is a separate program for two reasons: giving up a user or capabilities must not affect the node agent,
// and while it runs as root its environment is empty. (The app's environment may contain LD_PRELOAD.)
//
// Called by: tidegate/node/runtimes/process/launcher.py.
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "confine.h"

namespace {

constexpr char kDefaultPath[] = "/usr/local/bin:/usr/bin:/bin";

int answer = -1;

[[noreturn]] void fail(const char* step, int error = errno) {
  const std::string text = std::string(step) + " " + std::to_string(error);
  (void)!write(answer, text.data(), text.size());
  _exit(127);
}

void check(long result, const char* step) {
  if (result < 0) fail(step);
}

using Texts = std::vector<std::string>;

struct Orders {
  long files;                  // soft limit of open files, at most the hard limit
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

  static Orders read(int file);
};

class Reader {
 public:
  explicit Reader(int file) {
    char chunk[16384];
    for (;;) {
      const ssize_t got = ::read(file, chunk, sizeof chunk);
      if (got < 0 && errno == EINTR) continue;
      check(got, "orders");
      if (got == 0) break;
      all_.append(chunk, static_cast<std::size_t>(got));
    }
  }

  std::string text() {
    const std::size_t end = all_.find('\0', at_);
    if (end == std::string::npos) fail("orders", EPIPE);  // the writer ended before it had written all of it
    std::string found = all_.substr(at_, end - at_);
    at_ = end + 1;
    return found;
  }

  long number() { return std::strtol(text().c_str(), nullptr, 10); }

  // The ID of a user or group. A number that does not fit would become another ID, e.g. that of root.
  std::uint32_t id() {
    const long found = number();
    if (found < 0 || found > INT32_MAX) fail("user", EINVAL);
    return static_cast<std::uint32_t>(found);
  }

  Texts texts() {
    Texts found;
    for (long left = number(); left > 0; --left) found.push_back(text());
    return found;
  }

 private:
  std::string all_;
  std::size_t at_ = 0;
};

Orders Orders::read(int file) {
  Reader reader(file);
  Orders orders;
  orders.files = reader.number();
  orders.covered = reader.texts();
  orders.exposed = reader.texts();
  orders.switches_user = reader.number() != 0;
  orders.capabilities = std::strtoull(reader.text().c_str(), nullptr, 10);
  orders.user = reader.id();
  orders.group = reader.id();
  for (long left = reader.number(); left > 0; --left) orders.groups.push_back(reader.id());
  orders.directory = reader.text();
  orders.gains_privileges = reader.number() != 0;
  orders.read_only = reader.number() != 0;
  orders.filtered = reader.number() != 0;
  orders.attended = reader.number() != 0;
  orders.has_terminal = reader.number() != 0;
  orders.program = reader.texts();
  orders.environment = reader.texts();
  if (reader.text() != "end" || orders.program.empty()) fail("orders", EPIPE);
  return orders;
}

void limit_files(long soft) {
  rlimit limit{};
  check(getrlimit(RLIMIT_NOFILE, &limit), "limits");
  limit.rlim_cur = std::min<rlim_t>(static_cast<rlim_t>(soft), limit.rlim_max);
  check(setrlimit(RLIMIT_NOFILE, &limit), "limits");
}

void make_folders(const std::string& path, std::size_t from) {
  for (std::size_t end = path.find('/', from + 1);; end = path.find('/', end + 1)) {
    if (mkdir(path.substr(0, end).c_str(), 0755) < 0 && errno != EEXIST) fail("mounts");
    if (end == std::string::npos) return;
  }
}

// Hides each covered folder behind an empty folder, and shows the exposed folders in it at their old paths.
void cover(const Texts& covered, const Texts& exposed) {
  if (covered.empty()) return;
  check(unshare(CLONE_NEWNS), "mounts");
  check(mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr), "mounts");
  std::vector<int> handles;
  for (const std::string& path : exposed) {
    handles.push_back(open(path.c_str(), O_PATH | O_CLOEXEC));
    check(handles.back(), "mounts");
  }
  for (const std::string& path : covered)
    check(mount("tidegate", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=64k"), "mounts");
  for (std::size_t index = 0; index < exposed.size(); ++index) {
    make_folders(exposed[index], 0);
    const std::string from = "/proc/self/fd/" + std::to_string(handles[index]);
    check(mount(from.c_str(), exposed[index].c_str(), nullptr, MS_BIND | MS_REC, nullptr), "mounts");
  }
  for (const std::string& path : covered)
    check(mount(nullptr, path.c_str(), nullptr, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr),
          "mounts");
}

void become(const Orders& orders) {
  for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
    if (!(orders.capabilities >> capability & 1))
      check(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "capabilities");
  check(setgroups(orders.groups.size(), orders.groups.data()), "groups");
  check(setresgid(orders.group, orders.group, orders.group), "group");
  check(setresuid(orders.user, orders.user, orders.user), "user");
  uid_t user[3];
  gid_t group[3];
  check(getresuid(&user[0], &user[1], &user[2]), "user");
  check(getresgid(&group[0], &group[1], &group[2]), "group");
  for (const uid_t each : user)
    if (each != orders.user) fail("user", EINVAL);  // the ID -1 changes nothing
  for (const gid_t each : group)
    if (each != orders.group) fail("group", EINVAL);
}

std::vector<char*> pointers(Texts& texts) {
  std::vector<char*> found;
  for (std::string& text : texts) found.push_back(text.data());
  found.push_back(nullptr);
  return found;
}

std::string path_of(const Texts& environment) {
  for (const std::string& variable : environment)
    if (variable.starts_with("PATH=")) return variable.substr(5);
  return kDefaultPath;
}

// Like execvp, but with the PATH of the program's environment.
[[noreturn]] void execute(Orders& orders) {
  const std::vector<char*> arguments = pointers(orders.program), variables = pointers(orders.environment);
  const std::string name = orders.program[0];
  if (name.find('/') != std::string::npos || name.empty()) {
    execve(name.c_str(), arguments.data(), variables.data());
    fail("program");
  }
  int worst = ENOENT;
  const std::string path = path_of(orders.environment);
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find(':', start), path.size());
    const std::string folder = path.substr(start, end - start);
    execve(((folder.empty() ? "." : folder) + "/" + name).c_str(), arguments.data(), variables.data());
    if (errno != ENOENT && errno != ENOTDIR) worst = errno;
    start = end + 1;
  }
  fail("program", worst);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  const pid_t agent = getppid();
  answer = std::atoi(arguments[2]);
  fcntl(answer, F_SETFD, FD_CLOEXEC);
  const int file = std::atoi(arguments[1]);
  Orders orders = Orders::read(file);
  close(file);
  if (orders.has_terminal) check(ioctl(STDIN_FILENO, TIOCSCTTY, 0), "terminal");
  umask(022);
  limit_files(orders.files);
  cover(orders.covered, orders.exposed);
  check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "capabilities");  // e.g. of a systemd unit
  if (orders.switches_user) become(orders);
  if (!confine::clear_inheritable()) fail("capabilities");
  check(chdir(orders.directory.c_str()), "directory");
  if (!orders.gains_privileges) check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "privileges");
  if (orders.read_only && !confine::write_only_below_dev()) fail("readOnlyRootFilesystem");
  if (orders.attended) {  // a change of the user clears it
    check(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "parent");
    if (getppid() != agent) fail("parent", ESRCH);
  }
  if (orders.filtered && !confine::filter_system_calls()) fail("seccompProfile");
  execute(orders);
}
