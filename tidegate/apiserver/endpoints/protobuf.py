# SPDX-License-Identifier: Apache-2.0
"""Kubernetes' protobuf bodies, as far as kubectl sends them: bytes in, the same JSON value out. Pure.

kubectl prefers protobuf for the kinds it has Go types of and makes itself (`create namespace`, `create secret`, `auth
can-i`), and does not fall back where a server refuses it. Answers need none: clients that send protobuf read JSON too.
Field numbers: generated.proto of k8s.io/api and k8s.io/apimachinery. An envelope (runtime.Unknown) names the type.
"""

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tidegate.model import errors
from tidegate.model.conditions import timestamp
from tidegate.model.objects import Object

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\0"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Field:
    """`read` makes a JSON value of what is on the wire. There may be `many`, or many `entries` of one object."""

    name: str
    read: Callable[[Any], Any]
    many: bool = False
    entries: bool = False


Message = Mapping[int, Field]


def decoded(body: bytes) -> Object:
    """The object in a body. Raises `BadRequest` where there is none that is known here."""
    try:
        return _object(body)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise errors.BadRequest(f"the body is not a protobuf object that can be read: {error}") from error


def _object(body: bytes) -> Object:
    if not body.startswith(_MAGIC):
        raise ValueError("it does not begin as one")
    envelope = _message(_ENVELOPE)(body[len(_MAGIC) :])
    type_meta = envelope.get("typeMeta", {})
    known = _KINDS.get((type_meta.get("apiVersion", ""), type_meta.get("kind", "")))
    if known is None:
        raise ValueError(f"it is of type {type_meta}, which this server reads as JSON only")
    return {**type_meta, **_message(known)(envelope.get("raw", b""))}


def _message(fields: Message) -> Callable[[bytes], Object]:
    def read(data: bytes) -> Object:
        value: Object = {}
        for number, raw in _wire(data):
            field = fields.get(number)
            if field is None:
                raise ValueError(f"field {number} is not known")
            item = field.read(raw)
            if field.entries:
                value.setdefault(field.name, {}).update(item)
            elif field.many:
                value.setdefault(field.name, []).append(item)
            elif item not in ("", {}):  # Go's zero values, which JSON leaves out
                value[field.name] = item
        return value

    return read


def _wire(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a message: (number, int or bytes)."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            size, position = _varint(data, position)
        else:
            size = {_FIXED64: 8, _FIXED32: 4}[kind] if kind in (_FIXED64, _FIXED32) else len(data)
        if position + size > len(data):
            raise ValueError("it is cut short")
        yield tag >> 3, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position
        if shift > 63:
            raise ValueError("a number is too long")


def _text(raw: bytes) -> str:
    return str(raw, "utf-8")  # a TypeError where a number came


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(raw: bytes) -> bytes:
    return raw


def _number(raw: int) -> int:
    return raw - (1 << 64) if raw >> 63 else raw


def _flag(raw: int) -> bool:
    return bool(raw)


def _time(raw: bytes) -> str:
    parts = _message({1: Field("seconds", _number), 2: Field("nanos", _number)})(raw)
    return timestamp(_EPOCH + timedelta(seconds=parts["seconds"])) if parts.get("seconds") else ""


def _quantity(raw: bytes) -> str:
    return str(_message({1: Field("string", _text)})(raw).get("string", "0"))


def _entry(value: Callable[[bytes], str]) -> Callable[[bytes], Object]:
    read = _message({1: Field("key", _text), 2: Field("value", value)})

    def entry(raw: bytes) -> Object:
        pair = read(raw)
        return {pair.get("key", ""): pair.get("value", "")}

    return entry


def _texts(*names: str) -> Message:
    """A message of strings, numbered from 1."""
    return {number: Field(name, _text) for number, name in enumerate(names, 1)}


_ENVELOPE: Message = {
    1: Field("typeMeta", _message(_texts("apiVersion", "kind"))),
    2: Field("raw", _bytes),
    3: Field("contentEncoding", _text),
    4: Field("contentType", _text),
}
_OWNER: Message = {
    1: Field("kind", _text),
    3: Field("name", _text),
    4: Field("uid", _text),
    5: Field("apiVersion", _text),
    6: Field("controller", _flag),
    7: Field("blockOwnerDeletion", _flag),
}
_METADATA = Field(
    "metadata",
    _message(
        {
            **_texts("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion"),
            7: Field("generation", _number),
            8: Field("creationTimestamp", _time),
            9: Field("deletionTimestamp", _time),
            10: Field("deletionGracePeriodSeconds", _number),
            11: Field("labels", _entry(_text), entries=True),
            12: Field("annotations", _entry(_text), entries=True),
            13: Field("ownerReferences", _message(_OWNER), many=True),
            14: Field("finalizers", _text, many=True),
        }
    ),
)
_ATTRIBUTES = ("namespace", "verb", "group", "version", "resource", "subresource", "name")
_STATUS = Field("status", lambda raw: {})  # of a request: the server's answer replaces it

_KINDS: Mapping[tuple[str, str], Message] = {
    ("v1", "Namespace"): {
        1: _METADATA,
        2: Field("spec", _message({1: Field("finalizers", _text, many=True)})),
        3: _STATUS,
    },
    ("v1", "ConfigMap"): {
        1: _METADATA,
        2: Field("data", _entry(_text), entries=True),
        3: Field("binaryData", _entry(_base64), entries=True),
        4: Field("immutable", _flag),
    },
    ("v1", "Secret"): {
        1: _METADATA,
        2: Field("data", _entry(_base64), entries=True),
        3: Field("type", _text),
        4: Field("stringData", _entry(_text), entries=True),
        5: Field("immutable", _flag),
    },
    ("v1", "ResourceQuota"): {
        1: _METADATA,
        2: Field(
            "spec",
            _message({1: Field("hard", _entry(_quantity), entries=True), 2: Field("scopes", _text, many=True)}),
        ),
        3: _STATUS,
    },
    ("v1", "DeleteOptions"): {
        1: Field("gracePeriodSeconds", _number),
        2: Field("preconditions", _message(_texts("uid", "resourceVersion"))),
        3: Field("orphanDependents", _flag),
        4: Field("propagationPolicy", _text),
        5: Field("dryRun", _text, many=True),
    },
    ("authorization.k8s.io/v1", "SelfSubjectAccessReview"): {
        1: _METADATA,
        2: Field(
            "spec",
            _message(
                {
                    1: Field("resourceAttributes", _message(_texts(*_ATTRIBUTES))),
                    2: Field("nonResourceAttributes", _message(_texts("path", "verb"))),
                }
            ),
        ),
        3: _STATUS,
    },
    ("authorization.k8s.io/v1", "SelfSubjectRulesReview"): {
        1: _METADATA,
        2: Field("spec", _message(_texts("namespace"))),
        3: _STATUS,
    },
    ("authentication.k8s.io/v1", "SelfSubjectReview"): {1: _METADATA, 2: _STATUS},
}
