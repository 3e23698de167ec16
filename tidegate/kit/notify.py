# SPDX-License-Identifier: Apache-2.0
"""Reports of a service that it is ready, and its status: the protocol of systemd's sd_notify.

In: messages, e.g. "READY=1" or "STATUS=...". Out: datagrams to the socket that $NOTIFY_SOCKET names; nothing where none
does. Called by: `embedded.py`; `kit.keeper` and systemd listen.
"""

import os
import socket
from contextlib import suppress


def notify(message: str) -> None:
    """Send one message. If nobody receives it, it is dropped."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.setblocking(False)
        sender.sendto(message.encode(), f"\0{address[1:]}" if address.startswith("@") else address)


def status(text: str) -> None:
    """Report the current step, in one line."""
    notify(f"STATUS={text.partition(chr(10))[0]}")


def ready() -> None:
    """Report that the service is ready."""
    notify("READY=1")
