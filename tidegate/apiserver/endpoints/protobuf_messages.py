# SPDX-License-Identifier: Apache-2.0
"""The protobuf messages of the kinds that kubectl sends as protobuf.

Field numbers: generated.proto of k8s.io/api and k8s.io/apimachinery. The status in a request is ignored, because the
server's answer replaces it.
"""

from collections.abc import Mapping

from tidegate.apiserver.endpoints.protobuf_schema import Fields, classes, texts

_METADATA = ("metadata", "ObjectMeta")
STATUS = "status"

_MESSAGES: Mapping[str, Fields] = {
    "TypeMeta": texts("apiVersion", "kind"),
    "Unknown": {
        1: ("typeMeta", "TypeMeta"),
        2: ("raw", "bytes"),
        3: ("contentEncoding", "string"),
        4: ("contentType", "string"),
    },
    "Time": {1: ("seconds", "int64"), 2: ("nanos", "int64")},
    "Quantity": texts("string"),
    "OwnerReference": {
        1: ("kind", "string"),
        3: ("name", "string"),
        4: ("uid", "string"),
        5: ("apiVersion", "string"),
        6: ("controller", "bool"),
        7: ("blockOwnerDeletion", "bool"),
    },
    "ObjectMeta": {
        **texts("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion"),
        7: ("generation", "int64"),
        8: ("creationTimestamp", "Time"),
        9: ("deletionTimestamp", "Time"),
        10: ("deletionGracePeriodSeconds", "int64"),
        11: ("labels", "map string"),
        12: ("annotations", "map string"),
        13: ("ownerReferences", "repeated OwnerReference"),
        14: ("finalizers", "repeated string"),
    },
    "NamespaceSpec": {1: ("finalizers", "repeated string")},
    "Namespace": {1: _METADATA, 2: ("spec", "NamespaceSpec"), 3: (STATUS, "ignored")},
    "ConfigMap": {
        1: _METADATA,
        2: ("data", "map string"),
        3: ("binaryData", "map bytes"),
        4: ("immutable", "bool"),
    },
    "Secret": {
        1: _METADATA,
        2: ("data", "map bytes"),
        3: ("type", "string"),
        4: ("stringData", "map string"),
        5: ("immutable", "bool"),
    },
    "ResourceQuotaSpec": {1: ("hard", "map Quantity"), 2: ("scopes", "repeated string")},
    "ResourceQuota": {1: _METADATA, 2: ("spec", "ResourceQuotaSpec"), 3: (STATUS, "ignored")},
    "ObjectReference": texts("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"),
    "LocalObjectReference": texts("name"),
    "ServiceAccount": {
        1: _METADATA,
        2: ("secrets", "repeated ObjectReference"),
        3: ("imagePullSecrets", "repeated LocalObjectReference"),
        4: ("automountServiceAccountToken", "bool"),
    },
    "BoundObjectReference": texts("kind", "apiVersion", "name", "uid"),
    "TokenRequestSpec": {
        1: ("audiences", "repeated string"),
        3: ("boundObjectRef", "BoundObjectReference"),
        4: ("expirationSeconds", "int64"),
    },
    "TokenRequest": {1: _METADATA, 2: ("spec", "TokenRequestSpec"), 3: (STATUS, "ignored")},
    "TokenReviewSpec": {1: ("token", "string"), 2: ("audiences", "repeated string")},
    "TokenReview": {1: _METADATA, 2: ("spec", "TokenReviewSpec"), 3: (STATUS, "ignored")},
    "Preconditions": texts("uid", "resourceVersion"),
    "DeleteOptions": {
        1: ("gracePeriodSeconds", "int64"),
        2: ("preconditions", "Preconditions"),
        3: ("orphanDependents", "bool"),
        4: ("propagationPolicy", "string"),
        5: ("dryRun", "repeated string"),
    },
    "ResourceAttributes": texts("namespace", "verb", "group", "version", "resource", "subresource", "name"),
    "NonResourceAttributes": texts("path", "verb"),
    "SelfSubjectAccessReviewSpec": {
        1: ("resourceAttributes", "ResourceAttributes"),
        2: ("nonResourceAttributes", "NonResourceAttributes"),
    },
    "SelfSubjectAccessReview": {1: _METADATA, 2: ("spec", "SelfSubjectAccessReviewSpec"), 3: (STATUS, "ignored")},
    "SelfSubjectRulesReviewSpec": texts("namespace"),
    "SelfSubjectRulesReview": {1: _METADATA, 2: ("spec", "SelfSubjectRulesReviewSpec"), 3: (STATUS, "ignored")},
    "SelfSubjectReview": {1: _METADATA, 2: (STATUS, "ignored")},
}

CLASSES = classes("tidegate.kubernetes", _MESSAGES)
