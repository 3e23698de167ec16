# SPDX-License-Identifier: Apache-2.0
"""Kubernetes' own kinds that Tidegate serves."""

from tidegate.model.schemas import kubernetes, language

_TYPES = language.read(
    """
ContainerState*: What a container does.
  waiting     any  Why it does not run yet.
  running     any  Since when it runs.
  terminated  any  How it ended.

PodContainerStatus*: What is so with one container.
  name          string          The container.
  ready         boolean         Whether it may get requests.
  restartCount  int32           How often it was started again.
  state         ContainerState  What it does now.
  lastState     ContainerState  What it did before.

PodStatus*: What is so.
  phase              string                Pending, Running, Succeeded or Failed.
  conditions         [Condition]           PodScheduled, Ready and others.
  containerStatuses  [PodContainerStatus]  The containers.
  hostIP             string                The node's address.
  podIP              string                The instance's address.
  startTime          time                  When the node took it.
  reason             string                Why, in one word.
  message            string                Why, in a sentence.

NodeSpec*: What is wanted.
  unschedulable  boolean  Whether it takes no new Pods.

NodeStatus*: What is so.
  conditions  [Condition]  Ready and others.
  addresses   [any]        Where it is.
  nodeInfo    any          What it is.
  capacity    {quantity}   What it has.

NamespaceSpec: What is wanted.
  finalizers  [string]  What must be done before it may go.

NamespaceStatus*: What is so.
  phase       string       Active or Terminating.
  conditions  [Condition]  What still holds it.

EventSource: Who tells.
  component  string  The part.
  host       string  Its node.

EventObject: What it is about.
  apiVersion       string  Its API version.
  kind             string  Its kind.
  name             string  Its name.
  namespace        string  Its namespace.
  uid              string  Its uid.
  resourceVersion  string  Its version.
  fieldPath        string  A part of it.

ResourceQuotaSpec*: What is wanted.
  hard           {quantity}  The limits by name: pods, requests.cpu, limits.memory, count/services.serving.knative.dev.
  scopes         [string]    Refused: a quota counts all Pods.
  scopeSelector  any         Refused: a quota counts all Pods.

ResourceQuotaStatus*: What is so.
  hard  {quantity}  The limits that hold.
  used  {quantity}  How much of each is used.

Pod: One instance.
  apiVersion  string      The version of this kind.
  kind        string      The name of this kind.
  metadata    ObjectMeta  Who it is.
  spec        PodSpec     What it is made of.
  status      PodStatus   What is so.

Node: The machine that instances run on.
  apiVersion  string      The version of this kind.
  kind        string      The name of this kind.
  metadata    ObjectMeta  Who it is.
  spec        NodeSpec    What is wanted.
  status      NodeStatus  What is so.

Namespace: A room for names.
  apiVersion  string           The version of this kind.
  kind        string           The name of this kind.
  metadata    ObjectMeta       Who it is.
  spec        NamespaceSpec    What is wanted.
  status      NamespaceStatus  What is so.

Event: Something that happened to an object.
  apiVersion          string       The version of this kind.
  kind                string       The name of this kind.
  metadata            ObjectMeta   Who it is.
  involvedObject      EventObject  What it is about.
  reason              string       What happened, in one word.
  message             string       What happened, in a sentence.
  type                string       Normal or Warning.
  source              EventSource  Who tells.
  count               int32        How often it happened.
  firstTimestamp      time         When it happened first.
  lastTimestamp       time         When it happened last.
  eventTime           time         When it happened.
  series              any          How it went on.
  action              string       What was done.
  related             EventObject  What else it is about.
  reportingComponent  string       Who tells.
  reportingInstance   string       Which of them.

Secret: Words and files that not everyone may read.
  apiVersion   string      The version of this kind.
  kind         string      The name of this kind.
  metadata     ObjectMeta  Who it is.
  type         string      What it is for, such as Opaque or kubernetes.io/tls.
  data         {string}    The content by key, in base64.
  stringData   {string}    Content as plain text; the server moves it to data.
  immutable?   boolean     Whether it never changes.

ResourceQuota: Limits on what a namespace may hold.
  apiVersion  string               The version of this kind.
  kind        string               The name of this kind.
  metadata    ObjectMeta           Who it is.
  spec        ResourceQuotaSpec    What is wanted.
  status      ResourceQuotaStatus  What is so.

ConfigMap: Words and files.
  apiVersion   string      The version of this kind.
  kind         string      The name of this kind.
  metadata     ObjectMeta  Who it is.
  data         {string}    Text by key.
  binaryData   {string}    Bytes by key, in base64.
  immutable?   boolean     Whether it never changes.
""",
    kubernetes.TYPES,
)

POD, NODE, NAMESPACE = _TYPES["Pod"], _TYPES["Node"], _TYPES["Namespace"]
EVENT = _TYPES["Event"]
SECRET, CONFIG_MAP = _TYPES["Secret"], _TYPES["ConfigMap"]
RESOURCE_QUOTA = _TYPES["ResourceQuota"]
