# SPDX-License-Identifier: Apache-2.0
"""The rules of a revision: its pod spec, its limits, and its template."""

from collections.abc import Iterator, Mapping

from tidegate.model import autoscaling, names
from tidegate.model.config import Configs, FeaturesConfig
from tidegate.model.field_errors import FieldError, invalid, not_allowed, out_of_bounds, under
from tidegate.model.objects import Object
from tidegate.model.text import host_paths, literals, quantities, syntax
from tidegate.model.validation import containers, metadata, security, volumes
from tidegate.model.validation.containers import DEFAULT_PORT_NAME, Surroundings

_FIELDS = frozenset(["serviceAccountName", "containers", "volumes", "imagePullSecrets", "enableServiceLinks"])
_OWN_FIELDS = frozenset(["containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds", "idleTimeoutSeconds"])
_SIDECAR = f"queue.sidecar.{names.GROUP}"
_SIDECAR_RESOURCES = tuple(
    f"{_SIDECAR}/{resource}-resource-{bound}"
    for resource in ("cpu", "memory", "ephemeral-storage")
    for bound in ("request", "limit")
)
_MOST_STANDBY = 100  # each keeps its memory while a Route leads to the revision
_MOST_PREPARED = 100
_PERCENTAGE_IS_OLD = (
    "Queue proxy resource percentage annotation is deprecated. Please use the available annotations to explicitly set "
    "resource values per service"
)


def template(given: Object, parent: Object, configs: Configs) -> Iterator[FieldError]:
    """The errors of the template of a Service or Configuration with the metadata `parent`."""
    annotations = (given.get("metadata") or {}).get("annotations") or {}
    yield from under("spec", spec(given["spec"], configs))
    yield from under("metadata.annotations", autoscaling.problems(annotations, configs.autoscaler))
    yield from under("metadata.annotations", metadata.networking_annotations(annotations))
    yield from metadata.template_name(given.get("metadata") or {}, parent)
    yield from under("metadata.annotations", _sidecar_annotations(annotations))
    yield from under("metadata.annotations", _progress_deadline(annotations))
    yield from under("metadata.annotations", own_annotations(annotations))


def spec(given: Object, configs: Configs) -> Iterator[FieldError]:
    yield from _pod(given, configs.features)
    longest = configs.defaults.max_revision_timeout_seconds
    if not 0 <= given.get("timeoutSeconds", 0) <= longest:
        yield out_of_bounds(given["timeoutSeconds"], 0, longest, "timeoutSeconds")
    if "containerConcurrency" in given:
        yield from concurrency(given["containerConcurrency"], configs)


def concurrency(value: int, configs: Configs) -> Iterator[FieldError]:
    least = 0 if configs.defaults.allow_container_concurrency_zero else 1
    most = configs.defaults.container_concurrency_max_limit
    if not least <= value <= most:
        yield out_of_bounds(value, least, most, "containerConcurrency")


def _pod(pod: Object, features: FeaturesConfig) -> Iterator[FieldError]:
    inits, running = pod.get("initContainers") or [], pod["containers"]
    yield from not_allowed(pod, _pod_fields(pod, features))
    context = pod.get("securityContext") or {}
    yield from under("securityContext", security.pod(context, features))
    yield from _warnings(pod, context, features)
    given = pod.get("volumes") or []
    mounted = {mount["name"] for container in (*inits, *running) for mount in container.get("volumeMounts") or ()}
    yield from under("volumes", volumes.volumes(given, mounted, features))
    around = Surroundings({volume["name"]: volume for volume in given}, _port_name(pod), features)
    yield from containers.before(inits, running, around)
    yield from under("containers[*]", containers.ports(running))
    yield from containers.all_of(running, around)
    for rule in syntax.dns_1123_subdomain(pod["serviceAccountName"]) if "serviceAccountName" in pod else ():
        yield invalid(pod["serviceAccountName"], "serviceAccountName", rule)


def _pod_fields(pod: Object, features: FeaturesConfig) -> frozenset[str]:
    switched = {
        "affinity": features.podspec_affinity,
        "topologySpreadConstraints": features.podspec_topologyspreadconstraints,
        "hostAliases": features.podspec_hostaliases,
        "nodeSelector": features.podspec_nodeselector,
        "runtimeClassName": features.podspec_runtimeclassname,
        "tolerations": features.podspec_tolerations,
        "securityContext": features.podspec_securitycontext or features.secure_pod_defaults,
        "shareProcessNamespace": features.podspec_shareprocessnamespace,
        "priorityClassName": features.podspec_priorityclassname,
        "schedulerName": features.podspec_schedulername,
        "initContainers": features.podspec_init_containers,
        "dnsPolicy": features.podspec_dnspolicy,
        "dnsConfig": features.podspec_dnsconfig,
        "hostIPC": features.podspec_hostipc,
        "hostPID": features.podspec_hostpid,
        "hostNetwork": features.podspec_hostnetwork,
        "automountServiceAccountToken": not pod.get("automountServiceAccountToken"),
    }
    return _FIELDS | _OWN_FIELDS | {field for field, on in switched.items() if on}


def _warnings(pod: Object, context: Object, features: FeaturesConfig) -> Iterator[FieldError]:
    for field in ("containers", "initContainers"):
        for index, container in enumerate(pod.get(field) or ()):
            found = security.warnings(context, container.get("securityContext") or {}, features)
            yield from under(f"{field}[{index}].securityContext", found)


def _port_name(pod: Object) -> str:
    """The name of the port that receives the requests, which is in the last container with ports."""
    for container in reversed(pod["containers"]):
        for port in container.get("ports") or ():
            return port.get("name") or DEFAULT_PORT_NAME
    return DEFAULT_PORT_NAME


def _sidecar_annotations(annotations: Mapping[str, str]) -> Iterator[FieldError]:
    """The errors of resources for Knative's sidecar. Tidegate has no sidecar, but the object may be for Knative too."""
    for key in (f"{_SIDECAR}/resource-percentage", f"{_SIDECAR}/resourcePercentage"):
        if key in annotations:
            yield FieldError(_PERCENTAGE_IS_OLD, (), warning=True)
            yield from _percentage(annotations[key], f"[{key}]")
            break
    for key in _SIDECAR_RESOURCES:
        if key in annotations:
            try:
                quantities.parse(annotations[key])
            except ValueError:
                yield invalid(annotations[key], f"[{key}]")


def _percentage(text: str, path: str) -> Iterator[FieldError]:
    try:
        value = literals.number(text)
    except ValueError:
        yield invalid(text, path)
        return
    if not 0.1 <= value <= 100:
        yield out_of_bounds(f"{value:g}", 0.1, 100, path)


def _progress_deadline(annotations: Mapping[str, str]) -> Iterator[FieldError]:
    if names.PROGRESS_DEADLINE in annotations:
        text = annotations[names.PROGRESS_DEADLINE]
        yield from metadata.whole_seconds(text, names.PROGRESS_DEADLINE, "progress-deadline")


def own_annotations(annotations: Mapping[str, str]) -> Iterator[FieldError]:
    """The errors of Tidegate's own annotations: runtime, sandbox, numbers of standby instances and of prepared
    Pods."""
    runtime = annotations.get(names.RUNTIME, "process")
    if runtime not in ("process", "oci"):
        yield invalid(runtime, names.RUNTIME, "must be process or oci")
    sandbox = annotations.get(names.SANDBOX, "")
    if sandbox not in ("", "none"):
        yield invalid(sandbox, names.SANDBOX, "must be none")
    try:
        host_paths.parse(annotations.get(names.SANDBOX_PATHS, ""))
    except ValueError as error:
        yield invalid(annotations[names.SANDBOX_PATHS], names.SANDBOX_PATHS, str(error))
    yield from _count(annotations, names.STANDBY, _MOST_STANDBY)
    yield from _count(annotations, names.PREPARED, _MOST_PREPARED)


def _count(annotations: Mapping[str, str], name: str, most: int) -> Iterator[FieldError]:
    text = annotations.get(name, "0")
    try:
        count = literals.whole(text, 32)
    except ValueError:
        count = -1
    if count < 0:
        yield invalid(text, name, "must be a whole number, 0 or more")
    elif count > most:
        yield out_of_bounds(count, 0, most, name)
