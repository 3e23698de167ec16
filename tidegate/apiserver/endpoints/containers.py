# SPDX-License-Identifier: Apache-2.0
"""The container that a request for logs or a session means. Pure."""

from tidegate.model import errors
from tidegate.model.names import DEFAULT_CONTAINER
from tidegate.model.objects import Object, annotations, spec


def requested(pod: Object, name: str) -> str:
    """The named container, which may be an init container; by default the Pod's default container, else its first.
    Raises `BadRequest`."""
    names = [container["name"] for container in spec(pod).get("containers") or ()]
    initial = [container["name"] for container in spec(pod).get("initContainers") or ()]
    default = annotations(pod).get(DEFAULT_CONTAINER, "")
    container = name or (default if default in names else next(iter(names), ""))
    if container not in names + initial:
        raise errors.BadRequest(f"container {container} is not valid for pod {pod['metadata']['name']}")
    return container
