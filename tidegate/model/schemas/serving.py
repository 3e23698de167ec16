# SPDX-License-Identifier: Apache-2.0
"""The schemas of the group serving.knative.dev: Service, Configuration, Revision and Route."""

from tidegate.model.schemas import kubernetes, language

_TYPES = language.read(
    """
RevisionSpec: Desired state of a revision.
  containerConcurrency?         int64  Maximum number of concurrent requests per instance; 0 for no limit.
  timeoutSeconds?               int64  Maximum duration of a request, in seconds.
  responseStartTimeoutSeconds?  int64  Maximum time until the response starts, in seconds.
  idleTimeoutSeconds?           int64  Maximum time without a byte in either direction, in seconds.
  ...PodSpec

RevisionTemplate: Template of the next revision.
  metadata-  ObjectMeta    Labels and annotations of the revision, and its name if the author chooses one.
  spec!      RevisionSpec  Desired state of the revision.

ConfigurationSpec: Desired state of the newest revision.
  template!  RevisionTemplate  Template of the next revision.

TrafficTarget: A share of the traffic, and the revision that receives it.
  revisionName       string   The revision that receives the traffic.
  configurationName  string   The configuration whose latest ready revision receives the traffic.
  latestRevision?    boolean  Whether the target follows the latest ready revision.
  percent?           int64    Share of the traffic, 0 to 100 percent.
  tag                string   Name for a host that leads to this target only.
  url                url      Address of the tag. Set by the server.

RouteSpec: Desired traffic split of a Route.
  traffic  [TrafficTarget]  Targets of the traffic. Their percents add up to 100.

ServiceSpec: Desired state of an app and of its traffic split.
  ...ConfigurationSpec
  ...RouteSpec

Addressable*: Address for clients inside the cluster.
  url  string  The address.

ContainerStatus*: Image of one container.
  name         string  The container.
  imageDigest  string  The image, by digest.

ServiceStatus*: Observed state of the Service.
  observedGeneration         int64            Generation of the spec that this status describes.
  conditions                 [Condition]      Ready, ConfigurationsReady and RoutesReady.
  url                        string           Address for external clients.
  address                    Addressable      Address for clients inside the cluster.
  traffic                    [TrafficTarget]  Traffic split in effect.
  latestCreatedRevisionName  string           The newest revision.
  latestReadyRevisionName    string           The newest revision that is ready.

ConfigurationStatus*: Observed state of the Configuration.
  observedGeneration         int64        Generation of the spec that this status describes.
  conditions                 [Condition]  Ready.
  latestCreatedRevisionName  string       The newest revision.
  latestReadyRevisionName    string       The newest revision that is ready.

RevisionStatus*: Observed state of the Revision.
  observedGeneration     int64              Generation of the spec that this status describes.
  conditions             [Condition]        Ready, ResourcesAvailable, ContainerHealthy and Active.
  containerStatuses      [ContainerStatus]  Images of the containers.
  initContainerStatuses  [ContainerStatus]  Images of the init containers.
  actualReplicas?        int32              Number of ready instances.
  desiredReplicas?       int32              Desired number of instances.
  logUrl                 string             Address of the logs.

RouteStatus*: Observed state of the Route.
  observedGeneration  int64            Generation of the spec that this status describes.
  conditions          [Condition]      Ready, AllTrafficAssigned, IngressReady and CertificateProvisioned.
  url                 string           Address for external clients.
  address             Addressable      Address for clients inside the cluster.
  traffic             [TrafficTarget]  Traffic split in effect.
""",
    kubernetes.TYPES,
)

SERVICE = language.kind("Service", "An app: its code, and the split of traffic between its revisions.", _TYPES)
CONFIGURATION = language.kind("Configuration", "Desired state of the newest revision of an app.", _TYPES)
REVISION = language.kind("Revision", "An immutable snapshot of an app's code and settings.", _TYPES)
ROUTE = language.kind("Route", "A host, and the split of its traffic between revisions.", _TYPES)
