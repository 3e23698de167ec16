// SPDX-License-Identifier: Apache-2.0
// The Envoy process that the gate runs in: its name for the control plane, and SIGTERM.
#pragma once

#include <string>

namespace gate {

// $TIDEGATE_GATEWAY; without it, the process's id and start time, which are unique within a boot.
std::string gateway_id();

// A signalfd of SIGTERM if the process was started with SIGTERM blocked, else -1. A SIGTERM that is already pending is
// discarded: the kernel sends one to Envoy when Envoy's parent ends, and Envoy must outlive its parent.
int blocked_sigterm();

// Unblocks SIGTERM and sends it to this process: Envoy's own handler ends the process.
void end_by_sigterm();

}  // namespace gate
