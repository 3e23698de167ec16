# SPDX-License-Identifier: Apache-2.0
"""The kinds Tidegate serves: their names in the API, and the columns `kubectl get` shows.

Discovery, paths and tables come from here. Names, short names, categories and columns are those of Knative's custom
resource definitions and of Kubernetes' own kinds.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Column(NamedTuple):
    """A column of a Table: `path` as in a CRD's additionalPrinterColumns. `priority` > 0 shows with -o wide only."""

    name: str
    type: str
    path: str
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource type. `status`: whether it has the status subresource."""

    group: str
    version: str
    kind: str
    plural: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    status: bool = True
    columns: tuple[Column, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """As error messages and events write it: "services.serving.knative.dev", "pods"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular(self) -> str:
        return self.kind.lower()

    def __str__(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind


def _ready() -> tuple[Column, Column]:
    path = ".status.conditions[?(@.type=='Ready')]"
    return Column("Ready", "string", f"{path}.status"), Column("Reason", "string", f"{path}.reason")


SERVING = "serving.knative.dev"
_SERVING_CATEGORIES = ("all", "knative", "serving")
_INTERNAL_CATEGORIES = ("knative-internal", "networking")
_URL = Column("URL", "string", ".status.url")
_LATEST = (
    Column("LatestCreated", "string", ".status.latestCreatedRevisionName"),
    Column("LatestReady", "string", ".status.latestReadyRevisionName"),
)

SERVICE = Kind(
    SERVING, "v1", "Service", "services", ("kservice", "ksvc"), _SERVING_CATEGORIES, columns=(_URL, *_LATEST, *_ready())
)
CONFIGURATION = Kind(
    SERVING,
    "v1",
    "Configuration",
    "configurations",
    ("config", "cfg"),
    _SERVING_CATEGORIES,
    columns=(*_LATEST, *_ready()),
)
REVISION = Kind(
    SERVING,
    "v1",
    "Revision",
    "revisions",
    ("rev",),
    _SERVING_CATEGORIES,
    columns=(
        Column("Config Name", "string", ".metadata.labels['serving.knative.dev/configuration']"),
        Column("Generation", "string", ".metadata.labels['serving.knative.dev/configurationGeneration']"),
        *_ready(),
        Column("Actual Replicas", "integer", ".status.actualReplicas"),
        Column("Desired Replicas", "integer", ".status.desiredReplicas"),
    ),
)
ROUTE = Kind(SERVING, "v1", "Route", "routes", ("rt",), _SERVING_CATEGORIES, columns=(_URL, *_ready()))
POD_AUTOSCALER = Kind(
    "autoscaling.internal.knative.dev",
    "v1alpha1",
    "PodAutoscaler",
    "podautoscalers",
    ("kpa", "pa"),
    ("knative-internal", "autoscaling"),
    columns=(
        Column("DesiredScale", "integer", ".status.desiredScale"),
        Column("ActualScale", "integer", ".status.actualScale"),
        *_ready(),
    ),
)
INGRESS = Kind(
    "networking.internal.knative.dev",
    "v1alpha1",
    "Ingress",
    "ingresses",
    ("kingress", "king"),
    _INTERNAL_CATEGORIES,
    columns=_ready(),
)

NAMESPACE = Kind(
    "",
    "v1",
    "Namespace",
    "namespaces",
    ("ns",),
    namespaced=False,
    columns=(Column("Status", "string", ".status.phase"),),
)
NODE = Kind(
    "",
    "v1",
    "Node",
    "nodes",
    ("no",),
    namespaced=False,
    columns=(
        Column("Status", "string", ".status.conditions[?(@.type=='Ready')].reason"),
        Column("Version", "string", ".status.nodeInfo.kubeletVersion"),
    ),
)
POD = Kind("", "v1", "Pod", "pods", ("po",), ("all",))  # its columns are computed: see the API server's tables
EVENT = Kind("", "v1", "Event", "events", ("ev",), status=False)
SECRET = Kind("", "v1", "Secret", "secrets", status=False)
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", ("cm",), status=False)
RESOURCE_QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas", ("quota",))

ALL: tuple[Kind, ...] = (
    SERVICE,
    CONFIGURATION,
    REVISION,
    ROUTE,
    POD_AUTOSCALER,
    INGRESS,
    NAMESPACE,
    NODE,
    POD,
    EVENT,
    SECRET,
    CONFIG_MAP,
    RESOURCE_QUOTA,
)

_BY_NAME = {(kind.api_version, kind.kind): kind for kind in ALL}
_BY_RESOURCE = {(kind.group, kind.version, kind.plural): kind for kind in ALL}
_BY_QUALIFIED_NAME = {kind.resource: kind for kind in ALL}


def named(api_version: str, kind: str) -> Kind | None:
    """The kind an object's `apiVersion` and `kind` name, if Tidegate serves it."""
    return _BY_NAME.get((api_version, kind))


def at(group: str, version: str, plural: str) -> Kind | None:
    """The kind a request path names, if Tidegate serves it."""
    return _BY_RESOURCE.get((group, version, plural))


def of_resource(resource: str) -> Kind | None:
    """The kind that the store and error messages write as "services.serving.knative.dev"."""
    return _BY_QUALIFIED_NAME.get(resource)
