# SPDX-License-Identifier: Apache-2.0
"""The rules of security contexts, and warnings for insecure defaults of Kubernetes."""

from collections.abc import Iterator
from dataclasses import replace

from tidegate.model.config import FeaturesConfig, Flag
from tidegate.model.field_errors import FieldError, invalid, not_allowed, out_of_bounds, under
from tidegate.model.objects import Object

_LARGEST_ID = 2**31 - 1
_COMMON = ("runAsUser", "runAsGroup", "runAsNonRoot", "seccompProfile")
_CONTAINER_FIELDS = frozenset((*_COMMON, "capabilities", "readOnlyRootFilesystem", "allowPrivilegeEscalation"))
_POD_FIELDS = frozenset((*_COMMON, "fsGroup", "supplementalGroups"))
_INSECURE = "Kubernetes default value is insecure, Knative may default this to secure in a future release"


def pod(context: Object, features: FeaturesConfig) -> Iterator[FieldError]:
    yield from not_allowed(context, _pod_fields(context, features))
    yield from _ids(context, "runAsUser", "runAsGroup", "fsGroup")
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        if not 0 <= group <= _LARGEST_ID:
            yield out_of_bounds(group, 0, _LARGEST_ID, f"supplementalGroups[{index}]")


def _pod_fields(context: Object, features: FeaturesConfig) -> frozenset[str]:
    if features.podspec_securitycontext:
        return _POD_FIELDS
    seccomp = context.get("seccompProfile") or {}
    common = seccomp.get("type") in ("RuntimeDefault", "Unconfined") and "localhostProfile" not in seccomp
    return frozenset({"seccompProfile"}) if features.secure_pod_defaults and common else frozenset()


def container(context: Object, features: FeaturesConfig) -> Iterator[FieldError]:
    fields = _CONTAINER_FIELDS if context.get("privileged") else _CONTAINER_FIELDS | {"privileged"}
    yield from not_allowed(context, fields)
    yield from under("capabilities", _capabilities(context.get("capabilities") or {}, features))
    yield from _ids(context, "runAsUser", "runAsGroup")


def _capabilities(capabilities: Object, features: FeaturesConfig) -> Iterator[FieldError]:
    low_port = features.secure_pod_defaults and capabilities.get("add") == ["NET_BIND_SERVICE"]
    may_add = features.containerspec_addcapabilities is Flag.ENABLED or low_port
    yield from not_allowed(capabilities, ("drop", "add") if may_add else ("drop",))


def _ids(context: Object, *fields: str) -> Iterator[FieldError]:
    for field in fields:
        if field in context and not 0 <= context[field] <= _LARGEST_ID:
            yield out_of_bounds(context[field], 0, _LARGEST_ID, field)


def warnings(pod_context: Object, context: Object, features: FeaturesConfig) -> Iterator[FieldError]:
    """Warnings for fields with an insecure default of Kubernetes; none if config-features has secured the defaults."""
    if features.secure_pod_defaults:
        return
    for field in _insecure(pod_context, context):
        yield FieldError(_INSECURE, (field,), warning=True)
    drop = (context.get("capabilities") or {}).get("drop")
    if drop and drop[0] == "all":
        yield replace(invalid("all", "capabilities.drop", "Must be spelled as 'ALL'"), warning=True)


def _insecure(pod_context: Object, context: Object) -> Iterator[str]:
    if "runAsNonRoot" not in pod_context and "runAsNonRoot" not in context:
        yield "runAsNonRoot"
    if "allowPrivilegeEscalation" not in context:
        yield "allowPrivilegeEscalation"
    profiles = [owner["seccompProfile"] for owner in (pod_context, context) if "seccompProfile" in owner]
    if not profiles:
        yield "seccompProfile"
    elif not any(profile.get("type") for profile in profiles):
        yield "seccompProfile.type"
    if "capabilities" not in context:
        yield "capabilities"
    elif "drop" not in context["capabilities"]:
        yield "capabilities.drop"
