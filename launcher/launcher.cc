// SPDX-License-Identifier: Apache-2.0
// Becomes an instance's program: sets the user, the limits and the view of files that its orders say, and executes the
// program.
//
//     launcher ORDERS ANSWER STATUS [init]      three file descriptors
//     launcher mounts                           holds a mount namespace (`sandbox.h`)
//
// In: ORDERS, texts that end in NUL, in the order of `Orders::read`. The launcher reads them to their end before it
// does anything. The node agent writes them once it has recorded this process; a process that is not recorded executes
// nothing. Out: after a failure, ANSWER has "STEP ERRNO"; a successful exec closes it empty. In a sandbox, STATUS gets
// the wait status of the program; bubblewrap's exit code does not distinguish a signal.
//
// If the orders ask for a sandbox, the launcher becomes bubblewrap, which runs it again in the sandbox (`init`); there
// it first writes "+" to ANSWER, as the sign that bubblewrap has made the sandbox.
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
#include <cstdlib>
#include <string>
#include <vector>

#include "confine.h"
#include "orders.h"
#include "sandbox.h"

namespace {

constexpr char kDefaultPath[] = "/usr/local/bin:/usr/bin:/bin";

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
  if (count == 2 && std::string(arguments[1]) == "mounts") {
    answer = STDOUT_FILENO;
    sandbox::hold_mounts();
    return 0;
  }
  if (count != 4 && count != 5) return 2;
  const bool is_init = count == 5;
  const pid_t agent = getppid();
  answer = std::atoi(arguments[2]);
  const int file = std::atoi(arguments[1]), status = std::atoi(arguments[3]);
  fcntl(answer, F_SETFD, FD_CLOEXEC);
  Orders orders = Orders::read(file);
  close(file);
  if (orders.has_terminal) check(ioctl(STDIN_FILENO, TIOCSCTTY, 0), "terminal");
  umask(022);
  if (is_init) {
    sandbox::be_init(status);
  } else {
    limit_files(orders.files);
    if (!orders.sandbox.empty()) sandbox::enter_new(orders, status);
    close(status);
    if (orders.beside != 0)
      sandbox::enter_existing(orders, agent);
    else
      cover(orders.covered, orders.exposed);
  }
  check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "capabilities");  // e.g. of a systemd unit
  if (orders.switches_user)
    become(orders);
  else if ((is_init || orders.beside != 0) && !confine::drop_capabilities())  // root's: it could leave the sandbox
    fail("capabilities");
  if (!confine::clear_inheritable()) fail("capabilities");
  check(chdir(orders.directory.c_str()), "directory");
  if (!orders.gains_privileges) check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "privileges");
  if (orders.read_only && !confine::write_only_below_dev()) fail("readOnlyRootFilesystem");
  if (orders.attended) {  // a change of the user clears it
    sandbox::end_with_parent();
    if (orders.beside == 0 && getppid() != agent) fail("parent", ESRCH);
  }
  if (orders.filtered && !confine::filter_system_calls()) fail("seccompProfile");
  execute(orders);
}
