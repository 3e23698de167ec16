# SPDX-License-Identifier: Apache-2.0
"""Knative's field errors: a message, the paths of the wrong fields, and the rejection that contains them.

In: `FieldError`s of validation functions, with paths relative to the checked part; the caller adds the path of the part
(`under`). Out: `rejection`, the response to the author. The texts are those of knative.dev/pkg/apis field_error.go,
because users search for them and tests match them.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from tidegate.model import errors
from tidegate.model.errors import Cause
from tidegate.model.objects import Object

_VALIDATION = 'admission webhook "validation.webhook.serving.knative.dev" denied the request: validation failed: '
_REASONS = {"missing field(s)": "FieldValueRequired", "must not set the field(s)": "FieldValueForbidden"}


@dataclass(frozen=True, slots=True)
class FieldError:
    """`paths`: the wrong fields. A `warning` does not reject the object."""

    message: str
    paths: tuple[str, ...]
    details: str = ""
    warning: bool = False

    def __str__(self) -> str:
        line = f"{self.message}: {', '.join(self.paths)}"
        return f"{line}\n{self.details}" if self.details else line


def missing(*paths: str) -> FieldError:
    return FieldError("missing field(s)", paths)


def forbidden(*paths: str) -> FieldError:
    return FieldError("must not set the field(s)", paths)


def invalid(value: object, path: str, details: str = "") -> FieldError:
    return FieldError(f"invalid value: {value}", (path,), details)


def invalid_key(key: str, path: str, details: str = "") -> FieldError:
    return FieldError(f'invalid key name "{key}"', (path,), details)


def out_of_bounds(value: object, lower: object, upper: object, path: str) -> FieldError:
    return FieldError(f"expected {lower} <= {value} <= {upper}", (path,))


def missing_one_of(*paths: str) -> FieldError:
    return FieldError("expected exactly one, got neither", paths)


def several_of(*paths: str) -> FieldError:
    return FieldError("expected exactly one, got both", paths)


def not_allowed(value: Object, allowed: Collection[str]) -> Iterator[FieldError]:
    """The fields of `value` that are not `allowed`."""
    others = sorted(name for name in value if name not in allowed)
    if others:
        yield forbidden(*others)


def under(prefix: str, problems: Iterable[FieldError]) -> Iterator[FieldError]:
    """`problems` with paths below `prefix`: a field, a list item ("[0]") or both ("env[0]")."""
    for problem in problems:
        yield replace(problem, paths=tuple(_joined(prefix, path) for path in problem.paths))


def _joined(prefix: str, path: str) -> str:
    if not path or not prefix:
        return prefix or path
    return f"{prefix}{path}" if path.startswith("[") and path.split(".", 1)[0].endswith("]") else f"{prefix}.{path}"


def merged(problems: Iterable[FieldError]) -> Sequence[FieldError]:
    """Errors with the same text as one error with all paths, sorted by text."""
    found: dict[tuple[bool, str, str], set[str]] = {}
    for problem in problems:
        found.setdefault((problem.warning, problem.message, problem.details), set()).update(problem.paths)
    made = [
        FieldError(message, tuple(sorted(paths)), details, warning)
        for (warning, message, details), paths in found.items()
    ]
    return sorted(made, key=lambda problem: (problem.message, problem.details))


def rejection(problems: Sequence[FieldError]) -> errors.BadRequest:
    """The response to the author, in the words of Knative's webhook."""
    causes = tuple(
        Cause(_REASONS.get(problem.message, "FieldValueInvalid"), problem.message, path)
        for problem in problems
        for path in problem.paths or ("",)
    )
    return errors.BadRequest(_VALIDATION + "\n".join(str(problem) for problem in problems), causes=causes)
