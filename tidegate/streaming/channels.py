# SPDX-License-Identifier: Apache-2.0
"""The channels of a session over WebSocket: the first byte of a message is the number of its stream. Pure.

Subprotocols: `v5.channel.k8s.io` (the client may close stdin), `v4.channel.k8s.io` (the error channel has a Status),
`channel.k8s.io` (it has a text), and two forms in text messages of base64.
Rule: k8s.io/apimachinery pkg/util/remotecommand and k8s.io/apiserver pkg/util/wsstream.
"""

import base64
import binascii

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
"""`CLOSE`: its message is the number of the channel that the sender closes."""

V5, V4, V1 = "v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"
V4_BASE64, V1_BASE64 = "v4.base64.channel.k8s.io", "base64.channel.k8s.io"
TUNNEL = "SPDY/3.1+portforward.k8s.io"
"""SPDY in the messages of a WebSocket, for port-forward."""

_ZERO = ord("0")


def encoded(channel: int, data: bytes, *, is_text: bool) -> bytes:
    """A message; `is_text`: in base64."""
    if is_text:
        return bytes([_ZERO + channel]) + base64.b64encode(data)
    return bytes([channel]) + data


class ChannelReader:
    """Decodes the messages of a client, in the pieces in which they arrive."""

    def __init__(self, *, is_text: bool) -> None:
        self._is_text = is_text
        self._channel: int | None = None
        self._rest = b""

    def feed(self, piece: bytes, *, starts: bool) -> tuple[int, bytes] | None:
        """The channel and its bytes; None if the piece has none. Raises `ValueError` for malformed base64."""
        if starts:
            self._channel, self._rest = None, b""
        if self._channel is None:
            if not piece:
                return None
            self._channel, piece = piece[0] - (_ZERO if self._is_text else 0), piece[1:]
        if self._is_text:
            text = self._rest + piece
            whole = len(text) // 4 * 4
            self._rest = text[whole:]
            try:
                piece = base64.b64decode(text[:whole], validate=True)
            except binascii.Error as error:
                raise ValueError(f"malformed base64: {error}") from error
        return (self._channel, piece) if piece else None
