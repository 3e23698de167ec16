# SPDX-License-Identifier: Apache-2.0
"""The containers of a revision: the serving container, sidecars, and init containers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tidegate.model.config import FeaturesConfig, Flag
from tidegate.model.field_errors import (
    FieldError,
    invalid,
    missing,
    missing_one_of,
    not_allowed,
    out_of_bounds,
    several_of,
    under,
)
from tidegate.model.objects import Object
from tidegate.model.text import images
from tidegate.model.validation import probes, resources, security, volumes

Role = Literal["serving", "sidecar", "init"]

_FIELDS = frozenset(
    (
        *("name", "image", "command", "args", "workingDir", "ports", "env", "envFrom", "resources", "volumeMounts"),
        *("imagePullPolicy", "securityContext", "terminationMessagePath", "terminationMessagePolicy"),
        *("readinessProbe", "livenessProbe", "startupProbe"),
    )
)
_ENV_FIELDS = ("name", "value", "valueFrom")
_RESERVED_ENV = ("K_SERVICE", "K_CONFIGURATION", "K_REVISION")
_RESERVED_PORTS = (8008, 8012, 8013, 8022, 9090, 9091)
"""The ports of Knative's sidecar. Tidegate rejects them too, so that an app also runs on a Knative cluster."""
_PORT_NAMES = ("", "h2c", "http1")
DEFAULT_PORT_NAME = "http"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The context in which a container is checked. `port_name`: name of the port that receives the requests."""

    volumes: Mapping[str, Object]
    port_name: str
    features: FeaturesConfig


def all_of(containers: Sequence[Object], around: Surroundings) -> Iterator[FieldError]:
    """The errors of the containers that run together."""
    if not containers:
        yield missing("containers")
    elif len(containers) == 1:
        yield from under("containers[0]", _container(containers[0], "serving", around))
    elif around.features.multi_container is not Flag.ENABLED:
        yield FieldError(f"multi-container is off, but found {len(containers)} containers", ())
    else:
        yield from _several(containers, around)


def _several(containers: Sequence[Object], around: Surroundings) -> Iterator[FieldError]:
    seen = set()
    for index, container in enumerate(containers):
        if container["name"] in seen:
            yield FieldError(f'duplicate container name "{container["name"]}"', (f"containers[{index}].name",))
        seen.add(container["name"])
        role: Role = "serving" if container.get("ports") else "sidecar"
        yield from under(f"containers[{index}]", _container(container, role, around))


def before(inits: Sequence[Object], containers: Sequence[Object], around: Surroundings) -> Iterator[FieldError]:
    """The errors of the init containers. As in Knative, their paths begin with `containers`."""
    if inits and around.features.podspec_init_containers is not Flag.ENABLED:
        yield FieldError(f"pod spec support for init-containers is off, but found {len(inits)} init containers", ())
        return
    others = {container["name"] for container in containers}
    for index, container in enumerate(inits):
        if container["name"] in others:
            yield FieldError(f'duplicate container name "{container["name"]}"', (f"containers[{index}].name",))
        yield from under(f"containers[{index}]", _container(container, "init", around))


def ports(containers: Sequence[Object]) -> Iterator[FieldError]:
    """All containers together have one port."""
    count = sum(len(container.get("ports") or ()) for container in containers)
    if not count and len(containers) > 1:
        yield missing("ports")
    elif count > 1:
        details = "Only a single port is allowed across all containers"
        yield FieldError("more than one container port is set", ("ports",), details)


def _container(container: Object, role: Role, around: Surroundings) -> Iterator[FieldError]:
    yield from _PROBE_RULES[role](container, around)
    yield from not_allowed(container, _FIELDS)
    if container["name"] == "queue-proxy":
        yield FieldError('"queue-proxy" is a reserved container name', ("name",))
    yield from under("env", _env(container.get("env") or (), role, around.features))
    yield from under("envFrom", _env_from(container.get("envFrom") or ()))
    yield from _image(container.get("image", ""))
    yield from under("ports", _ports(container.get("ports") or (), role))
    yield from under("resources", _resources(container.get("resources") or {}))
    if "securityContext" in container:
        yield from under("securityContext", security.container(container["securityContext"], around.features))
    policy = container.get("terminationMessagePolicy", "")
    if policy not in ("", "File", "FallbackToLogsOnError"):
        yield invalid(policy, "terminationMessagePolicy")
    mounts = container.get("volumeMounts") or ()
    yield from under("volumeMounts", volumes.mounts(mounts, around.volumes, around.features))


def _resources(given: Object) -> Iterator[FieldError]:
    yield from not_allowed(given, ("limits", "requests"))
    for field, value, why in resources.wrong(given):
        yield invalid(value, field, why)


def _serving_probes(container: Object, around: Surroundings) -> Iterator[FieldError]:
    yield from _checked_probes(container, around.port_name)


def _sidecar_probes(container: Object, around: Surroundings) -> Iterator[FieldError]:
    if around.features.multi_container_probing is Flag.ENABLED:
        yield from _checked_probes(container, None)
        return
    for field in probes.ALL:
        yield from under(field, not_allowed(_without_handlers(container.get(field) or {}), ()))


def _without_handlers(probe: Object) -> Object:
    """The fields to report for a rejected probe: Knative reports the probe itself instead of its handler."""
    return {
        name if name not in ("exec", "httpGet", "tcpSocket", "grpc") else "": value for name, value in probe.items()
    }


def _init_probes(container: Object, around: Surroundings) -> Iterator[FieldError]:
    for field in (*probes.ALL, "lifecycle"):
        if field in container:
            yield FieldError("field not allowed in an init container", (field,))


_PROBE_RULES = {"serving": _serving_probes, "sidecar": _sidecar_probes, "init": _init_probes}


def _checked_probes(container: Object, port_name: str | None) -> Iterator[FieldError]:
    for field in probes.ALL:
        if field in container:
            yield from under(field, probes.checked(field, container[field], port_name))


def _env(variables: Sequence[Object], role: Role, features: FeaturesConfig) -> Iterator[FieldError]:
    reserved = ("PORT", *_RESERVED_ENV) if role == "serving" else _RESERVED_ENV
    sources = ["configMapKeyRef", "secretKeyRef"]
    if features.podspec_fieldref:
        sources += ["fieldRef", "resourceFieldRef"]
    for index, variable in enumerate(variables):
        yield from under(f"[{index}]", not_allowed(variable, _ENV_FIELDS))
        if not variable["name"]:
            yield missing(f"[{index}].name")
        elif variable["name"] in reserved:
            yield FieldError(f'"{variable["name"]}" is a reserved environment variable', (f"[{index}].name",))
        yield from under(f"[{index}].valueFrom", not_allowed(variable.get("valueFrom") or {}, sources))


def _env_from(sources: Sequence[Object]) -> Iterator[FieldError]:
    for source in sources:
        named = [field for field in ("configMapRef", "secretRef") if field in source]
        if not named:
            yield missing_one_of("configMapRef", "secretRef")
        elif len(named) > 1:
            yield several_of(*named)


def _image(image: str) -> Iterator[FieldError]:
    if not image:
        yield missing("image")
    elif error := images.parse_error(image):
        yield FieldError("Failed to parse image reference", ("image",), f'image: "{image}", error: {error}')


def _ports(given: Sequence[Object], role: Role) -> Iterator[FieldError]:
    for port in given if role == "init" else given[:1]:
        yield from _port(port)
    if not given or role == "init":
        return
    protocol, name = given[0].get("protocol", ""), given[0].get("name", "")
    if protocol not in ("", "TCP"):
        yield invalid(protocol, "protocol")
    if name not in _PORT_NAMES:
        details = "Name must be empty, or one of: 'h2c', 'http1'"
        yield FieldError(f"Port name {name} is not allowed", ("",), details)


def _port(port: Object) -> Iterator[FieldError]:
    yield from not_allowed(port, ("containerPort", "name", "protocol"))
    number = port["containerPort"]
    if number in _RESERVED_PORTS:
        reserved = f"{number} is a reserved port"
        yield invalid(reserved, "containerPort", f"{reserved}, please use a different value")
    if not 0 <= number <= 65535:
        yield out_of_bounds(number, 0, 65535, "containerPort")
