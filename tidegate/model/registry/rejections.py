# SPDX-License-Identifier: Apache-2.0
"""The API's errors, in Kubernetes' words, for a kind and a name. Texts: k8s.io/apimachinery api/errors."""

from collections.abc import Sequence
from typing import Any

from tidegate.model import errors
from tidegate.model.errors import Cause
from tidegate.model.kinds import Kind


def _about(kind: Kind, name: str) -> dict[str, Any]:
    return {"name": name, **({"group": kind.group} if kind.group else {}), "kind": kind.plural}


def not_found(kind: Kind, name: str) -> errors.NotFound:
    return errors.NotFound(f'{kind.resource} "{name}" not found', details=_about(kind, name))


def already_exists(kind: Kind, name: str) -> errors.AlreadyExists:
    return errors.AlreadyExists(f'{kind.resource} "{name}" already exists', details=_about(kind, name))


def conflict(kind: Kind, name: str, why: str) -> errors.Conflict:
    return errors.Conflict(
        f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}', details=_about(kind, name)
    )


def changed_meanwhile(kind: Kind, name: str) -> errors.Conflict:
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(kind, name, why)


def wrong_uid(kind: Kind, name: str, wanted: str, found: str) -> errors.Conflict:
    return conflict(kind, name, f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}")


def forbidden(kind: Kind, name: str, why: str, causes: tuple[Cause, ...] = ()) -> errors.Forbidden:
    subject = f'{kind.resource} "{name}"' if name else kind.resource
    return errors.Forbidden(f"{subject} is forbidden: {why}", causes=causes, details=_about(kind, name))


def terminating(kind: Kind, name: str, namespace: str) -> errors.Forbidden:
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    cause = Cause("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace")
    return forbidden(kind, name, why, (cause,))


def invalid(kind: Kind, name: str, causes: Sequence[Cause]) -> errors.Invalid:
    """One error for all wrong fields: `Pod "x" is invalid: spec.a: Required value: why`."""
    problems = [f"{cause.field}: {cause.message}" for cause in causes]
    text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
    details = {**_about(kind, name), "kind": kind.kind}
    return errors.Invalid(f'{kind} "{name}" is invalid: {text}', causes=tuple(causes), details=details)
