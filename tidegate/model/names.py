# SPDX-License-Identifier: Apache-2.0
"""Names that parts share: labels, annotations, names of child objects. Those with `tidegate.dev` are Tidegate's
own, all others Knative's."""

import hashlib

GROUP = "serving.knative.dev"
SERVICE = f"{GROUP}/service"
SERVICE_UID = f"{GROUP}/serviceUID"
CONFIGURATION = f"{GROUP}/configuration"
CONFIGURATION_UID = f"{GROUP}/configurationUID"
CONFIGURATION_GENERATION = f"{GROUP}/configurationGeneration"
REVISION = f"{GROUP}/revision"
REVISION_UID = f"{GROUP}/revisionUID"
ROUTE = f"{GROUP}/route"
ROUTE_NAMESPACE = f"{GROUP}/routeNamespace"
ROUTES = f"{GROUP}/routes"
ROUTING_STATE = f"{GROUP}/routingState"
ROUTING_STATE_MODIFIED = f"{GROUP}/routingStateModified"
CREATOR = f"{GROUP}/creator"
LAST_MODIFIER = f"{GROUP}/lastModifier"
ROLLOUT_DURATION = f"{GROUP}/rollout-duration"
ROLLOUT_DURATIONS = (ROLLOUT_DURATION, f"{GROUP}/rolloutDuration")
"""The older spelling is also accepted, here and below."""
PROGRESS_DEADLINE = f"{GROUP}/progress-deadline"
NO_GC = f"{GROUP}/no-gc"
LAST_PINNED = f"{GROUP}/lastPinned"
LOCAL_DOMAIN = "svc.cluster.local"
"""The domain of cluster-local Routes."""
APP = "app"
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

AUTOSCALING = "autoscaling.knative.dev"
AUTOSCALING_CLASS = f"{AUTOSCALING}/class"
KPA = f"kpa.{AUTOSCALING}"
HPA = f"hpa.{AUTOSCALING}"

INGRESS_CLASS = "networking.knative.dev/ingress.class"
OUR_INGRESS_CLASS = "tidegate.ingress.networking.knative.dev"
INGRESS_CLASSES = (INGRESS_CLASS, "networking.knative.dev/ingress-class")
CERTIFICATE_CLASSES = ("networking.knative.dev/certificate.class", "networking.knative.dev/certificate-class")
HTTP_PROTOCOLS = ("networking.knative.dev/httpOption", "networking.knative.dev/http-protocol")
ROLLOUT = "networking.internal.knative.dev/rollout"
TAG_TO_HOST = "networking.internal.knative.dev/tag-to-host"
TAG_HEADER = "Knative-Serving-Tag"
VISIBILITY = "networking.knative.dev/visibility"
CLUSTER_LOCAL = "cluster-local"

SYSTEM_NAMESPACE = "knative-serving"
"""The namespace of the config-* ConfigMaps."""

PORT = "tidegate.dev/port"
"""On a Pod, set by the node agent: the port of its serving container, if that is not the container port."""

DEFAULT_PORT = 8080
"""The port of a serving container that names no port."""

RUNTIME = "tidegate.dev/runtime"
SANDBOX = "tidegate.dev/sandbox"
"""On a revision's template: `none` runs its processes without a sandbox."""
SANDBOX_PATHS = "tidegate.dev/sandbox-paths"
"""On a revision's template: paths of the host that its sandbox shows, e.g. `/srv/models,/srv/data:rw`."""
MIRROR = "tidegate.dev/mirror"

STANDBY = "tidegate.dev/standby"
"""On a revision's template, an annotation: the number of frozen standby instances. On a Pod, a label: it stands by."""

AWAKE = "tidegate.dev/Awake"
"""A condition of a Pod that stands by or has stood by: False with the reason Frozen while its processes are frozen."""

PREPARED = "tidegate.dev/prepared"
"""On a revision's template, an annotation: the number of prepared Pods. On a Pod, a label: its containers are created
and not started."""

PREPARED_STATE = "tidegate.dev/Prepared"
"""A condition of a Pod that is or was prepared: True while its containers are created and not started. It is False
before, with the reason why they cannot be created if there is one, and after their start."""

ENDED = "tidegate.dev/ended"
"""On a deleted Pod whose log is kept, an annotation: the time when its processes ended, ISO 8601."""

BUNDLE_IMAGE_PREFIX = "tidegate.dev/bundle/"
HOST_IMAGE = "tidegate.dev/host"

_LONGEST = 63
_HEAD = _LONGEST - 32  # 63 minus the length of an MD5 in hex


def child_name(parent: str, suffix: str) -> str:
    """The name of a child: parent and suffix or, if that exceeds 63 characters, a part of it and a hash.

    Rule: knative.dev/pkg kmeta.ChildName.

    | parent + suffix | suffix   | name                                                        |
    | --- | --- | --- |
    | <= 63           | any      | parent + suffix                                             |
    | > 63            | < 31     | start of the parent, hash of the parent, suffix             |
    | > 63            | >= 31    | start of the parent, hash of both, as much suffix as fits   |

    The hash is MD5 because the name must equal Knative's; it is not used for security.
    """
    if len(parent) + len(suffix) <= _LONGEST:
        return parent + suffix
    if len(suffix) < _HEAD:
        return parent[: _HEAD - len(suffix)] + _md5(parent) + suffix
    name = parent[:_HEAD] + _md5(parent + suffix)
    return name + suffix[: _LONGEST - len(name)]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


PROVISIONER = "tidegate.dev/folder"
"""The provisioner of StorageClasses whose volumes are folders of this machine."""

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
"""Annotation of the StorageClass for claims that name none."""

CLAIM_PROTECTION, VOLUME_PROTECTION = "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection"
"""Finalizers: a claim is kept while a Pod uses it, a volume while its claim exists."""
