# SPDX-License-Identifier: Apache-2.0
"""The three types of patch, each as a function from an object to the patched object. Pure; arguments are not changed.

JSON merge patch (RFC 7386), JSON patch (RFC 6902) and, for the core kinds, Kubernetes' strategic merge patch
(`strategic_merge`).
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import jsonpatch
import jsonpointer
import msgspec

from tidegate.model import errors
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object
from tidegate.model.registry import strategic_merge

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
"""Server-side apply. It is not a patch of its own: see `ownership`."""

MOST_OPERATIONS = 10_000
"""Operations of a JSON patch."""

MOST_COPIED_BYTES = 3 * 1024 * 1024
"""Bytes that a JSON patch may copy. Without a limit, a few copies of an object into itself exhaust the memory."""

Patch = Callable[[Object], Any]


def types(kind: Kind) -> tuple[str, ...]:
    """The media types of patches that a kind accepts."""
    return (JSON_PATCH, MERGE_PATCH, *(() if kind.group else (STRATEGIC_MERGE_PATCH,)), APPLY)


def parsed(kind: Kind, media_type: str, patch: Any) -> Patch:
    """The patch as a function. Raises `UnsupportedMediaType` if the kind does not accept the type, `BadRequest` if the
    patch is malformed."""
    if media_type not in types(kind):
        accepted = ", ".join(types(kind))
        raise errors.UnsupportedMediaType(
            f"the body of the request was in an unknown format - accepted media types include: {accepted}"
        )
    if media_type == APPLY:
        raise errors.BadRequest("an apply patch is accepted in server-side apply only")
    if media_type == JSON_PATCH:
        return _json_patch(patch)
    if not isinstance(patch, dict):
        raise errors.BadRequest("a merge patch must be a JSON object")
    if media_type == MERGE_PATCH:
        return lambda obj: merge(obj, patch)
    return lambda obj: strategic_merge.patched(obj, patch)


def merge(value: Any, patch: Any) -> Any:
    """RFC 7386: objects are merged, null removes a field, any other value replaces it."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(value) if isinstance(value, dict) else {}
    for name, change in patch.items():
        if change is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), change)
    return merged


def _json_patch(operations: Any) -> Patch:
    if not isinstance(operations, Sequence) or isinstance(operations, str):
        raise errors.BadRequest("a JSON patch must be an array of operations")
    if len(operations) > MOST_OPERATIONS:
        raise errors.TooLarge(
            f"The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {len(operations)}"
        )
    try:
        steps = [(operation, jsonpatch.JsonPatch([operation])) for operation in operations]
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, AttributeError, TypeError) as error:
        raise errors.BadRequest(f"the JSON patch cannot be read: {error}") from error

    def apply(obj: Object) -> Any:
        patched: Any = copy.deepcopy(obj)
        copied = 0
        try:
            for operation, step in steps:
                if operation["op"] == "copy":
                    copied += len(msgspec.json.encode(jsonpointer.resolve_pointer(patched, operation.get("from"))))
                if copied > MOST_COPIED_BYTES:
                    raise errors.TooLarge(f"the JSON patch copies more than {MOST_COPIED_BYTES} bytes")
                patched = step.apply(patched, in_place=True)
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, ValueError) as error:
            raise errors.Invalid(f"the JSON patch cannot be applied: {error}") from error
        return patched

    return apply
