# SPDX-License-Identifier: Apache-2.0
"""Routes and backends as Envoy resources, and the management server that sends them to every Envoy."""

import os

# Set before gRPC is imported. Its fork() handlers are for children that continue to use gRPC; our children become other
# programs at once, and each would write a line to stderr.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
