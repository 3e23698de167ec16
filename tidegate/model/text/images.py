# SPDX-License-Identifier: Apache-2.0
"""Image references: registry/repository:tag@digest, in the form of container registries, and Tidegate's own two."""

import re
from typing import NamedTuple

from tidegate.model import names
from tidegate.model.text import syntax

_REGISTRY = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{0,5})?", re.ASCII)
_REPOSITORY = re.compile(r"[a-z0-9_./-]{2,255}", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_.-]{0,128}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_BUNDLE = re.compile(rf"({syntax.LABEL_1123})@sha256:([0-9a-f]{{64}})", re.ASCII)


class BundleReference(NamedTuple):
    """A bundle that an image names. `digest`: SHA-256, in hex."""

    name: str
    digest: str


def bundle_reference(image: str) -> BundleReference | None:
    """The bundle of the image tidegate.dev/bundle/NAME@sha256:DIGEST; None for any other image."""
    if not image.startswith(names.BUNDLE_IMAGE_PREFIX):
        return None
    found = _BUNDLE.fullmatch(image.removeprefix(names.BUNDLE_IMAGE_PREFIX))
    return BundleReference(found[1], found[3]) if found else None


def parse_error(image: str) -> str:
    """Why `image` is not a reference; "" if it is one.

    Rule: google/go-containerregistry pkg/name, weak validation. Its texts are its own; users see ours after Knative's.
    """
    if image == names.HOST_IMAGE:
        return ""
    if image.startswith(names.BUNDLE_IMAGE_PREFIX):
        return "" if bundle_reference(image) else f"{names.BUNDLE_IMAGE_PREFIX}NAME@sha256:DIGEST expected"
    return "" if _is_reference(image) else f"could not parse reference: {image}"


def _is_reference(image: str) -> bool:
    base, at, digest = image.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        return False
    name, colon, tag = base.rpartition(":")
    if not colon or "/" in tag:
        name = base
    elif not _TAG.fullmatch(tag):
        return False
    registry, slash, repository = name.partition("/")
    if not slash or not ("." in registry or ":" in registry):
        return bool(_REPOSITORY.fullmatch(name))
    return bool(_REGISTRY.fullmatch(registry) and _REPOSITORY.fullmatch(repository))
