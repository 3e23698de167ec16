# SPDX-License-Identifier: Apache-2.0
"""The schema of the group autoscaling.internal.knative.dev: PodAutoscaler."""

from tidegate.model.schemas import kubernetes, language

_TYPES = language.read(
    """
ObjectReference: Reference to another object.
  apiVersion       string  API version of the object.
  kind             string  Kind of the object.
  name             string  Name of the object.
  namespace        string  Namespace of the object.
  uid              string  Uid of the object.
  resourceVersion  string  Version of the object.
  fieldPath        string  Path of a part of the object.

PodAutoscalerSpec: The revision to scale.
  containerConcurrency?  int64           Maximum number of concurrent requests per instance; 0 for no limit.
  protocolType           string          http1 or h2c.
  reachability           string          Reachable or Unreachable: whether a Route leads to the revision.
  scaleTargetRef         ObjectReference  The revision.

PodAutoscalerStatus*: Observed state of the PodAutoscaler.
  observedGeneration  int64        Generation of the spec that this status describes.
  conditions          [Condition]  Ready, Active and ScaleTargetInitialized.
  desiredScale?       int32        Desired number of instances.
  actualScale?        int32        Number of ready instances.
""",
    kubernetes.TYPES,
)

POD_AUTOSCALER = language.kind("PodAutoscaler", "Desired number of instances of a revision.", _TYPES)
