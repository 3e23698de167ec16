# SPDX-License-Identifier: Apache-2.0
"""Routes and backends in Envoy's words, and the management server that brings them to every Envoy."""

import os

# Before gRPC is imported. Its handlers of fork() are for children that go on to use it; ours become other programs at
# once, and each would leave a line on stderr.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
