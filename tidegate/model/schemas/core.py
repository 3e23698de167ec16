# SPDX-License-Identifier: Apache-2.0
"""The schemas of the core group: Kubernetes' own kinds that Tidegate serves."""

from tidegate.model.schemas import kubernetes, language

_TYPES = language.read(
    """
ContainerState*: State of a container. One of its fields is set.
  waiting     any  Reason why the container does not run yet.
  running     any  Start time of the container.
  terminated  any  Exit code, reason and times of the container.

PodContainerStatus*: Observed state of one container.
  name          string          The container.
  ready         boolean         Whether the container accepts requests.
  restartCount  int32           Number of restarts.
  state         ContainerState  Current state.
  lastState     ContainerState  State before the last restart.

PodStatus*: Observed state of the Pod.
  phase              string                Pending, Running, Succeeded or Failed.
  conditions         [Condition]           PodScheduled, Ready and others.
  containerStatuses  [PodContainerStatus]  State of each container.
  hostIP             string                Address of the node.
  podIP              string                Address of the instance.
  startTime          time                  Time when the node accepted the Pod.
  reason             string                Machine-readable reason for the phase.
  message            string                Human-readable reason for the phase.

NodeSpec*: Desired state of the Node.
  unschedulable  boolean  Whether the node accepts no new Pods.

NodeStatus*: Observed state of the Node.
  conditions  [Condition]  Ready and others.
  addresses   [any]        Addresses of the node.
  images      [any]        Largest images in the store of the node, at most 50.
  nodeInfo    any          Operating system, kernel and Tidegate versions.
  capacity    {quantity}   Total resources of the node, by name.

NamespaceSpec: Desired state of the Namespace.
  finalizers  [string]  Steps that must finish before the Namespace is removed.

NamespaceStatus*: Observed state of the Namespace.
  phase       string       Active or Terminating.
  conditions  [Condition]  Reasons why a deletion has not finished.

EventSource: Component that reports an Event.
  component  string  Name of the component.
  host       string  Node of the component.

EventObject: Object that an Event is about.
  apiVersion       string  API version of the object.
  kind             string  Kind of the object.
  name             string  Name of the object.
  namespace        string  Namespace of the object.
  uid              string  Uid of the object.
  resourceVersion  string  Version of the object.
  fieldPath        string  Path of a part of the object.

ResourceQuotaSpec*: Desired limits of a namespace.
  hard           {quantity}  The limits by name: pods, requests.cpu, limits.memory, count/services.serving.knative.dev.
  scopes         [string]    Rejected: a quota counts all Pods.
  scopeSelector  any         Rejected: a quota counts all Pods.

ResourceQuotaStatus*: Observed limits and use of a namespace.
  hard  {quantity}  The limits in effect.
  used  {quantity}  Current use of each limit.

Pod: One instance of a revision, or one run of a command.
  apiVersion  string      The group and version of this kind.
  kind        string      The name of this kind.
  metadata    ObjectMeta  Standard object metadata.
  spec        PodSpec     Desired state of the Pod.
  status      PodStatus   Observed state of the Pod.

Node: The machine that runs instances.
  apiVersion  string      The group and version of this kind.
  kind        string      The name of this kind.
  metadata    ObjectMeta  Standard object metadata.
  spec        NodeSpec    Desired state of the Node.
  status      NodeStatus  Observed state of the Node.

Namespace: Scope for object names.
  apiVersion  string           The group and version of this kind.
  kind        string           The name of this kind.
  metadata    ObjectMeta       Standard object metadata.
  spec        NamespaceSpec    Desired state of the Namespace.
  status      NamespaceStatus  Observed state of the Namespace.

Event: A report of something that happened to an object. It expires one hour after it was last seen.
  apiVersion          string       The group and version of this kind.
  kind                string       The name of this kind.
  metadata            ObjectMeta   Standard object metadata.
  involvedObject      EventObject  The object that the Event is about.
  reason              string       Machine-readable reason.
  message             string       Human-readable description.
  type                string       Normal or Warning.
  source              EventSource  Component that reports the Event.
  count               int32        Number of occurrences.
  firstTimestamp      time         Time of the first occurrence.
  lastTimestamp       time         Time of the last occurrence.
  eventTime           time         Time of the occurrence, with microseconds.
  series              any          Count and time of the last of repeated occurrences.
  action              string       Action that was taken or failed.
  related             EventObject  Another object that the Event is about.
  reportingComponent  string       Name of the component that reports the Event.
  reportingInstance   string       Instance of the component that reports the Event.

Secret: Sensitive data, by key.
  apiVersion   string      The group and version of this kind.
  kind         string      The name of this kind.
  metadata     ObjectMeta  Standard object metadata.
  type         string      Purpose of the Secret, e.g. Opaque (default) or kubernetes.io/tls.
  data         {string}    Values by key, in base64.
  stringData   {string}    Values by key, as plain text. The server moves them to data.
  immutable?   boolean     Whether the data can never change.

ResourceQuota: Limits on the objects and resources of a namespace.
  apiVersion  string               The group and version of this kind.
  kind        string               The name of this kind.
  metadata    ObjectMeta           Standard object metadata.
  spec        ResourceQuotaSpec    Desired limits.
  status      ResourceQuotaStatus  Observed limits and use.

ServiceAccount: Identity of the programs in Pods.
  apiVersion                     string                  The group and version of this kind.
  kind                           string                  The name of this kind.
  metadata                       ObjectMeta              Standard object metadata.
  secrets                        [any]                   Secrets that Pods of the account may use; not enforced.
  imagePullSecrets               [LocalObjectReference]  Secrets for the registries of the images of its Pods.
  automountServiceAccountToken?  boolean                 Whether its Pods get a token; by default true.

ConfigMap: Configuration data, by key.
  apiVersion   string      The group and version of this kind.
  kind         string      The name of this kind.
  metadata     ObjectMeta  Standard object metadata.
  data         {string}    Values by key, as text.
  binaryData   {string}    Values by key, in base64.
  immutable?   boolean     Whether the data can never change.
""",
    kubernetes.TYPES,
)

POD, NODE, NAMESPACE = _TYPES["Pod"], _TYPES["Node"], _TYPES["Namespace"]
EVENT = _TYPES["Event"]
SECRET, CONFIG_MAP = _TYPES["Secret"], _TYPES["ConfigMap"]
SERVICE_ACCOUNT = _TYPES["ServiceAccount"]
RESOURCE_QUOTA = _TYPES["ResourceQuota"]
