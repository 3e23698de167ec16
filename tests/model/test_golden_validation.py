# SPDX-License-Identifier: Apache-2.0
"""Defaulting and validation compared with Knative's own: every recorded object must get the same defaults and the same
result, with the same fields and texts.

Intended differences:

| subject | Tidegate | reason |
| --- | --- | --- |
| DomainMapping | skipped | it is not served yet |
| missing `containers` | `[]` | Go writes null, which the API server would drop |
| details of a rejected change | not compared | Go prints its structs, Tidegate JSON paths |
| `DIFFERENT` | another result | in each row |
| objects that do not decode | Tidegate's texts | Go's texts come from its JSON library |
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from tests import golden
from tidegate.model import errors, kinds
from tidegate.model.admission import Admission, AdmissionRequest
from tidegate.model.config import Configs
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.objects import Object

NOT_SERVED = "DomainMapping"
CHANGES = ("Immutable fields changed (-old +new)", "Saw the following changes without a name change (-old +new)")

REFUSED_HERE = "refused here"
ADMITTED_HERE = "admitted here"
DIFFERENT: Mapping[str, tuple[str, str]] = {
    "autoscaling-annotations/target-7": (REFUSED_HERE, "NaN is no target that one can be above or below"),
    "autoscaling-annotations/target-8": (REFUSED_HERE, "with an infinite target nothing would scale"),
    "resources/numbers": (REFUSED_HERE, "a request over its limit, as the next one"),
    "resources/request-over-limit": (REFUSED_HERE, "Knative leaves it to Kubernetes to refuse the Deployment"),
    "resources/negative": (REFUSED_HERE, "Knative leaves it to Kubernetes to refuse the Deployment"),
    "service/status-subresource": (ADMITTED_HERE, "of a status update the API takes the status alone, so no defaults"),
    "service/byo-name-same-full-object-config-changed": (ADMITTED_HERE, "applying the same again is never wrong"),
}
"""Cases with another result, and the reason."""


def cases() -> Iterator[Any]:
    for path in golden.files("validation"):
        recorded = golden.load(path)
        for case in recorded["cases"]:
            yield pytest.param(recorded, case, id=case["name"])


class Outcome(NamedTuple):
    """Tidegate's result for a recorded object. `defaulted` is {} if the object does not decode."""

    defaulted: Object
    warnings: Sequence[str] = ()
    error: errors.ApiError | None = None


def outcome(recorded: Object, case: Object) -> Outcome:
    new, old = (case["new"], case["old"]) if recorded["kind"] == "update" else (case["input"], None)
    kind = kinds.BUILT_IN_KINDS.named(new["apiVersion"], new["kind"])
    assert kind is not None
    configs = Configs.parse(case.get("config_at_update") or case.get("config") or {})
    request = AdmissionRequest(recorded["user"], case.get("subresource", ""), dry_run=False)
    admission = Admission(BUILT_IN_SCHEME, lambda: configs)
    filled: Object = {}
    try:
        filled = admission.defaulted(kind, new, old, request)
        made = admission.admit(kind, new, old, request)
    except errors.ApiError as error:
        return Outcome(filled, error=error)
    return Outcome(made.object, made.warnings)


def as_ours(obj: Any) -> Any:
    """A recorded object in the form of Tidegate."""
    if isinstance(obj, dict):
        return {name: as_ours([] if name == "containers" and value is None else value) for name, value in obj.items()}
    return [as_ours(item) for item in obj] if isinstance(obj, list) else obj


def causes_of(error: errors.ApiError) -> set[tuple[str, str]]:
    return {(cause.message, cause.field) for cause in error.causes}


def expected(recorded: Object) -> set[tuple[str, str]]:
    return {(item["message"], path) for item in recorded["items"] for path in item["paths"] or [""]}


def rendered(recorded: Object | None) -> list[str]:
    return [f"{item['message']}: {', '.join(item['paths'])}" for item in recorded["items"]] if recorded else []


@pytest.mark.parametrize(("recorded", "case"), list(cases()))
def test_an_object_becomes_what_knative_makes_of_it(recorded: Object, case: Object) -> None:
    if (case.get("input") or case["new"])["kind"] == NOT_SERVED:
        pytest.skip(f"{NOT_SERVED} is not served yet")
    made = outcome(recorded, case)
    error = made.error

    if case.get("decode_error"):
        assert error is not None
        assert error.causes[0].reason == "FieldValueTypeInvalid"
        return
    if case["name"] in DIFFERENT:
        assert (error is None) == (DIFFERENT[case["name"]][0] == ADMITTED_HERE), error
        return
    assert made.defaulted == as_ours(case["defaulted"])
    assert (error is None) == case["admitted"], error
    if error is None:
        assert list(made.warnings) == rendered(case["warnings"])
        return
    assert causes_of(error) == expected(case["errors"])
    if not any(item["message"] in CHANGES for item in case["errors"]["items"]):
        assert error.message.endswith(f"validation failed: {case['errors']['message']}")
