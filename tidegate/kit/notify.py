# SPDX-License-Identifier: Apache-2.0
"""How a service says that it is ready, and what it is doing: the protocol of systemd's sd_notify.

In: messages as "READY=1" or "STATUS=...". Out: datagrams to the socket that $NOTIFY_SOCKET names; nothing where none
does. Who: `embedded.py`; `kit.keeper` and systemd listen.
"""

import os
import socket
from contextlib import suppress


def notify(message: str) -> None:
    """Send one message. It is news: where nobody can take it, it is dropped."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.setblocking(False)
        sender.sendto(message.encode(), f"\0{address[1:]}" if address.startswith("@") else address)


def status(text: str) -> None:
    """Say in a line what is being done."""
    notify(f"STATUS={text.partition(chr(10))[0]}")


def ready() -> None:
    """Say that it serves."""
    notify("READY=1")
