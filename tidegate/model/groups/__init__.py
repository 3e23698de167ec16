# SPDX-License-Identifier: Apache-2.0
"""The resources that every Tidegate serves. One file an API group has one `Resource` for each kind: its names, schema,
defaults, rules, columns and informer. A kind that is added here needs no other declaration."""

from tidegate.model.groups import autoscaling, core, networking, serving
from tidegate.model.scheme import Scheme

BUILT_IN_SCHEME = Scheme((*serving.RESOURCES, *autoscaling.RESOURCES, *networking.RESOURCES, *core.RESOURCES))
