# SPDX-License-Identifier: Apache-2.0
"""Values as JSON text for stdout."""

from typing import Any

import msgspec


def json_text(value: Any, indent: int = 2) -> str:
    """Indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=indent).decode()
