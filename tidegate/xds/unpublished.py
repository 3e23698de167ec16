# SPDX-License-Identifier: Apache-2.0
"""Messages of Envoy 1.40 that are missing in the published API package, built from descriptors."""

from envoy.config.core.v3 import config_source_pb2, extension_pb2
from envoy.extensions.dynamic_modules.v3 import dynamic_modules_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

_Field = descriptor_pb2.FieldDescriptorProto


def _message(package: str, name: str, **fields: Descriptor | None) -> type[Message]:
    """`fields`: by name, in the order of their numbers; None for a string."""
    description = descriptor_pb2.DescriptorProto(name=name)
    files = set()
    for number, (field, descriptor) in enumerate(fields.items(), start=1):
        description.field.add(
            name=field,
            number=number,
            label=_Field.LABEL_OPTIONAL,
            type=_Field.TYPE_MESSAGE if descriptor is not None else _Field.TYPE_STRING,
            type_name=f".{descriptor.full_name}" if descriptor is not None else None,
        )
        if descriptor is not None:
            files.add(descriptor.file.name)
    pool = descriptor_pool.Default()
    pool.Add(
        descriptor_pb2.FileDescriptorProto(
            name=f"tidegate/{package}.proto",
            package=package,
            syntax="proto3",
            dependency=sorted(files),
            message_type=[description],
        )
    )
    made: type[Message] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
    return made


_EXTENSIONS = "envoy.extensions"
_TLS = f"{_EXTENSIONS}.transport_sockets.tls"

DynamicModulesLoadBalancerConfig = _message(
    f"{_EXTENSIONS}.load_balancing_policies.dynamic_modules.v3",
    "DynamicModulesLoadBalancerConfig",
    dynamic_module_config=dynamic_modules_pb2.DynamicModuleConfig.DESCRIPTOR,
    lb_policy_name=None,
    lb_policy_config=AnyMessage.DESCRIPTOR,
)
DynamicModuleTransportSocket = _message(
    f"{_EXTENSIONS}.transport_sockets.dynamic_modules.v3",
    "DynamicModuleTransportSocket",
    dynamic_module_config=dynamic_modules_pb2.DynamicModuleConfig.DESCRIPTOR,
    transport_socket_name=None,
)
"""Without its last two fields."""
OnDemandSecret = _message(
    f"{_TLS}.cert_selectors.on_demand_secret.v3",
    "Config",
    config_source=config_source_pb2.ConfigSource.DESCRIPTOR,
    certificate_mapper=extension_pb2.TypedExtensionConfig.DESCRIPTOR,
)
"""Requests a certificate when the first client needs it. Without its last field."""
Sni = _message(f"{_TLS}.cert_mappers.sni.v3", "SNI", default_value=None)
"""The name of the Secret is the host in the client's SNI."""
