# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI 2 document, as far as kubectl still needs it: it asks here whether the server validates the fields of a
List, which has no path of its own in OpenAPI 3. It does, item by item.

Written as protobuf, the only form that kubectl reads it in (message and field numbers: google/gnostic,
openapiv2/OpenAPIv2.proto). All else that a client may ask is answered by `openapi.py`.
"""

import msgspec

MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

# Field numbers, by message.
_DOCUMENT_SWAGGER, _DOCUMENT_INFO, _DOCUMENT_PATHS = 1, 2, 8
_INFO_TITLE, _INFO_VERSION = 1, 2
_PATHS_PATH = 2
_NAMED_NAME, _NAMED_VALUE = 1, 2
_PATH_ITEM_PATCH = 8
_OPERATION_PARAMETERS, _OPERATION_VENDOR_EXTENSION = 8, 13
_PARAMETERS_ITEM_PARAMETER = 1
_PARAMETER_NON_BODY = 2
_NON_BODY_QUERY = 3
_QUERY_IN, _QUERY_NAME, _QUERY_TYPE = 2, 4, 6
_ANY_YAML = 2


def document() -> bytes:
    """One path, with the one operation that kubectl looks for."""
    kind = msgspec.json.encode({"group": "", "kind": "List", "version": "v1"})  # JSON is YAML
    extension = _text(_NAMED_NAME, "x-kubernetes-group-version-kind") + _field(_NAMED_VALUE, _field(_ANY_YAML, kind))
    query = _text(_QUERY_IN, "query") + _text(_QUERY_NAME, "fieldValidation") + _text(_QUERY_TYPE, "string")
    parameter = _field(_PARAMETERS_ITEM_PARAMETER, _field(_PARAMETER_NON_BODY, _field(_NON_BODY_QUERY, query)))
    patch = _field(_OPERATION_PARAMETERS, parameter) + _field(_OPERATION_VENDOR_EXTENSION, extension)
    path = _text(_NAMED_NAME, "/api/v1") + _field(_NAMED_VALUE, _field(_PATH_ITEM_PATCH, patch))
    info = _text(_INFO_TITLE, "Tidegate") + _text(_INFO_VERSION, "v1")
    return (
        _text(_DOCUMENT_SWAGGER, "2.0")
        + _field(_DOCUMENT_INFO, info)
        + _field(_DOCUMENT_PATHS, _field(_PATHS_PATH, path))
    )


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field of the wire format."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
