# SPDX-License-Identifier: Apache-2.0
"""The instance that a command means: a Pod by its name, or a ready instance of a service.

In: a name from the command line. Out: the key of a Pod. Called by: `tidegate exec`, `tidegate port-forward`.
"""

from tidegate.cli.failures import CommandFailure
from tidegate.client.http import HttpCluster
from tidegate.model import errors, kinds, names, objects, pods
from tidegate.model.objects import Key, Object

_PREFIXES = {"service": "service", "svc": "service", "ksvc": "service", "pod": "pod", "po": "pod"}


async def chosen(cluster: HttpCluster, namespace: str, name: str) -> Key:
    """The Pod for NAME, service/NAME or pod/NAME. Raises `CommandFailure`."""
    prefix, slash, rest = name.partition("/")
    kind = _PREFIXES.get(prefix, "") if slash else ""
    key = Key(namespace, rest if kind else name)
    if kind != "pod":
        try:
            service = await cluster.get(kinds.SERVICE, key)
        except errors.NotFound:
            if kind:
                raise
        else:
            return await _instance(cluster, service)
    try:
        return objects.key(await cluster.get(kinds.POD, key))
    except errors.NotFound:
        if kind:
            raise
        raise CommandFailure(f'there is no service or pod "{key.name}" in namespace {namespace}') from None


async def _instance(cluster: HttpCluster, service: Object) -> Key:
    """The newest ready instance of a service."""
    key = objects.key(service)
    listing = await cluster.list(kinds.POD, key.namespace, labels=f"{names.SERVICE}={key.name}")
    ready = [pod for pod in listing.items if _is_usable(pod)]
    if not ready:
        count = f"none of its {len(listing.items)} instances is ready" if listing.items else "it has no instance now"
        raise CommandFailure(
            f"{key.name}: {count}. A request starts one"
            + (f": curl {url}" if (url := objects.status(service).get("url")) else "")
            + "; the annotation autoscaling.knative.dev/min-scale keeps one"
        )
    return objects.key(max(ready, key=lambda pod: str(pod["metadata"]["creationTimestamp"])))


def _is_usable(pod: Object) -> bool:
    """Whether it takes requests, so that it is neither frozen nor about to end."""
    return pods.is_ready(pod) and not objects.is_deleting(pod) and not pods.is_standby(pod)
