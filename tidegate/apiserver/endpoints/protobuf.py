# SPDX-License-Identifier: Apache-2.0
"""Kubernetes' protobuf bodies, for the kinds that kubectl sends in it: bytes in, the same JSON value out. Pure.

kubectl sends protobuf for the objects that it builds from Go types (`create namespace`, `create secret`, `auth can-i`),
and does not fall back to JSON if a server rejects it. Answers need no protobuf: clients that send it read JSON too. An
envelope (runtime.Unknown) names the kind. Unknown fields are rejected, so that nothing of an object is lost.
"""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from tidegate.apiserver.endpoints.protobuf_messages import CLASSES, STATUS
from tidegate.model import errors
from tidegate.model.conditions import timestamp
from tidegate.model.objects import Object

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\0"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AUTHORIZATION, _AUTHENTICATION = "authorization.k8s.io/v1", "authentication.k8s.io/v1"
_KINDS: Mapping[tuple[str, str], Any] = {
    (version, kind): CLASSES[kind]
    for version, kind in (
        ("v1", "Namespace"),
        ("v1", "ConfigMap"),
        ("v1", "Secret"),
        ("v1", "ResourceQuota"),
        ("v1", "ServiceAccount"),
        ("v1", "DeleteOptions"),
        (_AUTHORIZATION, "SelfSubjectAccessReview"),
        (_AUTHORIZATION, "SelfSubjectRulesReview"),
        (_AUTHENTICATION, "SelfSubjectReview"),
        (_AUTHENTICATION, "TokenRequest"),
        (_AUTHENTICATION, "TokenReview"),
    )
}


def decoded(body: bytes) -> Object:
    """The object in a body. Raises `BadRequest` if it is malformed or of another kind."""
    try:
        return _object(body)
    except DecodeError as error:  # the text of the library names types that no user knows
        raise errors.BadRequest("the body is not a protobuf object that can be read: it is malformed") from error
    except (ValueError, OverflowError) as error:
        raise errors.BadRequest(f"the body is not a protobuf object that can be read: {error}") from error


def _object(body: bytes) -> Object:
    if not body.startswith(_MAGIC):
        raise ValueError("it does not begin as one")
    envelope = CLASSES["Unknown"].FromString(body[len(_MAGIC) :])
    _require_known(envelope)
    type_meta = _json(envelope.typeMeta)
    known = _KINDS.get((type_meta.get("apiVersion", ""), type_meta.get("kind", "")))
    if known is None:
        raise ValueError(f"it is of type {type_meta}, which this server reads as JSON only")
    return {**type_meta, **_json(known.FromString(envelope.raw))}


def _json(message: Any) -> Object:
    """The fields of a message. Empty texts and messages are left out, as in Go's JSON."""
    _require_known(message)
    value: Object = {}
    for field, found in message.ListFields():
        if field.name == STATUS:
            continue
        item = _reader(field)(found)
        if item not in ("", {}):
            value[field.name] = item
    return value


def _require_known(message: Any) -> None:
    for unknown in UnknownFieldSet(message):
        raise ValueError(f"field {unknown.field_number} is not known")


@cache
def _reader(field: Any) -> Callable[[Any], Any]:
    """The function from the value of a field to its JSON value."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        read = _entry_reader(field.message_type.fields_by_name["value"])
        return lambda entries: {_text(key): read(entries[key]) for key in entries}
    read = _entry_reader(field)
    return (lambda entries: list(map(read, entries))) if field.is_repeated else read


def _entry_reader(field: Any) -> Callable[[Any], Any]:
    """The function from one entry of a field to its JSON value."""
    if field.message_type is not None:
        return _BY_MESSAGE.get(field.message_type.name, _json)
    return _BY_TYPE.get(field.type, _unchanged)


def _text(value: str | bytes) -> str:
    if isinstance(value, bytes):  # the library's answer for text that is not UTF-8
        raise ValueError("a text is not UTF-8")  # noqa: TRY004
    return value


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _unchanged(value: int) -> int:
    return value


def _time(message: Any) -> str:
    seconds = _json(message).get("seconds")
    return timestamp(_EPOCH + timedelta(seconds=seconds)) if seconds else ""


def _quantity(message: Any) -> str:
    return str(_json(message).get("string", "0"))


_BY_MESSAGE: Mapping[str, Callable[[Any], Any]] = {"Time": _time, "Quantity": _quantity}
_BY_TYPE: Mapping[int, Callable[[Any], Any]] = {
    FieldDescriptor.TYPE_STRING: _text,
    FieldDescriptor.TYPE_BYTES: _base64,
}
