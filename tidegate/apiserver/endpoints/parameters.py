# SPDX-License-Identifier: Apache-2.0
"""The query of a request, parsed once into records. An invalid parameter is rejected with its name. Pure.

Rules for resourceVersion and related parameters:
https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions and k8s.io/apimachinery
api/meta/internalversion/validation.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from starlette.datastructures import ImmutableMultiDict

from tidegate.model import errors
from tidegate.model.errors import Cause
from tidegate.model.kinds import Kind
from tidegate.model.logs import LogOptions
from tidegate.model.objects import Key
from tidegate.model.registry.deletion import DeleteOptions, Propagation
from tidegate.model.registry.selectors import Selection, selection
from tidegate.model.sessions import SessionOptions

Query = Mapping[str, str]
MultiDict = ImmutableMultiDict[str, str]
"""A query in which a parameter may be there several times."""

_MOST_DIGITS = 18  # of an int64
_LONG_AGO = 10**9  # seconds
_PORT = re.compile("[0-9]{1,5}")
_LARGEST_PORT = 65535

_PROPAGATION: dict[str, Propagation] = {
    "Background": "Background",
    "Foreground": "Foreground",
    "Orphan": "Orphan",
}


def flag(query: Query, name: str) -> bool:
    value = query.get(name, "")
    if value.lower() in ("true", "1"):
        return True
    if value.lower() in ("", "false", "0"):
        return False
    raise errors.BadRequest(f'{name}: Invalid value: "{value}": must be true or false')


def number(query: Query, name: str) -> int | None:
    value = query.get(name, "")
    if not value:
        return None
    if not value.isascii() or not value.isdigit() or len(value) > _MOST_DIGITS:
        raise errors.BadRequest(f'{name}: Invalid value: "{value}": must be a number that is not negative')
    return int(value)


def dry_run(query: Query) -> bool:
    value = query.get("dryRun", "")
    if value not in ("", "All"):
        raise _unsupported("dryRun", value, '"All"')
    return value == "All"


def field_validation(query: Query) -> str:
    """ "Strict", "Warn" (the default) or "Ignore"."""
    value = query.get("fieldValidation") or "Warn"
    if value not in ("Strict", "Warn", "Ignore"):
        raise _unsupported("fieldValidation", value, '"", "Ignore", "Strict", "Warn"')
    return value


def _unsupported(name: str, value: str, supported: str) -> errors.Invalid:
    message = f'Unsupported value: "{value}": supported values: {supported}'
    return errors.Invalid(f"{name}: {message}", causes=(Cause("FieldValueNotSupported", message, name),))


def _forbidden(name: str, why: str) -> errors.Invalid:
    return errors.Invalid(
        f"{name}: Forbidden: {why}", causes=(Cause("FieldValueForbidden", f"Forbidden: {why}", name),)
    )


@dataclass(frozen=True, slots=True)
class ListOptions:
    """The requested part of a collection. `at`: the exact revision; `at_least`: a revision that the store must have
    reached."""

    selection: Selection
    limit: int
    at: int | None
    at_least: int
    after: Key | None


def list_options(kind: Kind, query: Query) -> ListOptions:
    version = number(query, "resourceVersion")
    match = query.get("resourceVersionMatch", "")
    limit = number(query, "limit") or 0
    if match not in ("", "Exact", "NotOlderThan"):
        raise _unsupported("resourceVersionMatch", match, '"Exact", "NotOlderThan"')
    if match and version is None:
        raise _forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided")
    if match == "Exact" and version == 0:
        raise _forbidden("resourceVersionMatch", 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
    if query.get("sendInitialEvents"):
        raise _forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")
    selected = selection(kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))
    if query.get("continue"):
        at, after = _continued(query["continue"])
        return ListOptions(selected, limit, at, 0, after)
    exact = match == "Exact" or (not match and bool(version) and limit > 0)
    return ListOptions(selected, limit, version if exact else None, version or 0, None)


def continuation(revision: int, last: Key) -> str:
    """The opaque token for the next page of a list."""
    token = msgspec.json.encode([revision, last.namespace, last.name])
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def _continued(token: str) -> tuple[int, Key]:
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        revision, namespace, name = msgspec.json.decode(raw, type=tuple[int, str, str])
    except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
        raise errors.BadRequest(f"continue key is not valid: {error}") from error
    return revision, Key(namespace, name)


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """The options of a watch. `since` None: begin with the existing objects; `initial`: send a bookmark after them."""

    selection: Selection
    since: int | None
    at_least: int
    initial: bool
    bookmarks: bool
    timeout: float | None


def watch_options(kind: Kind, query: Query, name: str = "") -> WatchOptions:
    version = number(query, "resourceVersion")
    bookmarks = flag(query, "allowWatchBookmarks")
    initial = flag(query, "sendInitialEvents")
    match = query.get("resourceVersionMatch", "")
    if match and "sendInitialEvents" not in query:
        why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        raise _forbidden("resourceVersionMatch", why)
    if "sendInitialEvents" in query and match != "NotOlderThan":
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        raise _forbidden("resourceVersionMatch", why)
    if initial and not bookmarks:
        raise _forbidden("allowWatchBookmarks", "sendInitialEvents requires allowWatchBookmarks")
    fields = ",".join(filter(None, (query.get("fieldSelector", ""), f"metadata.name={name}" if name else "")))
    selected = selection(kind, query.get("labelSelector", ""), fields)
    fresh = initial or not version
    if "sendInitialEvents" in query and not initial:
        fresh = False
    return WatchOptions(
        selected, None if fresh else version or 0, version or 0, initial, bookmarks, number(query, "timeoutSeconds")
    )


class _Preconditions(msgspec.Struct):
    uid: str | None = None
    resourceVersion: str | None = None  # noqa: N815 (the name in the API)


class _DeleteOptions(msgspec.Struct):
    preconditions: _Preconditions | None = None
    propagationPolicy: str | None = None  # noqa: N815
    gracePeriodSeconds: Annotated[int, msgspec.Meta(ge=0)] | None = None  # noqa: N815
    dryRun: list[Literal["All"]] | None = None  # noqa: N815


def delete_options(query: Query, body: Any) -> DeleteOptions:
    """From the query and the DeleteOptions in the body, if there is one. The body wins."""
    try:
        given = msgspec.convert({} if body is None else body, _DeleteOptions)
    except msgspec.ValidationError as error:
        raise errors.BadRequest(f"the body is not a valid DeleteOptions: {error}") from error
    preconditions = given.preconditions or _Preconditions()
    propagation = given.propagationPolicy or query.get("propagationPolicy")
    if propagation and propagation not in _PROPAGATION:
        raise _unsupported("propagationPolicy", propagation, ", ".join(f'"{name}"' for name in _PROPAGATION))
    grace = given.gracePeriodSeconds
    return DeleteOptions(
        uid=preconditions.uid or "",
        resource_version=preconditions.resourceVersion or "",
        propagation=_PROPAGATION[propagation] if propagation else None,
        grace_seconds=number(query, "gracePeriodSeconds") if grace is None else grace,
        dry_run=bool(given.dryRun) or dry_run(query),
    )


def session_options(query: MultiDict) -> SessionOptions:
    """The options of `pods/exec` and `pods/attach`. A terminal has one output: with `tty` there is no stderr."""
    tty = flag(query, "tty")
    options = SessionOptions(
        stdin=flag(query, "stdin"),
        stdout=flag(query, "stdout"),
        stderr=flag(query, "stderr") and not tty,
        tty=tty,
        command=tuple(query.getlist("command")),
    )
    if not (options.stdin or options.stdout or options.stderr):
        raise errors.BadRequest("you must specify at least 1 of stdin, stdout, stderr")
    return options


def ports(query: MultiDict, most: int) -> list[int]:
    """The ports of a port-forward over WebSocket channels."""
    texts = [text for value in query.getlist("ports") for text in value.split(",")]
    if not 0 < len(texts) <= most:
        raise errors.BadRequest(f"ports: name 1 to {most} ports")
    if wrong := next((text for text in texts if not _PORT.fullmatch(text) or not 0 < int(text) <= _LARGEST_PORT), None):
        raise errors.BadRequest(f'ports: Invalid value: "{wrong}": must be a port from 1 to {_LARGEST_PORT}')
    return [int(text) for text in texts]


def log_options(query: Query, now: datetime) -> LogOptions:
    since = None
    if query.get("sinceTime"):
        try:
            since = datetime.fromisoformat(query["sinceTime"])
        except ValueError as error:
            raise errors.BadRequest(f"sinceTime: {error}") from error
        since = since if since.tzinfo is not None else since.replace(tzinfo=UTC)
    elif (seconds := number(query, "sinceSeconds")) is not None:
        since = now - timedelta(seconds=min(seconds, _LONG_AGO))
    return LogOptions(
        follow=flag(query, "follow"),
        previous=flag(query, "previous"),
        timestamps=flag(query, "timestamps"),
        tail_lines=number(query, "tailLines"),
        since=since,
        limit_bytes=number(query, "limitBytes"),
    )
