# SPDX-License-Identifier: Apache-2.0
"""The names of kinds in the API, and the kinds that Tidegate serves by itself.

Names, short names and categories are those of Knative's custom resource definitions and of Kubernetes' own kinds. This
module is small, because the command line loads it on every start. How a kind behaves (schema, defaults, rules, columns)
is its `Resource` in `model.groups`.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Kind:
    """The names of one resource type. `status`: whether it has the status subresource. `subresources`: others, e.g.
    the log of a Pod.
    `selectable`: fields that field selectors may name, besides metadata.name and metadata.namespace."""

    group: str
    version: str
    kind: str
    plural: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    status: bool = True
    subresources: tuple[str, ...] = ()
    selectable: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """The name in error messages and in the store: "services.serving.knative.dev", "pods"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular(self) -> str:
        return self.kind.lower()

    def __str__(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind


def _by(key: Callable[[Kind], K], kinds: Iterable[Kind]) -> Mapping[K, Kind]:
    """The kinds by a key. Raises `ValueError` if two have the same."""
    found: dict[K, Kind] = {}
    for kind in kinds:
        if key(kind) in found:
            raise ValueError(f"{kind} has a name that {found[key(kind)]} has already")
        found[key(kind)] = kind
    return found


class Kinds(Collection[Kind]):
    """A set of kinds, in order, found by any of their names."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._kinds = tuple(kinds)
        self._by_name = _by(lambda kind: (kind.api_version, kind.kind), self._kinds)
        self._by_path = _by(lambda kind: (kind.group, kind.version, kind.plural), self._kinds)
        self._by_resource = _by(lambda kind: kind.resource, self._kinds)

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def __contains__(self, kind: object) -> bool:
        return kind in self._kinds

    def named(self, api_version: str, kind: str) -> Kind | None:
        """The kind with the `apiVersion` and `kind` of an object; None if it is not in the set."""
        return self._by_name.get((api_version, kind))

    def at(self, group: str, version: str, plural: str) -> Kind | None:
        """The kind at a request path; None if it is not in the set."""
        return self._by_path.get((group, version, plural))

    def of_resource(self, resource: str) -> Kind | None:
        """The kind with the name that the store and error messages use: "services.serving.knative.dev"."""
        return self._by_resource.get(resource)


SERVING = "serving.knative.dev"
_SERVING_CATEGORIES = ("all", "knative", "serving")

SERVICE = Kind(
    *(SERVING, "v1", "Service", "services", ("kservice", "ksvc"), _SERVING_CATEGORIES), subresources=("ended",)
)
CONFIGURATION = Kind(SERVING, "v1", "Configuration", "configurations", ("config", "cfg"), _SERVING_CATEGORIES)
REVISION = Kind(SERVING, "v1", "Revision", "revisions", ("rev",), _SERVING_CATEGORIES)
ROUTE = Kind(SERVING, "v1", "Route", "routes", ("rt",), _SERVING_CATEGORIES)
POD_AUTOSCALER = Kind(
    "autoscaling.internal.knative.dev",
    "v1alpha1",
    "PodAutoscaler",
    "podautoscalers",
    ("kpa", "pa"),
    ("knative-internal", "autoscaling"),
)
INGRESS = Kind(
    "networking.internal.knative.dev",
    "v1alpha1",
    "Ingress",
    "ingresses",
    ("kingress", "king"),
    ("knative-internal", "networking"),
)

NAMESPACE = Kind("", "v1", "Namespace", "namespaces", ("ns",), namespaced=False, selectable=("status.phase",))
NODE = Kind("", "v1", "Node", "nodes", ("no",), namespaced=False, selectable=("spec.unschedulable",))
POD = Kind(
    *("", "v1", "Pod", "pods", ("po",), ("all",)),
    subresources=("log", "exec", "attach", "portforward"),
    selectable=(
        *("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName"),
        *("status.phase", "status.podIP"),
    ),
)
EVENT = Kind(
    *("", "v1", "Event", "events", ("ev",)),
    status=False,
    selectable=(
        *(f"involvedObject.{name}" for name in ("kind", "namespace", "name", "uid", "apiVersion", "fieldPath")),
        *("involvedObject.resourceVersion", "reason", "reportingComponent", "source", "type"),
    ),
)
SECRET = Kind("", "v1", "Secret", "secrets", status=False, selectable=("type",))
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", ("cm",), status=False)
SERVICE_ACCOUNT = Kind(*("", "v1", "ServiceAccount", "serviceaccounts", ("sa",)), status=False, subresources=("token",))
RESOURCE_QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas", ("quota",))

PERSISTENT_VOLUME_CLAIM = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", ("pvc",))
PERSISTENT_VOLUME = Kind("", "v1", "PersistentVolume", "persistentvolumes", ("pv",), namespaced=False)
STORAGE_CLASS = Kind(
    *("storage.k8s.io", "v1", "StorageClass", "storageclasses", ("sc",)), namespaced=False, status=False
)

BUILT_IN_KINDS = Kinds(
    (
        *(SERVICE, CONFIGURATION, REVISION, ROUTE, POD_AUTOSCALER, INGRESS),
        *(NAMESPACE, NODE, POD, EVENT, SECRET, CONFIG_MAP, SERVICE_ACCOUNT, RESOURCE_QUOTA),
        *(PERSISTENT_VOLUME_CLAIM, PERSISTENT_VOLUME, STORAGE_CLASS),
    )
)
"""The kinds that every Tidegate serves: those of `groups.BUILT_IN_SCHEME`, in the same order. Extensions add theirs."""
