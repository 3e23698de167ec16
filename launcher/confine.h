// SPDX-License-Identifier: Apache-2.0
// Privileges that a process can give up for good. Each function returns whether the kernel did it; errno has the
// reason.
#pragma once

namespace confine {

// No capability survives an exec through the inheritable set.
bool clear_inheritable();

// No program that this process executes has a capability, also one of root's.
bool drop_capabilities();

// From here on the process can write, create and remove files only below /dev. Needs Landlock version 3 (Linux 6.2).
bool write_only_below_dev();

// From here on, system calls that Docker's default profile denies to a process without capabilities fail with EPERM.
bool filter_system_calls();

}  // namespace confine
