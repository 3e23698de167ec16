# SPDX-License-Identifier: Apache-2.0
"""The schema of the group autoscaling.internal.knative.dev: PodAutoscaler."""

from tidegate.model.schemas import kubernetes, language

_TYPES = language.read(
    """
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
""",
    kubernetes.TYPES,
)

POD_AUTOSCALER = language.kind("PodAutoscaler", "How many instances of a revision there should be.", _TYPES)
