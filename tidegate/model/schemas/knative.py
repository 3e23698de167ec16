# SPDX-License-Identifier: Apache-2.0
"""The kinds of Knative: what users write, and what the parts write for each other."""

from tidegate.model import kinds
from tidegate.model.kinds import Kind
from tidegate.model.schemas import kubernetes, language
from tidegate.model.schemas.types import Record

_RECORDS = language.read(
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

ObjectReference: Another object.
  apiVersion       string  Its API version.
  kind             string  Its kind.
  name             string  Its name.
  namespace        string  Its namespace.
  uid              string  Its uid.
  resourceVersion  string  Its version.
  fieldPath        string  A part of it.

PodAutoscalerSpec: What is scaled, and by what.
  containerConcurrency?  int64           Requests that one instance takes at a time; 0 for no limit.
  protocolType          string           http1 or h2c.
  reachability          string           Reachable, Unreachable or nothing.
  scaleTargetRef        ObjectReference  The revision.

PodAutoscalerStatus*: What is so.
  observedGeneration  int64        The generation that this status is about.
  conditions          [Condition]  Ready, Active and ScaleTargetInitialized.
  desiredScale?       int32        Instances that there should be.
  actualScale?        int32        Instances that are ready.

IngressBackendSplit: A share of a path's requests.
  serviceName!       string    The revision.
  serviceNamespace!  string    Its namespace.
  servicePort!       port      Its port.
  percent?           int64     The share, in percent.
  appendHeaders      {string}  Headers added to these requests.

HeaderMatch: What a header must be.
  exact!  string  Its whole value.

HTTPIngressPath: What begins with a path.
  path           string                 The path's beginning; all if not named.
  headers        {HeaderMatch}          Headers that must be there.
  rewriteHost    string                 The host the revision sees.
  appendHeaders  {string}               Headers added to the requests.
  splits         [IngressBackendSplit]  Who gets which share.

HTTPIngressRuleValue: The paths of some hosts.
  paths  [HTTPIngressPath]  The paths.

IngressRule: What happens to some hosts' requests.
  hosts       [string]              The hosts.
  visibility  string                ExternalIP, or ClusterLocal.
  http        HTTPIngressRuleValue  The paths.

IngressTLS: A certificate for some hosts.
  hosts            [string]  The hosts.
  secretName       string    The Secret with the certificate.
  secretNamespace  string    Its namespace.

IngressSpec: Which requests go where.
  httpOption  string         Enabled, or Redirected to HTTPS.
  rules       [IngressRule]  By host.
  tls         [IngressTLS]   Certificates.

IngressStatus*: What is so.
  observedGeneration   int64        The generation that this status is about.
  conditions           [Condition]  Ready, NetworkConfigured and LoadBalancerReady.
  publicLoadBalancer   any          Where requests from outside arrive.
  privateLoadBalancer  any          Where requests from inside arrive.
""",
    kubernetes.RECORDS,
)


def _kind(name: str, description: str) -> Record:
    head = f"{name}: {description}\n"
    return language.read(
        head
        + f"""
  apiVersion  string        The group and version of this kind.
  kind        string        The name of this kind.
  metadata    ObjectMeta    Who it is.
  spec!       {name}Spec    What is wanted.
  status-     {name}Status  What is so. Written by the parts that see to it.
""",
        _RECORDS,
    )[name]


KINDS: dict[Kind, Record] = {
    kinds.SERVICE: _kind("Service", "An app: what runs, and who gets which share of the traffic."),
    kinds.CONFIGURATION: _kind("Configuration", "What the newest revision of an app should be."),
    kinds.REVISION: _kind("Revision", "One state of an app's code and settings; it never changes."),
    kinds.ROUTE: _kind("Route", "A host, and which revisions get which share of its traffic."),
    kinds.POD_AUTOSCALER: _kind("PodAutoscaler", "How many instances of a revision there should be."),
    kinds.INGRESS: _kind("Ingress", "Which requests the gateway sends where."),
}
