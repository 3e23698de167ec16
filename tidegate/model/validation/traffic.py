# SPDX-License-Identifier: Apache-2.0
"""The rules of the traffic targets of a Route or Service."""

from collections.abc import Iterator, Sequence

from tidegate.model.field_errors import (
    FieldError,
    forbidden,
    invalid,
    invalid_key,
    missing_one_of,
    out_of_bounds,
    several_of,
    under,
)
from tidegate.model.objects import Object
from tidegate.model.text import syntax
from tidegate.model.validation.metadata import rules_text

MOST_TARGETS = 200
"""With this many targets and the longest names, the annotations of the Ingress are within the limit of the API."""


def shares(targets: Sequence[Object], *, of_service: bool) -> Iterator[FieldError]:
    """The errors of all targets. A target of a Service names no configuration, because it is always the Service's
    own."""
    if len(targets) > MOST_TARGETS:
        yield FieldError(f"Too many: {len(targets)}: must have at most {MOST_TARGETS} items", ("",))
        return
    for index, target in enumerate(targets):
        yield from under(f"[{index}]", _target(target, of_service=of_service))
    yield from _tags(targets)
    total = sum(target.get("percent", 0) for target in targets)
    if total != 100:
        yield FieldError(f"Traffic targets sum to {total}, want 100", ("",))


def _target(target: Object, *, of_service: bool) -> Iterator[FieldError]:
    revision, latest = target.get("revisionName", ""), target.get("latestRevision")
    if latest is not None and latest == bool(revision):
        message = f'may not set revisionName "{revision}" when latestRevision is {str(latest).lower()}'
        yield FieldError(message, ("latestRevision",))
    yield from _names(revision, target.get("configurationName", ""), of_service=of_service)
    percent = target.get("percent", 0)
    if not 0 <= percent <= 100:
        yield out_of_bounds(percent, 0, 100, "percent")
    if target.get("url"):
        yield forbidden("url")


def _names(revision: str, configuration: str, *, of_service: bool) -> Iterator[FieldError]:
    if of_service and configuration:
        yield forbidden("configurationName")
    elif revision and configuration:
        yield several_of("revisionName", "configurationName")
    elif revision or configuration:
        field, name = ("revisionName", revision) if revision else ("configurationName", configuration)
        if rules := syntax.qualified_name(name):
            yield invalid_key(name, field, ", ".join(rules))
    elif not of_service:
        yield missing_one_of("revisionName", "configurationName")


def _tags(targets: Sequence[Object]) -> Iterator[FieldError]:
    seen: dict[str, int] = {}
    for index, target in enumerate(targets):
        tag = target.get("tag", "")
        if not tag:
            continue
        if rules := syntax.dns_1035_label(tag):
            yield invalid(f"not a DNS 1035 label: {rules_text(rules)}", f"tag[{index}]")
        if tag in seen:
            yield FieldError(f'Multiple definitions for "{tag}"', (f"[{index}].tag", f"[{seen[tag]}].tag"))
        else:
            seen[tag] = index
