# SPDX-License-Identifier: Apache-2.0
"""Names, labels and annotations of Knative's objects."""

from collections.abc import Iterator, Mapping, Sequence

from tidegate.model import names
from tidegate.model.field_errors import FieldError, invalid, invalid_key, missing
from tidegate.model.objects import Object
from tidegate.model.text import durations, syntax

_NETWORKING = "networking.knative.dev"
_NETWORKING_KEYS = frozenset(
    f"{_NETWORKING}/{name}"
    for name in (
        "ingress.class",
        "ingress-class",
        "certificate.class",
        "certificate-class",
        "disableAutoTLS",
        "disable-auto-tls",
        "disable-external-domain-tls",
        "httpOption",
        "http-protocol",
    )
)


def rules_text(rules: Sequence[str]) -> str:
    """A list of broken rules in the format of Go."""
    return f"[{' '.join(rules)}]"


def name(metadata: Object) -> Iterator[FieldError]:
    """The errors of a name, or of the prefix of a generated name."""
    given, beginning = metadata.get("name", ""), metadata.get("generateName", "")
    if beginning and (rules := syntax.dns_1035_prefix(beginning)):
        yield FieldError(f"not a DNS 1035 label prefix: {rules_text(rules)}", ("generateName",))
    elif given and (rules := syntax.dns_1035_label(given)):
        yield FieldError(f"not a DNS 1035 label: {rules_text(rules)}", ("name",))
    elif not given and not beginning:
        yield FieldError("name or generateName is required", ("name",))


def template_name(template: Object, parent: Object) -> Iterator[FieldError]:
    """The errors of a chosen name of the next revision, which must begin with the name of its `parent` and a dash."""
    chosen, beginning = template.get("name", ""), template.get("generateName", "")
    if beginning and (rules := syntax.dns_1035_prefix(beginning)):
        yield invalid(f"not a DNS 1035 label prefix: {rules_text(rules)}", "metadata.generateName")
    elif chosen and (rules := syntax.dns_1035_label(chosen)):
        yield invalid(f"not a DNS 1035 label: {rules_text(rules)}", "metadata.name")
    elif chosen:
        yield from _with_prefix(chosen, parent)


def _with_prefix(chosen: str, parent: Object) -> Iterator[FieldError]:
    parent_name = parent.get("name", "")
    if not parent_name and parent.get("generateName"):
        yield FieldError("must not set the field(s)", ("metadata.name",))
    elif not chosen.startswith(f"{parent_name}-"):
        yield invalid(f'"{chosen}" must have prefix "{parent_name}-"', "metadata.name")


def networking_annotations(annotations: Mapping[str, str]) -> Iterator[FieldError]:
    for key in annotations:
        if key.startswith(_NETWORKING) and key not in _NETWORKING_KEYS:
            yield invalid_key(key, "")


def rollout_duration(annotations: Mapping[str, str]) -> Iterator[FieldError]:
    """The errors of the annotation with the duration of a rollout."""
    for key in (names.ROLLOUT_DURATION, f"{names.GROUP}/rolloutDuration"):
        if key in annotations:
            yield from whole_seconds(annotations[key], key, "rollout-duration")
            return


def whole_seconds(text: str, key: str, name: str) -> Iterator[FieldError]:
    """The errors of a duration in an annotation; an empty value means no duration."""
    if not text:
        return
    try:
        value = durations.parse(text)
    except ValueError:
        yield invalid(text, key)
        return
    if value % durations.SECOND:
        yield FieldError(f"{name}={text} is not at second precision", (key,))
    elif value < 0:
        yield FieldError(f"{name}={text} must be positive", (key,))


def owner_label(metadata: Object, label: str, kind: str) -> Iterator[FieldError]:
    """A label with the name of an owner of that kind must match an owner reference."""
    value = (metadata.get("labels") or {}).get(label)
    owners = metadata.get("ownerReferences") or ()
    if value is not None and not any((owner.get("kind"), owner.get("name")) == (kind, value) for owner in owners):
        yield missing(label)


def creator_and_modifier(old: Object, new: Object) -> Iterator[FieldError]:
    """Only the server writes the creator and the last modifier of an object."""
    before = old["metadata"].get("annotations") or {}
    after = new["metadata"].get("annotations") or {}
    if before.get(names.CREATOR, "") != after.get(names.CREATOR, ""):
        yield FieldError("annotation value is immutable", (names.CREATOR,))
    modifier = after.get(names.LAST_MODIFIER, "")
    if old.get("spec") == new.get("spec") and before.get(names.LAST_MODIFIER, "") != modifier:
        yield invalid(modifier, names.LAST_MODIFIER)
