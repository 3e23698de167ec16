# SPDX-License-Identifier: Apache-2.0
"""Answers by which an API rejects an object, and when a reconciler tries again.

In: `ApiError`s. Out: which of them mean that the object, as it is, is not accepted. Called by: `object_queue`,
`writer`, and reconcilers that report a rejected child in a condition of its parent.
"""

from tidegate.model import errors

REJECTIONS = (errors.Invalid, errors.BadRequest, errors.TooLarge)
"""An object that breaks a rule, or is too large to be stored."""

RETRY_REJECTED_SECONDS = 60.0
"""Wait before a rejected child is tried again: a ConfigMap may change the rules."""


def is_namespace_terminating(error: errors.ApiError) -> bool:
    """Whether an object was rejected because its namespace is being deleted."""
    return any(cause.reason == "NamespaceTerminating" for cause in error.causes)
