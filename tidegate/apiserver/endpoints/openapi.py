# SPDX-License-Identifier: Apache-2.0
"""OpenAPI v3: one document per group and version, with the schemas of its kinds and their operations. Pure.

`kubectl explain` prints the schemas. kubectl reads in the operations that this server validates fields, supports dry
runs, and accepts which types of patch. An operation lists only the parts that clients read: kind, query parameters and
media types. In: a scheme. Out: JSON documents. Called by: `discovery_routes`.
"""

import hashlib
from collections.abc import Sequence

import msgspec

from tidegate.apiserver.endpoints import discovery
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object
from tidegate.model.registry import patches, strategic_merge
from tidegate.model.resource import Resource
from tidegate.model.scheme import Scheme

_WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")
_LIST_PARAMETERS = (
    "labelSelector",
    "fieldSelector",
    "limit",
    "continue",
    "watch",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "allowWatchBookmarks",
    "timeoutSeconds",
)


class Documents:
    """All documents, built once, as JSON; `index` lists them with a hash of their content, by which clients cache."""

    def __init__(self, scheme: Scheme) -> None:
        self._documents: dict[str, bytes] = {}
        for group, version in discovery.group_versions(scheme.kinds):
            members = [each for each in scheme if (each.kind.group, each.kind.version) == (group, version)]
            if members:
                path = f"apis/{group}/{version}" if group else f"api/{version}"
                self._documents[path] = msgspec.json.encode(_document(members))

    def index(self) -> Object:
        return {
            "paths": {
                path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={_hash(document)}"}
                for path, document in self._documents.items()
            }
        }

    def get(self, path: str) -> bytes | None:
        """The document at "apis/GROUP/VERSION" or "api/v1"."""
        return self._documents.get(path)


def _hash(document: bytes) -> str:
    return hashlib.sha256(document).hexdigest().upper()


def _document(members: Sequence[Resource]) -> Object:
    paths: Object = {}
    for resource in members:
        paths |= _paths(resource.kind)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Tidegate", "version": members[0].kind.version},
        "paths": paths,
        "components": {"schemas": {_schema_name(each.kind): _component(each) for each in members}},
    }


def _schema_name(kind: Kind) -> str:
    domain = ".".join(reversed(kind.group.split("."))) if kind.group else "io.k8s.api.core"
    return f"{domain}.{kind.version}.{kind.kind}"


def _component(resource: Resource) -> Object:
    schema = resource.openapi()
    described = schema if resource.kind.group else _with_merge_rules(schema)
    return {**described, "x-kubernetes-group-version-kind": [_gvk(resource.kind)]}


def _with_merge_rules(schema: Object) -> Object:
    """The schema with the merge rules of the server, by which kubectl builds its strategic merge patches."""
    marked = dict(schema)
    if "properties" in schema:
        marked["properties"] = {
            name: {
                **_with_merge_rules(field),
                **(strategic_merge.merge_rule(name) if field.get("type") == "array" else {}),
            }
            for name, field in schema["properties"].items()
        }
    if "items" in schema:
        marked["items"] = _with_merge_rules(schema["items"])
    return marked


def _gvk(kind: Kind) -> Object:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def _paths(kind: Kind) -> Object:
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    scope = f"{root}/namespaces/{{namespace}}" if kind.namespaced else root
    many = {
        "get": _operation(kind, "list", _LIST_PARAMETERS),
        "post": _operation(kind, "post", _WRITE_PARAMETERS, ("application/json", "application/yaml")),
        "delete": _operation(kind, "deletecollection", ("dryRun", "labelSelector", "fieldSelector")),
    }
    one = {
        "get": _operation(kind, "get", ()),
        "put": _operation(kind, "put", _WRITE_PARAMETERS, ("application/json", "application/yaml")),
        "patch": _operation(kind, "patch", (*_WRITE_PARAMETERS, "force"), patches.types(kind)),
        "delete": _operation(kind, "delete", ("dryRun", "gracePeriodSeconds", "propagationPolicy")),
    }
    found = {f"{scope}/{kind.plural}": many, f"{scope}/{kind.plural}/{{name}}": one}
    if kind.namespaced:
        found[f"{root}/{kind.plural}"] = {"get": _operation(kind, "list", _LIST_PARAMETERS)}
    if kind.status:
        found[f"{scope}/{kind.plural}/{{name}}/status"] = {verb: one[verb] for verb in ("get", "put", "patch")}
    return found


def _operation(kind: Kind, action: str, parameters: Sequence[str], bodies: Sequence[str] = ()) -> Object:
    reference = {"$ref": f"#/components/schemas/{_schema_name(kind)}"}
    operation: Object = {
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(kind),
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}} for name in parameters
        ],
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}},
    }
    if bodies:
        content = {body: {"schema": reference if action != "patch" else {"type": "object"}} for body in bodies}
        operation["requestBody"] = {"content": content, "required": True}
    return operation
