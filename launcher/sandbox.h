// SPDX-License-Identifier: Apache-2.0
// The sandbox of a container: bubblewrap around the launcher itself, which is then the first process of a PID namespace.
#pragma once

#include "orders.h"

namespace sandbox {

// Becomes bubblewrap, which runs this program again in the sandbox: `init`, with the file STATUS passed on. As the
// leader of the container it ignores the signals that are sent to the whole process group.
[[noreturn]] void enter_new(const Orders& orders, int status);

// Makes the small mount namespace in which bubblewrap begins (the file after "--mounts"): the root file system and what
// bubblewrap itself needs. Answers "+", and returns at the end of its stdin.
void hold_mounts();

// In the sandbox, as PID 1: forks, and returns in the child. The parent reaps every process until the child ends, and
// writes the child's wait status to the file STATUS. Its end ends all other processes of the sandbox.
void be_init(int status);

// Enters the sandbox that the process `orders.beside` leads, forks, and returns in the child, which is in all namespaces
// of the sandbox. The parent stays outside and ends as the child ends. If the orders say so, both end with `agent`.
void enter_existing(const Orders& orders, pid_t agent);

// Ends this process when its parent ends.
void end_with_parent();

}  // namespace sandbox
