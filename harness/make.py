# SPDX-License-Identifier: Apache-2.0
"""Short makers of objects, as the API would have stored them: defaults filled in, with uid and generation."""

from typing import Any

from tidegate.model import names
from tidegate.model.objects import Object
from tidegate.model.pods import FROZEN

NAMESPACE = "default"
EARLY = "2026-01-01T00:00:00Z"


def _object(api_version: str, kind: str, name: str, *, owner: Object | None = None, **parts: Any) -> Object:
    metadata = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": f"{kind.lower()}-{name}",
        "generation": 1,
        "resourceVersion": "1",
        "creationTimestamp": EARLY,
        **parts.pop("metadata", {}),
    }
    for field in ("labels", "annotations"):
        if parts.get(field):
            metadata[field] = parts[field]
        parts.pop(field, None)
    if owner is not None:
        metadata["ownerReferences"] = [
            {
                "apiVersion": owner["apiVersion"],
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **parts}


def new(obj: Object) -> Object:
    """The object as a user would send it: without what the API gives."""
    given = ("name", "generateName", "namespace", "labels", "annotations", "ownerReferences", "finalizers")
    metadata = {field: value for field, value in obj["metadata"].items() if field in given}
    return {**{field: value for field, value in obj.items() if field != "status"}, "metadata": metadata}


def conditions(**states: str | tuple[str, str, str]) -> list[Object]:
    """conditions(Ready="True", Active=("False", "NoTraffic", "no traffic"))"""
    made = []
    for kind, state in sorted(states.items()):
        status, reason, message = (state, "", "") if isinstance(state, str) else state
        more = {name: text for name, text in (("reason", reason), ("message", message)) if text}
        made.append({"type": kind, "status": status, **more, "lastTransitionTime": EARLY})
    return made


def observed(obj: Object, **status: Any) -> Object:
    """The object with a status of its newest generation; keywords with a capital are conditions."""
    states = {name: state for name, state in status.items() if name[0].isupper()}
    fields = {name: value for name, value in status.items() if name not in states}
    generation = obj["metadata"]["generation"]
    return {**obj, "status": {"observedGeneration": generation, "conditions": conditions(**states), **fields}}


def template(image: str = "tidegate.dev/host", *, name: str = "", **options: Any) -> Object:
    """A template of one container. Options: labels, annotations, and fields of the revision's spec."""
    metadata = {field: options.pop(field) for field in ("labels", "annotations") if field in options}
    container = {
        "name": "user-container",
        "image": image,
        "readinessProbe": {"successThreshold": 1, "tcpSocket": {"port": 0}},
        **options.pop("container", {}),
    }
    return {
        "metadata": {**metadata, **({"name": name} if name else {})},
        "spec": {
            "containerConcurrency": 0,
            "containers": [container],
            "enableServiceLinks": False,
            "timeoutSeconds": 300,
            **options,
        },
    }


LATEST: Object = {"latestRevision": True, "percent": 100}


def latest(percent: int = 100, *, configuration: str = "hello", tag: str = "") -> Object:
    target = {"configurationName": configuration, "latestRevision": True, "percent": percent}
    return {**target, **({"tag": tag} if tag else {})}


def pinned(revision: str, percent: int = 100, *, tag: str = "") -> Object:
    target = {"revisionName": revision, "latestRevision": False, "percent": percent}
    return {**target, **({"tag": tag} if tag else {})}


def service(name: str = "hello", *, traffic: list[Object] | None = None, **options: Any) -> Object:
    own = {field: options.pop(field) for field in ("metadata", "labels", "annotations") if field in options}
    spec = {"template": options.pop("template", template()), "traffic": traffic or [LATEST]}
    return _object("serving.knative.dev/v1", "Service", name, spec=spec, **own)


def configuration(name: str = "hello", *, owner: Object | None = None, **options: Any) -> Object:
    own = {field: options.pop(field) for field in ("metadata", "labels", "annotations") if field in options}
    spec = {"template": options.pop("template", template())}
    return _object("serving.knative.dev/v1", "Configuration", name, owner=owner, spec=spec, **own)


def revision(
    name: str = "hello-00001", *, of: str = "hello", generation: int = 1, owner: Object | None = None, **options: Any
) -> Object:
    """`of`: the Configuration, and the Service of that name."""
    named = {
        names.CONFIGURATION: of,
        names.CONFIGURATION_GENERATION: str(generation),
        names.SERVICE: of,
        names.ROUTING_STATE: "active",
    }
    own = {field: options.pop(field) for field in ("metadata", "annotations") if field in options}
    labels = {**named, **options.pop("labels", {})}
    spec = options.pop("spec", template()["spec"])
    return _object("serving.knative.dev/v1", "Revision", name, owner=owner, labels=labels, spec=spec, **own)


def route(name: str = "hello", *, traffic: list[Object] | None = None, **options: Any) -> Object:
    spec = {"traffic": traffic or [latest()]}
    return _object("serving.knative.dev/v1", "Route", name, spec=spec, **options)


def pod_autoscaler(owner: Object, *, reachability: str = "Reachable", **options: Any) -> Object:
    """Of a Revision."""
    metadata = owner["metadata"]
    spec = {
        "containerConcurrency": owner["spec"]["containerConcurrency"],
        "protocolType": "http1",
        "reachability": reachability,
        "scaleTargetRef": {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": metadata["name"]},
    }
    api_version = "autoscaling.internal.knative.dev/v1alpha1"
    return _object(api_version, "PodAutoscaler", metadata["name"], owner=owner, spec=spec, **options)


def pod(owner: Object, suffix: str = "aaaaa", *, ready: bool = False, **options: Any) -> Object:
    """Of a Revision. Options: `status` replaces what `ready` says."""
    name = owner["metadata"]["name"]
    labels = {names.REVISION: name, names.REVISION_UID: owner["metadata"]["uid"]}
    status = {
        "phase": "Running" if ready else "Pending",
        "conditions": conditions(Ready="True" if ready else "False"),
        **({"podIP": "127.0.0.1"} if ready else {}),
    }
    return _object(
        "v1",
        "Pod",
        f"{name}-{suffix}",
        owner=owner,
        labels=labels,
        spec={"containers": owner["spec"]["containers"]},
        **{"status": status, **options},
    )


def running() -> Object:
    """The status of a Pod that takes requests."""
    container = {"name": "user-container", "ready": True, "state": {"running": {}}}
    return {
        "phase": "Running",
        "podIP": "127.0.0.1",
        "conditions": conditions(Ready="True"),
        "containerStatuses": [container],
    }


def frozen() -> Object:
    """The status of a Pod that stands by."""
    asleep = ("False", FROZEN, "")
    return {**running(), "reason": "Standby", "conditions": conditions(**{names.AWAKE: asleep, "Ready": asleep})}


def standing_by(pod: Object) -> Object:
    """The Pod, asked to stand by."""
    metadata = pod["metadata"]
    return {**pod, "metadata": {**metadata, "labels": {**metadata["labels"], names.STANDBY: "true"}}}


def created() -> Object:
    """The status of a Pod whose containers are created and not started."""
    container = {"name": "user-container", "ready": False, "state": {"waiting": {"reason": "ContainerCreating"}}}
    return {
        "phase": "Pending",
        "podIP": "10.1.0.2",
        "conditions": conditions(**{names.PREPARED_STATE: "True", "Ready": "False"}),
        "containerStatuses": [container],
    }


def prepared(pod: Object) -> Object:
    """The Pod, asked to be prepared."""
    metadata = pod["metadata"]
    return {**pod, "metadata": {**metadata, "labels": {**metadata["labels"], names.PREPARED: "true"}}}


def waiting(reason: str, message: str = "") -> Object:
    """The status of a Pod whose container cannot be started."""
    state = {"waiting": {"reason": reason, "message": message}}
    return {"phase": "Pending", "containerStatuses": [{"name": "user-container", "ready": False, "state": state}]}


def crashed(words: str, *, code: int = 1) -> Object:
    """The status of a Pod whose container has ended and waits to be started again."""
    ended = {"terminated": {"exitCode": code, "reason": "Error", "message": words}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}}
    container = {"name": "user-container", "ready": False, "state": waiting, "lastState": ended}
    return {"phase": "Running", "conditions": conditions(Ready="False"), "containerStatuses": [container]}


def ended(*, ends: int, ran: int = 5, state: str = "terminated", reason: str = "") -> Object:
    """The status of a Pod whose container has ended `ends` times, the last time after `ran` seconds; its state now."""
    run = {
        "exitCode": 1,
        "startedAt": "2025-01-01T00:00:00Z",
        "finishedAt": f"2025-01-01T00:{ran // 60:02}:{ran % 60:02}Z",
    }
    now = {"terminated": run, "waiting": {"reason": reason}, "running": {"startedAt": "2025-01-01T01:00:00Z"}}[state]
    container = {"name": "user-container", "ready": False, "state": {state: now}, "restartCount": ends - 1}
    if state != "terminated":
        container |= {"restartCount": ends, "lastState": {"terminated": run}}
    return {"phase": "Running", "conditions": conditions(Ready="False"), "containerStatuses": [container]}


def ingress(name: str = "hello", *rules: Object, redirect: bool = False, **options: Any) -> Object:
    """Without rules: the host NAME.example.com leads to the revision NAME-00001."""
    made = list(rules) or [rule(f"{name}.example.com", path({f"{name}-00001": 100}))]
    spec = {"rules": made, "httpOption": "Redirected" if redirect else "Enabled"}
    return _object("networking.internal.knative.dev/v1alpha1", "Ingress", name, spec=spec, **options)


def rule(host: str | list[str], *paths: Object, local: bool = False) -> Object:
    hosts = [host] if isinstance(host, str) else host
    visibility = "ClusterLocal" if local else "ExternalIP"
    return {"hosts": hosts, "visibility": visibility, "http": {"paths": list(paths)}}


def path(percents: dict[str, int], **fields: Any) -> Object:
    """Shares by revision; each request gets a header with its revision. Fields: those of an Ingress's path."""
    splits = [
        {
            "serviceName": revision,
            "serviceNamespace": NAMESPACE,
            "servicePort": 80,
            "percent": percent,
            "appendHeaders": {"Knative-Serving-Revision": revision},
        }
        for revision, percent in percents.items()
    ]
    return {"splits": splits, **fields}
