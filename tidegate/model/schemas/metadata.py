# SPDX-License-Identifier: Apache-2.0
"""The types that all kinds of Kubernetes use: metadata, references and conditions."""

from tidegate.model.schemas import language

TYPES = language.read(
    """
OwnerReference*: Reference to the owner of an object. If the owner is deleted, the object is deleted too.
  apiVersion!          string   API version of the owner.
  kind!                string   Kind of the owner.
  name!                string   Name of the owner.
  uid!                 string   Uid of the owner.
  controller?          boolean  Whether the owner manages this object.
  blockOwnerDeletion?  boolean  Whether a foreground deletion of the owner waits for this object.

ObjectMeta: Standard object metadata.
  name                         string            Name, unique within kind and namespace.
  generateName                 string            Prefix of a name. The server adds a unique suffix.
  namespace                    string            Namespace of the object.
  labels                       {string}          Labels, which selectors match.
  annotations                  {string}          Annotations: settings and notes, which selectors do not match.
  uid                          string            Identifier that is unique over space and time. Set by the server.
  resourceVersion              string            Version of this state of the object. Set by the server.
  generation                   int64             Number of changes of the spec. Set by the server.
  creationTimestamp            time              Time of creation. Set by the server.
  deletionTimestamp            time              Time when the deletion ends. Set by the server.
  deletionGracePeriodSeconds?  int64             Grace period of the deletion, in seconds. Set by the server.
  finalizers                   [string]          Steps that must finish before the object is removed.
  ownerReferences              [OwnerReference]  Owners of the object.
  managedFields                [any]             Fields by the manager that set them, for server-side apply.
  selfLink                     string            No longer used.

LocalObjectReference: Reference to an object in the same namespace.
  name  string  Name of the object.

Condition*: One aspect of an object's state.
  type!               string  Aspect that the condition is about, e.g. Ready.
  status!             string  True, False or Unknown.
  reason              string  Machine-readable reason.
  message             string  Human-readable reason.
  severity            string  Info if Ready does not depend on the condition.
  lastTransitionTime  time    Time of the last change of the status.
""",
)
