# SPDX-License-Identifier: Apache-2.0
"""The defaults of a revision's spec: limits, names of containers, probes, resources, and secure contexts. Rule:
knative/serving pkg/apis/serving/v1 revision_defaults.go."""

from collections.abc import Sequence

from tidegate.model.config import Configs, DefaultsConfig, FeaturesConfig, Flag
from tidegate.model.names import child_name
from tidegate.model.objects import Object

_WRITABLE = ("emptyDir", "persistentVolumeClaim", "ephemeral")
_HANDLERS = ("tcpSocket", "httpGet", "exec", "grpc")
_PROBES = ("readinessProbe", "livenessProbe", "startupProbe")


def fill(spec: Object, parent: Object, configs: Configs, *, creating: bool) -> None:
    """Fill a revision's spec. `parent`: the metadata of its object, for the templates of container names."""
    _limits(spec, configs.defaults)
    containers, inits = spec["containers"], spec.get("initContainers") or []
    _name_containers(containers, inits, parent, configs.defaults)
    for container in containers:
        _container(container, spec, configs, alone=len(containers) == 1)
    links = configs.defaults.enable_service_links
    if containers and creating and links is not None:
        spec.setdefault("enableServiceLinks", links)
    for container in (*containers, *inits):
        _secure(container, spec.get("securityContext") or {}, configs.features)


def _limits(spec: Object, defaults: DefaultsConfig) -> None:
    timeout = spec.get("timeoutSeconds") or defaults.revision_timeout_seconds
    spec["timeoutSeconds"] = timeout
    for field, seconds in (
        ("idleTimeoutSeconds", defaults.revision_idle_timeout_seconds),
        ("responseStartTimeoutSeconds", defaults.revision_response_start_timeout_seconds),
    ):
        if seconds and seconds < timeout:
            spec.setdefault(field, seconds)
    spec.setdefault("containerConcurrency", defaults.container_concurrency)


def _name_containers(
    containers: Sequence[Object], inits: Sequence[Object], parent: Object, defaults: DefaultsConfig
) -> None:
    values = {
        "Name": parent.get("name", ""),
        "Namespace": parent.get("namespace", ""),
        "Labels": parent.get("labels") or {},
        "Annotations": parent.get("annotations") or {},
    }
    taken = {container["name"] for container in (*containers, *inits)}
    _name(containers, defaults.container_name_template.render(values), taken)
    _name(inits, defaults.init_container_name_template.render(values), taken)


def _name(containers: Sequence[Object], base: str, taken: set[str]) -> None:
    """Name the containers without a name: the base, with a number if it is not unique."""
    suffix = 0
    for container in containers:
        if container["name"]:
            continue
        name = base
        if len(containers) > 1 or name in taken:
            name = child_name(base, f"-{suffix}")
            suffix += 1
            while name in taken:
                name = child_name(base, f"-{suffix}")
                suffix += 1
        container["name"] = name


def _container(container: Object, spec: Object, configs: Configs, *, alone: bool) -> None:
    _resources(container, configs.defaults)
    if alone or container.get("ports"):
        probe = container.setdefault("readinessProbe", {})
        if not any(handler in probe for handler in _HANDLERS):
            probe["tcpSocket"] = {"port": 0}
    _probes(container)
    writable = {volume["name"] for volume in spec.get("volumes") or () if any(source in volume for source in _WRITABLE)}
    for mount in container.get("volumeMounts") or ():
        if mount["name"] not in writable:
            mount["readOnly"] = True


def _resources(container: Object, defaults: DefaultsConfig) -> None:
    for field, amounts in (
        (
            "requests",
            {
                "cpu": defaults.revision_cpu_request,
                "memory": defaults.revision_memory_request,
                "ephemeral-storage": defaults.revision_ephemeral_storage_request,
            },
        ),
        (
            "limits",
            {
                "cpu": defaults.revision_cpu_limit,
                "memory": defaults.revision_memory_limit,
                "ephemeral-storage": defaults.revision_ephemeral_storage_limit,
            },
        ),
    ):
        for resource, amount in amounts.items():
            if amount is not None:
                container.setdefault("resources", {}).setdefault(field, {}).setdefault(resource, str(amount))


def _probes(container: Object) -> None:
    readiness = container.get("readinessProbe")
    if readiness is not None:
        readiness.setdefault("successThreshold", 1)
        if readiness.get("periodSeconds"):
            readiness.setdefault("failureThreshold", 3)
            readiness.setdefault("timeoutSeconds", 1)
    for field in _PROBES:
        grpc = (container.get(field) or {}).get("grpc")
        if grpc is not None:
            grpc.setdefault("service", "")


def _secure(container: Object, pod_context: Object, features: FeaturesConfig) -> None:
    """Secure values instead of Kubernetes' defaults, if config-features enables them."""
    if not features.secure_pod_defaults:
        return
    context = container.setdefault("securityContext", {})
    context.setdefault("allowPrivilegeEscalation", False)
    if not (pod_context.get("seccompProfile") or {}).get("type"):
        context.setdefault("seccompProfile", {}).setdefault("type", "RuntimeDefault")
    if "capabilities" not in context:
        context["capabilities"] = {"drop": ["ALL"]}
        if any(port["containerPort"] < 1024 for port in container.get("ports") or ()):
            context["capabilities"]["add"] = ["NET_BIND_SERVICE"]
    if features.secure_pod_defaults is Flag.ENABLED and "runAsNonRoot" not in pod_context:
        context.setdefault("runAsNonRoot", True)
