# SPDX-License-Identifier: Apache-2.0
"""The reasons of containers that the OCI runtime cannot make or start, and its own words.

In: the log of the runtime, a file of JSON lines. Out: the message for the container's status. Pure.
"""

import json

CREATE_ERROR = "CreateContainerError"
"""Something of this host is missing, or refuses."""

RUN_ERROR = "RunContainerError"
"""The runtime could not make the container as its configuration says, e.g. its program does not exist."""

_MOST = 2048  # characters of a message
_OVERHEAD = ("runc create failed: ", "unable to start container process: ", "exec failed: ")


class RuntimeFailure(Exception):
    """The OCI runtime failed; the message is its own."""


def message_of(log: bytes) -> str:
    """The last error that a runtime logged; "" for none."""
    for line in reversed(log.decode(errors="replace").splitlines()):
        try:
            entry = json.loads(line)
        except ValueError:
            return line.strip()[:_MOST]  # the end of a line that was cut off
        if isinstance(entry, dict) and entry.get("level") in ("error", "fatal") and entry.get("msg"):
            return _shortened(str(entry["msg"]))
    return ""


def _shortened(message: str) -> str:
    for words in _OVERHEAD:
        message = message.replace(words, "")
    return message.strip()[:_MOST]
