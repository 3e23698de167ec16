# SPDX-License-Identifier: Apache-2.0
"""The Pods of a Revision. Pure.

In: a Revision and the informer of Pods. Out: those Pods that count. Called by: `instances` and `revision`.
"""

from collections.abc import Sequence

from tidegate.client.informer import Informer
from tidegate.model import pods
from tidegate.model.objects import Key, Object, is_controlled_by, key


def revision_of(pod: Object) -> Sequence[Key]:
    """The Revision that a Pod belongs to, if any."""
    name = pods.revision_key(pod)
    return () if name is None else (name,)


def instances(revision: Object, informer: Informer) -> list[Object]:
    """The Pods of this very Revision that are not being deleted."""
    found = informer.indexed("revision", str(key(revision)))
    return [pod for pod in found if is_controlled_by(pod, revision) and not pods.is_draining(pod)]


def in_use(instances: Sequence[Object]) -> list[Object]:
    """The Pods that may serve requests: neither prepared nor on standby. A Pod that was woken may still be frozen."""
    return [pod for pod in instances if pods.is_instance(pod) and not pods.is_frozen(pod)]
