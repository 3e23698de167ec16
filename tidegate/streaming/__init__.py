# SPDX-License-Identifier: Apache-2.0
"""Several streams over one connection, as kubectl speaks them: WebSocket channels and SPDY/3.1."""
