// SPDX-License-Identifier: Apache-2.0
// What a process can give up for good. Each answers whether the kernel did it; errno says why not.
#pragma once

namespace confine {

// No capability passes an exec by the inheritable set.
bool clear_inheritable();

// From here on nothing can be written, made or removed but below /dev. Landlock, version 3 (Linux 6.2).
bool write_only_below_dev();

// From here on the system calls fail with EPERM that Docker's default profile refuses to a process without capabilities.
bool refuse_calls();

}  // namespace confine
