# SPDX-License-Identifier: Apache-2.0
"""Protobuf messages from a table, without generated code. Pure.

In: messages by name, each with its fields by number. Out: message classes of google.protobuf. A type is a scalar,
another message of the table, `repeated TYPE`, or `map TYPE` with keys of text. An `ignored` field holds bytes that no
code reads. Called by: `protobuf_messages`, `openapi_v2`.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

Fields = Mapping[int, tuple[str, str]]
"""Name and type by number."""

_SCALARS = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "ignored": FieldDescriptorProto.TYPE_BYTES,
}


def classes(package: str, messages: Mapping[str, Fields]) -> Mapping[str, Any]:
    """The class of each message, by name."""
    file = FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto2")
    file.message_type.extend(_message(package, name, fields) for name, fields in messages.items())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {name: pool.FindMessageTypeByName(f"{package}.{name}") for name in messages}
    return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in found.items()}


def texts(*names: str) -> Fields:
    """Fields of text, numbered from 1."""
    return {number: (name, "string") for number, name in enumerate(names, 1)}


def _field(package: str, number: int, name: str, type_name: str) -> FieldDescriptorProto:
    label, _, base = type_name.rpartition(" ")
    field = FieldDescriptorProto(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if label == "repeated":
        field.label = FieldDescriptorProto.LABEL_REPEATED
    if base in _SCALARS:
        field.type = _SCALARS[base]
    else:
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{package}.{base}"
    return field


def _message(package: str, name: str, fields: Fields) -> DescriptorProto:
    message = DescriptorProto(name=name)
    for number, (field_name, type_name) in fields.items():
        label, _, base = type_name.rpartition(" ")
        if label != "map":
            message.field.append(_field(package, number, field_name, type_name))
            continue
        entry = message.nested_type.add(name=f"{field_name[0].upper()}{field_name[1:]}Entry")
        entry.options.map_entry = True
        entry.field.extend((_field(package, 1, "key", "string"), _field(package, 2, "value", base)))
        message.field.append(_field(package, number, field_name, f"repeated {name}.{entry.name}"))
    return message
