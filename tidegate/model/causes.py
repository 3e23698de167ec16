# SPDX-License-Identifier: Apache-2.0
"""The causes of a rejection in Kubernetes' words, one a field (k8s.io/apimachinery pkg/util/validation/field).

In: a path and, for `invalid`, the value. Out: `Cause`s. Called by: the rules of Kubernetes' own kinds and of
extensions' kinds; Knative's kinds have `field_errors`.
"""

from collections.abc import Iterable

from tidegate.model.errors import Cause


def required(path: str) -> Cause:
    return Cause("FieldValueRequired", "Required value", path)


def invalid(value: object, path: str, why: str) -> Cause:
    shown = f'"{value}"' if isinstance(value, str) else value
    return Cause("FieldValueInvalid", f"Invalid value: {shown}: {why}", path)


def forbidden(path: str, why: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {why}", path)


def unsupported(value: str, path: str, known: Iterable[str]) -> Cause:
    listed = ", ".join(f'"{each}"' for each in known)
    return Cause("FieldValueNotSupported", f'Unsupported value: "{value}": supported values: {listed}', path)


def duplicate(value: str, path: str) -> Cause:
    return Cause("FieldValueDuplicate", f'Duplicate value: "{value}"', path)
