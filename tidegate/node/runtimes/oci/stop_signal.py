# SPDX-License-Identifier: Apache-2.0
"""The signal by which an image wants to be stopped. Pure.

In: STOPSIGNAL, e.g. SIGQUIT, QUIT, 3 or RTMIN+3. Out: a number; that of SIGTERM for a text that names no signal.
Called by: `creation.py`.
"""

import re
import signal

_NAME = re.compile(r"(?:SIG)?([A-Z0-9]+?)(?:\+(\d{1,2}))?")


def stop_signal(text: str) -> int:
    """The number of a signal."""
    if text.isascii() and text.isdecimal() and len(text) < 4:
        return int(text) if 0 < int(text) < signal.NSIG else signal.SIGTERM.value
    found = _NAME.fullmatch(text.upper())
    base = getattr(signal, f"SIG{found[1]}", None) if found is not None else None
    if found is None or not isinstance(base, signal.Signals):
        return signal.SIGTERM.value
    number = base + int(found[2] or 0)
    return number if number < signal.NSIG else base.value
