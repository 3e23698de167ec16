# SPDX-License-Identifier: Apache-2.0
"""Objects as text for stdout."""

from typing import Any

import msgspec


def json_text(value: Any, indent: int = 2) -> str:
    """JSON for a reader."""
    return msgspec.json.format(msgspec.json.encode(value), indent=indent).decode()
