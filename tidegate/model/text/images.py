# SPDX-License-Identifier: Apache-2.0
"""Image references: registry/repository:tag@digest, as container registries read them, and Tidegate's own two."""

import re

from tidegate.model import names

_REGISTRY = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{0,5})?", re.ASCII)
_REPOSITORY = re.compile(r"[a-z0-9_./-]{2,255}", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_.-]{0,128}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_BUNDLE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?@sha256:[0-9a-f]{64}", re.ASCII)


def parse_error(image: str) -> str:
    """Why `image` is no reference; "" if it is one.

    Rule: google/go-containerregistry pkg/name, weak validation. Its texts are its own; users see ours after Knative's.
    """
    if image == names.HOST_IMAGE:
        return ""
    if image.startswith(names.BUNDLE_IMAGE_PREFIX):
        good = _BUNDLE.fullmatch(image.removeprefix(names.BUNDLE_IMAGE_PREFIX))
        return "" if good else f"{names.BUNDLE_IMAGE_PREFIX}NAME@sha256:DIGEST expected"
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
