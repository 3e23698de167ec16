# SPDX-License-Identifier: Apache-2.0
"""Storage: claims and volumes of the core group, and the classes of storage.k8s.io."""

from tidegate.model import indexes, kinds
from tidegate.model.defaulting import storage as defaults
from tidegate.model.printers import storage as columns
from tidegate.model.resource import CacheOptions, Resource, kubernetes_rules
from tidegate.model.schemas import storage as schema
from tidegate.model.validation import storage as rules

RESOURCES = (
    Resource(
        kinds.PERSISTENT_VOLUME_CLAIM,
        schema.PERSISTENT_VOLUME_CLAIM,
        pruned=False,
        defaults=defaults.claim,
        validate=kubernetes_rules(rules.claim),
        columns=columns.CLAIM,
    ),
    Resource(
        kinds.PERSISTENT_VOLUME,
        schema.PERSISTENT_VOLUME,
        pruned=False,
        defaults=defaults.volume,
        columns=columns.VOLUME,
        cache=CacheOptions(indexes={"claim": indexes.claim_of_volume}),
    ),
    Resource(
        kinds.STORAGE_CLASS,
        schema.STORAGE_CLASS,
        pruned=False,
        defaults=defaults.storage_class,
        validate=kubernetes_rules(rules.storage_class),
        columns=columns.STORAGE_CLASS,
    ),
)
