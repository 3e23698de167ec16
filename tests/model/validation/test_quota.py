# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from tidegate.model import errors, kinds
from tidegate.model.admission import Admission, AdmissionRequest, Admitted
from tidegate.model.config import Configs
from tidegate.model.groups import BUILT_IN


def admit(**spec: Any) -> Admitted:
    new = {"metadata": {"name": "q", "namespace": "default"}, "spec": spec}
    return Admission(BUILT_IN, Configs).admit(
        kinds.RESOURCE_QUOTA, new, None, AdmissionRequest("ann", "", dry_run=False)
    )


@pytest.mark.parametrize(
    ("spec", "told"),
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
def test_a_limit_that_cannot_be_is_refused_with_its_field(spec: Any, told: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        admit(**spec)

    assert told in caught.value.message


def test_an_amount_that_cannot_be_read_is_refused_with_its_field() -> None:
    with pytest.raises(errors.BadRequest) as caught:
        admit(hard={"cpu": "lots"})

    assert [cause.field for cause in caught.value.causes] == ["spec.hard[cpu]"]


def test_what_only_a_cluster_has_is_let_in_and_objects_that_there_are_not_bring_a_warning() -> None:
    admitted = admit(hard={"requests.storage": "1Gi", "services": "3", "count/deployments.apps": "2", "cpu": 2})

    assert admitted.object["spec"]["hard"]["cpu"] == "2"
    assert admitted.warnings == (
        'spec.hard[count/deployments.apps]: there are no "deployments.apps" here, so that this limits nothing',
    )
