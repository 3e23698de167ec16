# SPDX-License-Identifier: Apache-2.0
"""The schemas of the group serving.knative.dev: Service, Configuration, Revision and Route."""

from tidegate.model.schemas import kubernetes, language

_TYPES = language.read(
    """
RevisionSpec: How a revision runs.
  containerConcurrency?         int64  Requests that one instance takes at a time; 0 for no limit.
  timeoutSeconds?               int64  How long a request may take.
  responseStartTimeoutSeconds?  int64  How long a response may take to begin.
  idleTimeoutSeconds?           int64  How long a request may be silent.
  ...PodSpec

RevisionTemplate: What the next revision will be.
  metadata-  ObjectMeta    Labels and annotations of the revision, and its name if you choose it.
  spec!      RevisionSpec  How it runs.

ConfigurationSpec: What the newest revision should be.
  template!  RevisionTemplate  What the next revision will be.

TrafficTarget: A share of the traffic.
  revisionName       string   The revision that gets it.
  configurationName  string   The configuration whose latest ready revision gets it.
  latestRevision?    boolean  Whether it follows the latest ready revision.
  percent?           int64    The share, in percent.
  tag                string   A name that has a host of its own.
  url                url      The tag's address. Set by the server.

RouteSpec: Who gets which share of the traffic.
  traffic  [TrafficTarget]  The shares; together they are 100 percent.

ServiceSpec: What runs, and who gets which share of the traffic.
  ...ConfigurationSpec
  ...RouteSpec

Addressable*: Where something is reached from inside.
  url  string  The address.

ContainerStatus*: Which image a container runs.
  name         string  The container.
  imageDigest  string  The image, by digest.

ServiceStatus*: What is so.
  observedGeneration         int64            The generation that this status is about.
  conditions                 [Condition]      Ready, ConfigurationsReady and RoutesReady.
  url                        string           The address for everyone.
  address                    Addressable      The address from inside.
  traffic                    [TrafficTarget]  Who gets which share now.
  latestCreatedRevisionName  string           The newest revision.
  latestReadyRevisionName    string           The newest revision that can serve.

ConfigurationStatus*: What is so.
  observedGeneration         int64        The generation that this status is about.
  conditions                 [Condition]  Ready.
  latestCreatedRevisionName  string       The newest revision.
  latestReadyRevisionName    string       The newest revision that can serve.

RevisionStatus*: What is so.
  observedGeneration     int64              The generation that this status is about.
  conditions             [Condition]        Ready, ResourcesAvailable, ContainerHealthy and Active.
  containerStatuses      [ContainerStatus]  The images of the containers.
  initContainerStatuses  [ContainerStatus]  The images of the init containers.
  actualReplicas?        int32              Instances that are ready.
  desiredReplicas?       int32              Instances that there should be.
  logUrl                 string             Where the logs are.

RouteStatus*: What is so.
  observedGeneration  int64            The generation that this status is about.
  conditions          [Condition]      Ready, AllTrafficAssigned, IngressReady and CertificateProvisioned.
  url                 string           The address for everyone.
  address             Addressable      The address from inside.
  traffic             [TrafficTarget]  Who gets which share now.
""",
    kubernetes.TYPES,
)

SERVICE = language.kind("Service", "An app: what runs, and who gets which share of the traffic.", _TYPES)
CONFIGURATION = language.kind("Configuration", "What the newest revision of an app should be.", _TYPES)
REVISION = language.kind("Revision", "One state of an app's code and settings; it never changes.", _TYPES)
ROUTE = language.kind("Route", "A host, and which revisions get which share of its traffic.", _TYPES)
