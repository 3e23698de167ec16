# SPDX-License-Identifier: Apache-2.0
"""The core group: Kubernetes' own kinds, as far as Tidegate serves them."""

from collections.abc import Sequence

from tidegate.model import indexes, kinds, names
from tidegate.model.defaulting import core as defaults
from tidegate.model.kinds import Kind
from tidegate.model.object_write import ObjectWrite
from tidegate.model.printers import contents, events, nodes, pods
from tidegate.model.resource import CacheOptions, Resource, kubernetes_rules
from tidegate.model.schemas import core as schema
from tidegate.model.validation import config_maps, quota
from tidegate.model.validation import core as rules

_config_map_rules = kubernetes_rules(rules.config_map)


def _validate_config_map(kind: Kind, write: ObjectWrite) -> Sequence[str]:
    warnings = _config_map_rules(kind, write)
    config_maps.require_settings(write)
    return warnings


RESOURCES = (
    Resource(kinds.NAMESPACE, schema.NAMESPACE, pruned=False, columns=contents.NAMESPACE, cache=None),
    Resource(kinds.NODE, schema.NODE, pruned=False, columns=nodes.COLUMNS),
    Resource(
        kinds.POD,
        schema.POD,
        pruned=False,
        defaults=defaults.pod,
        validate=kubernetes_rules(rules.pod),
        columns=pods.COLUMNS,
        cache=CacheOptions(indexes={"revision": indexes.by_label(names.REVISION), "claim": indexes.claims}),
    ),
    Resource(
        kinds.EVENT,
        schema.EVENT,
        pruned=False,
        validate=kubernetes_rules(rules.event),
        columns=events.COLUMNS,
        cache=None,
    ),
    Resource(
        kinds.SECRET,
        schema.SECRET,
        pruned=False,
        defaults=defaults.secret,
        validate=kubernetes_rules(rules.secret),
        columns=contents.SECRET,
    ),
    Resource(
        kinds.CONFIG_MAP,
        schema.CONFIG_MAP,
        pruned=False,
        validate=_validate_config_map,
        columns=contents.CONFIG_MAP,
        cache=CacheOptions(indexes={"namespace": indexes.namespace}),
    ),
    Resource(kinds.SERVICE_ACCOUNT, schema.SERVICE_ACCOUNT, pruned=False, columns=contents.SERVICE_ACCOUNT, cache=None),
    Resource(
        kinds.RESOURCE_QUOTA,
        schema.RESOURCE_QUOTA,
        pruned=False,
        defaults=defaults.resource_quota,
        validate=kubernetes_rules(quota.resource_quota, warnings=quota.warnings),
        columns=contents.RESOURCE_QUOTA,
    ),
)
