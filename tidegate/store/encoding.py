# SPDX-License-Identifier: Apache-2.0
"""An object as the bytes that are stored."""

import msgspec

from tidegate.model import errors
from tidegate.model.objects import Object

LARGEST = 3 * 512 * 1024
"""Limit on an object's JSON, in bytes, as in etcd."""


def encoded(obj: Object) -> bytes:
    """An object's JSON, as it is stored. Raises `BadRequest` if it has none, `TooLarge` beyond the limit."""
    try:
        value = msgspec.json.encode(obj)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise errors.BadRequest(f"the object cannot be written as JSON: {error}") from error
    if len(value) > LARGEST:
        raise errors.TooLarge(f"the object is too large: {len(value)} bytes, the limit is {LARGEST}")
    return value
