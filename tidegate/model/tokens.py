# SPDX-License-Identifier: Apache-2.0
"""Tokens of service accounts, as the API server issues them and the node writes them into volumes. Pure."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple

from tidegate.model.objects import Key, Object

DEFAULT_SECONDS = 3600
"""The lifetime of a token whose request names none."""

DEFAULT_ACCOUNT = "default"
"""The service account of a Pod that names none."""


class TokenOptions(NamedTuple):
    """The audiences and the lifetime of a token. No audience: the API."""

    audiences: tuple[str, ...] = ()
    seconds: int = DEFAULT_SECONDS


class IssuedToken(NamedTuple):
    """A token and its end."""

    text: str
    expires: datetime


IssueToken = Callable[[Key, TokenOptions, Object], Awaitable[IssuedToken]]
"""(service account, options, Pod) -> a token bound to that Pod. Raises `errors.ApiError`."""
