# SPDX-License-Identifier: Apache-2.0
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tidegate.model import errors, kinds
from tidegate.model.admission import Admission, AdmissionRequest
from tidegate.model.config import Configs
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.objects import Object
from tidegate.model.text import quantities
from tidegate.model.validation import resources

millis = some.integers(min_value=0, max_value=10**6)


def pod(asked: Object) -> Object:
    container = {"name": "app", "image": "tidegate.dev/host", "resources": asked}
    return {"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [container]}}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"requests": {"cpu": "-1"}},
            'spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0',
        ),
        (
            {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}},
            'spec.containers[0].resources.requests: Invalid value: "2Gi": '
            "must be less than or equal to memory limit of 1Gi",
        ),
        (
            {"limits": {"disk": "1Gi"}},
            'spec.containers[0].resources.limits[disk]: Invalid value: "disk": '
            "must be a standard resource for containers",
        ),
        (
            {"limits": {"example.com/card": "500m"}},
            'spec.containers[0].resources.limits[example.com/card]: Invalid value: "500m": must be an integer',
        ),
    ],
)
def test_a_pod_with_invalid_resources_is_rejected_in_kubernetes_words(asked: Object, message: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        Admission(BUILT_IN_SCHEME, Configs).admit(
            kinds.POD, pod(asked), None, AdmissionRequest("ann", "", dry_run=False)
        )

    assert caught.value.message == f'Pod "p" is invalid: {message}'


@given(request=millis, limit=millis)
def test_a_request_is_compared_with_its_limit_by_amount(request: int, limit: int) -> None:
    written = str(quantities.Quantity(Fraction(limit, 1000)))
    found = list(resources.wrong({"requests": {"cpu": f"{request}m"}, "limits": {"cpu": written}}))

    assert bool(found) == (request > limit)
