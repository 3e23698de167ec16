# SPDX-License-Identifier: Apache-2.0
"""The group networking.internal.knative.dev: the hosts and splits that the gateway serves."""

from tidegate.model import indexes, kinds
from tidegate.model.columns import NAME, READY
from tidegate.model.defaulting import networking as defaults
from tidegate.model.resource import CacheOptions, Resource, knative_rules
from tidegate.model.schemas import networking as schema
from tidegate.model.validation import networking as rules

RESOURCES = (
    Resource(
        kinds.INGRESS,
        schema.INGRESS,
        defaults=defaults.ingress,
        validate=knative_rules(rules.ingress),
        columns=(NAME, *READY),
        cache=CacheOptions(
            indexes={
                "host": indexes.hosts,
                "namespace": indexes.namespace,
                "revision": indexes.revisions,
                "secret": indexes.secrets,
            }
        ),
    ),
)
