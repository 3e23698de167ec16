# SPDX-License-Identifier: Apache-2.0
"""The errors of the Pod network. Each message is one line."""


class NetworkUnavailable(Exception):
    """A Pod cannot have a network of its own."""


class FirewallError(Exception):
    """nft failed."""


class NoSubnet(Exception):
    """No subnet is free, or the chosen one is not."""
