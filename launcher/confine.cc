// SPDX-License-Identifier: Apache-2.0
#include "confine.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace confine {
namespace {

// From linux/landlock.h, which older systems do not have. The numbers are the same on every architecture.
constexpr long kCreateRuleset = 444, kAddRule = 445, kRestrictSelf = 446;
constexpr int kPathBeneath = 1;
constexpr std::uint64_t kWriteFile = 1 << 1, kTruncate = 1 << 14;
constexpr std::uint64_t kRemoveAndMake = (1 << 14) - (1 << 4);  // REMOVE_DIR up to REFER
constexpr std::uint64_t kWrites = kWriteFile | kRemoveAndMake | kTruncate;

struct Ruleset {
  std::uint64_t handled;
};

struct __attribute__((packed)) Rule {
  std::uint64_t allowed;
  std::int32_t folder;
};

bool allow(int ruleset, const char* path, std::uint64_t access) {
  const int folder = open(path, O_PATH | O_CLOEXEC);
  if (folder < 0) return errno == ENOENT;
  const Rule rule{access, folder};
  const bool done = syscall(kAddRule, ruleset, kPathBeneath, &rule, 0) == 0;
  close(folder);
  return done;
}

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr std::uint32_t kArchitecture = 0;
#endif

// System calls that Docker's profile allows only with a capability: https://docs.docker.com/engine/security/seccomp
constexpr int kDenied[] = {
    SYS_acct,          SYS_add_key,       SYS_bpf,           SYS_clock_settime, SYS_delete_module, SYS_finit_module,
    SYS_init_module,   SYS_kcmp,          SYS_kexec_load,    SYS_keyctl,        SYS_lookup_dcookie, SYS_mount,
    SYS_move_pages,    SYS_nfsservctl,    SYS_open_by_handle_at, SYS_perf_event_open, SYS_pivot_root, SYS_quotactl,
    SYS_reboot,        SYS_request_key,   SYS_setns,         SYS_settimeofday,  SYS_swapoff,       SYS_swapon,
    SYS_umount2,       SYS_unshare,       SYS_userfaultfd,   SYS_vhangup,
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
#ifdef SYS_ioperm
    SYS_ioperm,        SYS_iopl,          SYS_uselib,        SYS_ustat,         SYS_sysfs,
#endif
    425, 426, 427,           // io_uring_*
    428, 429, 430, 431, 432, 433, 442,  // open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr
};
constexpr int kClone3 = 435;
constexpr std::uint32_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                      CLONE_NEWPID | CLONE_NEWNET;

constexpr sock_filter load(std::size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}
constexpr sock_filter deny(int error) {
  return BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error));
}

std::vector<sock_filter> filter() {
  std::vector<sock_filter> code = {
      load(offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0),
      deny(EPERM),  // on another architecture the numbers below are other calls
      load(offsetof(seccomp_data, nr)),
#if defined(__x86_64__)
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1),  // x32
      deny(EPERM),
#endif
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kClone3, 0, 1),
      deny(ENOSYS),  // a filter cannot read its flags; C libraries fall back to clone
  };
  for (const int call : kDenied) {
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 1));
    code.push_back(deny(EPERM));
  }
  code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3));
  code.push_back(load(offsetof(seccomp_data, args)));
  code.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kNamespaces, 0, 1));
  code.push_back(deny(EPERM));
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  return code;
}

}  // namespace

bool clear_inheritable() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
  if (syscall(SYS_capget, &header, data) < 0) return false;
  for (auto& each : data) each.inheritable = 0;
  return syscall(SYS_capset, &header, data) == 0;
}

bool drop_capabilities() {
  for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 && errno != EPERM) return false;  // it has none that could
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  return syscall(SYS_capset, &header, none) == 0;
}

bool write_only_below_dev() {
  const Ruleset wanted{kWrites};
  const int ruleset = static_cast<int>(syscall(kCreateRuleset, &wanted, sizeof wanted, 0));
  if (ruleset < 0) return false;
  const bool done = allow(ruleset, "/dev", kWriteFile | kTruncate) && allow(ruleset, "/dev/shm", kWrites) &&
                    syscall(kRestrictSelf, ruleset, 0) == 0;
  close(ruleset);
  return done;
}

bool filter_system_calls() {
  if (kArchitecture == 0) {
    errno = ENOSYS;
    return false;
  }
  std::vector<sock_filter> code = filter();
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace confine
