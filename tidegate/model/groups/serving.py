# SPDX-License-Identifier: Apache-2.0
"""The group serving.knative.dev: the kinds that users write, and the Revisions that come from them."""

from tidegate.model import indexes, kinds, names
from tidegate.model.columns import NAME, READY, printed
from tidegate.model.defaulting import serving as defaults
from tidegate.model.resource import CacheOptions, Resource, knative_rules
from tidegate.model.schemas import serving as schema
from tidegate.model.validation import serving as rules

_URL = printed("URL", "string", ".status.url")
_LATEST = (
    printed("LatestCreated", "string", ".status.latestCreatedRevisionName"),
    printed("LatestReady", "string", ".status.latestReadyRevisionName"),
)

RESOURCES = (
    Resource(
        kinds.SERVICE,
        schema.SERVICE,
        defaults=defaults.service,
        validate=knative_rules(rules.service),
        columns=(NAME, _URL, *_LATEST, *READY),
    ),
    Resource(
        kinds.CONFIGURATION,
        schema.CONFIGURATION,
        defaults=defaults.configuration,
        validate=knative_rules(rules.configuration),
        columns=(NAME, *_LATEST, *READY),
        cache=CacheOptions(indexes={"revision": indexes.named_revision, "route": indexes.routes}),
    ),
    Resource(
        kinds.REVISION,
        schema.REVISION,
        defaults=defaults.revision,
        validate=knative_rules(rules.revision),
        columns=(
            NAME,
            printed("Config Name", "string", ".metadata.labels['serving.knative.dev/configuration']"),
            printed("Generation", "string", ".metadata.labels['serving.knative.dev/configurationGeneration']"),
            *READY,
            printed("Actual Replicas", "integer", ".status.actualReplicas"),
            printed("Desired Replicas", "integer", ".status.desiredReplicas"),
        ),
        cache=CacheOptions(indexes={"configuration": indexes.by_label(names.CONFIGURATION), "route": indexes.routes}),
    ),
    Resource(
        kinds.ROUTE,
        schema.ROUTE,
        defaults=defaults.route,
        validate=knative_rules(rules.route),
        columns=(NAME, _URL, *READY),
        cache=CacheOptions(indexes={"target": indexes.targets}),
    ),
)
