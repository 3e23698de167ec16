# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from tidegate.model import errors, kinds
from tidegate.model.admission import Admission, AdmissionRequest, Admitted
from tidegate.model.config import Configs
from tidegate.model.groups import BUILT_IN_SCHEME


def admit(**spec: Any) -> Admitted:
    new = {"metadata": {"name": "q", "namespace": "default"}, "spec": spec}
    return Admission(BUILT_IN_SCHEME, Configs).admit(
        kinds.RESOURCE_QUOTA, new, None, AdmissionRequest("ann", "", dry_run=False)
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"hard": {"cpus": "1"}}, 'spec.hard[cpus]: Invalid value: "cpus": must be a standard resource for quota'),
        ({"hard": {"cpu": "-1"}}, 'spec.hard[cpu]: Invalid value: "-1": must be greater than or equal to 0'),
        ({"hard": {"pods": "1.5"}}, 'spec.hard[pods]: Invalid value: "1500m": must be an integer'),
        (
            {"hard": {"count/services.serving.knative.dev": "500m"}},
            'spec.hard[count/services.serving.knative.dev]: Invalid value: "500m": must be an integer',
        ),
        ({"hard": {"count/": "1"}}, 'spec.hard[count/]: Invalid value: "count/": name part must be non-empty'),
        ({"hard": {"pods": "1"}, "scopes": ["BestEffort"]}, "spec.scopes: Forbidden"),
    ],
)
def test_an_invalid_limit_is_rejected_with_its_field(spec: Any, message: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        admit(**spec)

    assert message in caught.value.message


def test_an_invalid_amount_is_rejected_with_its_field() -> None:
    with pytest.raises(errors.BadRequest) as caught:
        admit(hard={"cpu": "lots"})

    assert [cause.field for cause in caught.value.causes] == ["spec.hard[cpu]"]


def test_resources_of_a_cluster_are_accepted_and_unserved_kinds_give_a_warning() -> None:
    admitted = admit(hard={"requests.storage": "1Gi", "services": "3", "count/deployments.apps": "2", "cpu": 2})

    assert admitted.object["spec"]["hard"]["cpu"] == "2"
    assert admitted.warnings == (
        'spec.hard[count/deployments.apps]: "deployments.apps" is not served, so this limit has no effect',
    )
