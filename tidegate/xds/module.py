# SPDX-License-Identifier: Apache-2.0
"""How Envoy is told to load the gate: the filter before the router, and the load-balancing policy of each revision."""

from typing import Any

import msgspec
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.extensions.dynamic_modules.v3 import dynamic_modules_pb2
from envoy.extensions.filters.http.dynamic_modules.v3 import dynamic_modules_pb2 as filter_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue

from tidegate.routing.table import Backend
from tidegate.xds.resource import packed_any

_GATE = dynamic_modules_pb2.DynamicModuleConfig(name="gate")


def gate_filter(socket: str) -> hcm_pb2.HttpFilter:
    """The gate's HTTP filter, which reports to that socket. It has to be the last before the router."""
    config = filter_pb2.DynamicModuleFilter(
        dynamic_module_config=_GATE, filter_name="gate", filter_config=_text({"socket": socket})
    )
    return hcm_pb2.HttpFilter(name="gate", typed_config=packed_any(config))


def gate_policy(backend: Backend) -> cluster_pb2.LoadBalancingPolicy:
    """The policy that tells the gate a revision's hosts and limits (see gate/settings.h)."""
    settings = {
        "containerConcurrency": backend.concurrency,
        "queueDeadlineSeconds": backend.queue_seconds,
        **({"unavailable": backend.unavailable} if backend.unavailable else {}),
    }
    config = _Policy(dynamic_module_config=_GATE, lb_policy_name="gate", lb_policy_config=_text(settings))
    extension = extension_pb2.TypedExtensionConfig(name="gate", typed_config=packed_any(config))
    return cluster_pb2.LoadBalancingPolicy(
        policies=[cluster_pb2.LoadBalancingPolicy.Policy(typed_extension_config=extension)]
    )


def _text(settings: dict[str, Any]) -> AnyMessage:
    return packed_any(StringValue(value=msgspec.json.encode(settings).decode()))


def _policy_class() -> type[Message]:
    """The policy's configuration message, which the published API package leaves out (Envoy 1.40,
    extensions/load_balancing_policies/dynamic_modules/v3)."""
    package = "envoy.extensions.load_balancing_policies.dynamic_modules.v3"
    field = descriptor_pb2.FieldDescriptorProto
    message = descriptor_pb2.DescriptorProto(name="DynamicModulesLoadBalancerConfig")
    for number, (name, kind) in enumerate(
        (
            ("dynamic_module_config", dynamic_modules_pb2.DynamicModuleConfig.DESCRIPTOR.full_name),
            ("lb_policy_name", ""),
            ("lb_policy_config", AnyMessage.DESCRIPTOR.full_name),
        ),
        start=1,
    ):
        message.field.add(
            name=name,
            number=number,
            label=field.LABEL_OPTIONAL,
            type=field.TYPE_MESSAGE if kind else field.TYPE_STRING,
            type_name=f".{kind}" if kind else None,
        )
    file = descriptor_pb2.FileDescriptorProto(
        name="tidegate/dynamic_modules_lb.proto",
        package=package,
        syntax="proto3",
        dependency=[
            dynamic_modules_pb2.DynamicModuleConfig.DESCRIPTOR.file.name,
            AnyMessage.DESCRIPTOR.file.name,
        ],
        message_type=[message],
    )
    pool = descriptor_pool.Default()
    pool.Add(file)
    made: type[Message] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{message.name}"))
    return made


_Policy = _policy_class()
