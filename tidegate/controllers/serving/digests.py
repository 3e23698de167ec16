# SPDX-License-Identifier: Apache-2.0
"""Which digests the images of a Revision have, so that a Revision never changes. Pure.

In: a Revision, and digests that a registry has returned. Out: the images to resolve, and the container statuses. Called
by: `digest_resolution`, `revision` and `pod`. Rule: knative/serving pkg/reconciler/revision/revision.go.

| image | `imageDigest` |
| --- | --- |
| with a digest | the image |
| `tidegate.dev/host`, or a bundle | the image, if it has a digest |
| any image of a Revision whose runtime is `process` | none |
| a tag | NAME@DIGEST; none if its registry is in `registries-skipping-tag-resolving` |
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tidegate.model import pods
from tidegate.model.objects import Object, spec, status

_CONTAINERS = {"containerStatuses": "containers", "initContainerStatuses": "initContainers"}


class Resolution(NamedTuple):
    """The result for a Revision. `digests`: by image; None until all are resolved. `failure`: why the last
    attempt failed."""

    digests: Mapping[str, str] | None = None
    failure: str = ""


def unresolved_images(revision: Object) -> Sequence[str]:
    """The images whose digests have to be resolved; none once the status has them."""
    if _has_statuses(revision) or pods.runtime_of(revision) != "oci":
        return ()
    images = [str(container.get("image") or "") for field in _CONTAINERS.values() for container in _of(revision, field)]
    return [image for image in dict.fromkeys(images) if "@" not in image and not pods.is_of_this_host(image)]


def container_statuses(revision: Object, resolved: Mapping[str, str]) -> Object:
    """The fields of a Revision's status about its containers. `resolved`: NAME@DIGEST by image."""
    if _has_statuses(revision):
        return {field: status(revision)[field] for field in _CONTAINERS if field in status(revision)}
    return {
        field: [_status(container, resolved) for container in _of(revision, containers)]
        for field, containers in _CONTAINERS.items()
        if _of(revision, containers)
    }


def with_digests(revision: Object) -> Object:
    """The containers and init containers of a Revision, with the digests of its status."""
    return {
        containers: [
            {**container, "image": digest} if (digest := found.get(container.get("name", ""))) else container
            for container in _of(revision, containers)
        ]
        for field, containers in _CONTAINERS.items()
        if _of(revision, containers)
        for found in [{each.get("name", ""): each.get("imageDigest") for each in status(revision).get(field) or ()}]
    }


def _of(revision: Object, containers: str) -> Sequence[Object]:
    return spec(revision).get(containers) or ()


def _has_statuses(revision: Object) -> bool:
    return all(
        len(status(revision).get(field) or ()) == len(_of(revision, containers))
        for field, containers in _CONTAINERS.items()
    )


def _status(container: Object, resolved: Mapping[str, str]) -> Object:
    image = str(container.get("image") or "")
    digest = image if "@sha256:" in image else resolved.get(image, "")
    return {"name": container.get("name", ""), **({"imageDigest": digest} if digest else {})}
