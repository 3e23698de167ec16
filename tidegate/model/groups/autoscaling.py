# SPDX-License-Identifier: Apache-2.0
"""The group autoscaling.internal.knative.dev: the scale of each revision."""

from tidegate.model import kinds
from tidegate.model.columns import NAME, READY, printed
from tidegate.model.defaulting import autoscaling as defaults
from tidegate.model.resource import Resource, knative_rules
from tidegate.model.schemas import autoscaling as schema
from tidegate.model.validation import autoscaling as rules

RESOURCES = (
    Resource(
        kinds.POD_AUTOSCALER,
        schema.POD_AUTOSCALER,
        defaults=defaults.pod_autoscaler,
        validate=knative_rules(rules.pod_autoscaler),
        columns=(
            NAME,
            printed("DesiredScale", "integer", ".status.desiredScale"),
            printed("ActualScale", "integer", ".status.actualScale"),
            *READY,
        ),
    ),
)
