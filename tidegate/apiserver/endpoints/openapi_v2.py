# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI v2 document, reduced to the part that kubectl reads. Pure.

kubectl looks up in it whether the server validates the fields of a List, which has no path of its own in OpenAPI v3.
This server does, item by item. All other clients read OpenAPI v3 (`openapi`). The format is protobuf, the only one that
kubectl reads here. Field numbers: google/gnostic, openapiv2/OpenAPIv2.proto.
"""

import msgspec

from tidegate.apiserver.endpoints.protobuf_schema import classes

MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

_CLASSES = classes(
    "tidegate.openapi.v2",
    {
        "Document": {1: ("swagger", "string"), 2: ("info", "Info"), 8: ("paths", "Paths")},
        "Info": {1: ("title", "string"), 2: ("version", "string")},
        "Paths": {2: ("path", "repeated NamedPathItem")},
        "NamedPathItem": {1: ("name", "string"), 2: ("value", "PathItem")},
        "PathItem": {8: ("patch", "Operation")},
        "Operation": {8: ("parameters", "repeated ParametersItem"), 13: ("vendor_extension", "repeated NamedAny")},
        "ParametersItem": {1: ("parameter", "Parameter")},
        "Parameter": {2: ("non_body_parameter", "NonBodyParameter")},
        "NonBodyParameter": {3: ("query_parameter", "QueryParameter")},
        "QueryParameter": {2: ("in", "string"), 4: ("name", "string"), 6: ("type", "string")},
        "NamedAny": {1: ("name", "string"), 2: ("value", "Any")},
        "Any": {2: ("yaml", "string")},
    },
)


def document() -> bytes:
    """One path, with the only operation that kubectl looks for."""
    kind = msgspec.json.encode({"group": "", "kind": "List", "version": "v1"}).decode()  # JSON is YAML
    query = {"in": "query", "name": "fieldValidation", "type": "string"}
    patch = {
        "parameters": [{"parameter": {"non_body_parameter": {"query_parameter": query}}}],
        "vendor_extension": [{"name": "x-kubernetes-group-version-kind", "value": {"yaml": kind}}],
    }
    found = _CLASSES["Document"](
        swagger="2.0",
        info={"title": "Tidegate", "version": "v1"},
        paths={"path": [{"name": "/api/v1", "value": {"patch": patch}}]},
    )
    return bytes(found.SerializeToString(deterministic=True))
