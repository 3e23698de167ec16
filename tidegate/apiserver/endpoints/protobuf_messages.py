# SPDX-License-Identifier: Apache-2.0
"""The protobuf messages of the kinds that kubectl sends as protobuf, declared as a table.

In: the table. Out: message classes of google.protobuf. Field numbers: generated.proto of k8s.io/api and
k8s.io/apimachinery. A type is a scalar, another message of the table, `repeated TYPE`, or `map TYPE` with keys of text.
An `ignored` field is accepted and dropped: the status in a request, which the server's answer replaces.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

Fields = Mapping[int, tuple[str, str]]
"""Name and type by number."""

_PACKAGE = "tidegate.kubernetes"
_SCALARS = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "ignored": FieldDescriptorProto.TYPE_BYTES,
}


def _texts(*names: str) -> Fields:
    """Fields of text, numbered from 1."""
    return {number: (name, "string") for number, name in enumerate(names, 1)}


_METADATA = ("metadata", "ObjectMeta")
STATUS = "status"

_MESSAGES: Mapping[str, Fields] = {
    "TypeMeta": _texts("apiVersion", "kind"),
    "Unknown": {
        1: ("typeMeta", "TypeMeta"),
        2: ("raw", "bytes"),
        3: ("contentEncoding", "string"),
        4: ("contentType", "string"),
    },
    "Time": {1: ("seconds", "int64"), 2: ("nanos", "int64")},
    "Quantity": _texts("string"),
    "OwnerReference": {
        1: ("kind", "string"),
        3: ("name", "string"),
        4: ("uid", "string"),
        5: ("apiVersion", "string"),
        6: ("controller", "bool"),
        7: ("blockOwnerDeletion", "bool"),
    },
    "ObjectMeta": {
        **_texts("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion"),
        7: ("generation", "int64"),
        8: ("creationTimestamp", "Time"),
        9: ("deletionTimestamp", "Time"),
        10: ("deletionGracePeriodSeconds", "int64"),
        11: ("labels", "map string"),
        12: ("annotations", "map string"),
        13: ("ownerReferences", "repeated OwnerReference"),
        14: ("finalizers", "repeated string"),
    },
    "NamespaceSpec": {1: ("finalizers", "repeated string")},
    "Namespace": {1: _METADATA, 2: ("spec", "NamespaceSpec"), 3: (STATUS, "ignored")},
    "ConfigMap": {
        1: _METADATA,
        2: ("data", "map string"),
        3: ("binaryData", "map bytes"),
        4: ("immutable", "bool"),
    },
    "Secret": {
        1: _METADATA,
        2: ("data", "map bytes"),
        3: ("type", "string"),
        4: ("stringData", "map string"),
        5: ("immutable", "bool"),
    },
    "ResourceQuotaSpec": {1: ("hard", "map Quantity"), 2: ("scopes", "repeated string")},
    "ResourceQuota": {1: _METADATA, 2: ("spec", "ResourceQuotaSpec"), 3: (STATUS, "ignored")},
    "Preconditions": _texts("uid", "resourceVersion"),
    "DeleteOptions": {
        1: ("gracePeriodSeconds", "int64"),
        2: ("preconditions", "Preconditions"),
        3: ("orphanDependents", "bool"),
        4: ("propagationPolicy", "string"),
        5: ("dryRun", "repeated string"),
    },
    "ResourceAttributes": _texts("namespace", "verb", "group", "version", "resource", "subresource", "name"),
    "NonResourceAttributes": _texts("path", "verb"),
    "SelfSubjectAccessReviewSpec": {
        1: ("resourceAttributes", "ResourceAttributes"),
        2: ("nonResourceAttributes", "NonResourceAttributes"),
    },
    "SelfSubjectAccessReview": {1: _METADATA, 2: ("spec", "SelfSubjectAccessReviewSpec"), 3: (STATUS, "ignored")},
    "SelfSubjectRulesReviewSpec": _texts("namespace"),
    "SelfSubjectRulesReview": {1: _METADATA, 2: ("spec", "SelfSubjectRulesReviewSpec"), 3: (STATUS, "ignored")},
    "SelfSubjectReview": {1: _METADATA, 2: (STATUS, "ignored")},
}


def _field(number: int, name: str, type_name: str) -> FieldDescriptorProto:
    label, _, base = type_name.rpartition(" ")
    field = FieldDescriptorProto(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if label == "repeated":
        field.label = FieldDescriptorProto.LABEL_REPEATED
    if base in _SCALARS:
        field.type = _SCALARS[base]
    else:
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{base}"
    return field


def _message(name: str, fields: Fields) -> DescriptorProto:
    message = DescriptorProto(name=name)
    for number, (field_name, type_name) in fields.items():
        label, _, base = type_name.rpartition(" ")
        if label != "map":
            message.field.append(_field(number, field_name, type_name))
            continue
        entry = message.nested_type.add(name=f"{field_name[0].upper()}{field_name[1:]}Entry")
        entry.options.map_entry = True
        entry.field.extend((_field(1, "key", "string"), _field(2, "value", base)))
        message.field.append(_field(number, field_name, f"repeated {name}.{entry.name}"))
    return message


def _classes(messages: Iterable[DescriptorProto]) -> dict[str, Any]:
    """The class of each message, by name."""
    file = FileDescriptorProto(name="tidegate/kubernetes.proto", package=_PACKAGE, syntax="proto2")
    file.message_type.extend(messages)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = [message.name for message in file.message_type]
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in names}


CLASSES: Mapping[str, Any] = _classes(_message(name, fields) for name, fields in _MESSAGES.items())
