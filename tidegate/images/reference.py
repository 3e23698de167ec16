# SPDX-License-Identifier: Apache-2.0
"""References of images as Docker reads them: short names mean docker.io, and an absent tag means `latest`.

In: the text of a container's `image`. Out: an `ImageReference`, or `InvalidReference`. Called by: every module here;
admission reads references with the weaker rule of `model.text.images`.

| text | name | tag | digest |
| --- | --- | --- | --- |
| `nginx` | docker.io/library/nginx | latest | |
| `me/app:v1` | docker.io/me/app | v1 | |
| `localhost/app`, `host:5000/app` | the same | latest | |
| `ghcr.io/o/app@sha256:...` | ghcr.io/o/app | | sha256:... |
| `ghcr.io/o/app:v1@sha256:...` | ghcr.io/o/app | v1, which the digest overrides | sha256:... |
"""

import re
from dataclasses import dataclass

DOCKER_HUB = "docker.io"
LATEST_TAG = "latest"

_MOST = 255  # characters of a name
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]{{1,5}})?", re.ASCII)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_IDENTIFIER = re.compile(r"[0-9a-f]{64}", re.ASCII)


class InvalidReference(ValueError):
    """A text that is not a reference; the message says why."""


@dataclass(frozen=True, slots=True)
class ImageReference:
    """`registry`: host and port. `tag` and `digest`: "" if absent; one of them is there."""

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        return f"{self.registry}/{self.repository}"

    @property
    def full(self) -> str:
        """NAME@DIGEST, or NAME:TAG if there is no digest."""
        return self.at(self.digest) if self.digest else f"{self.name}:{self.tag}"

    def at(self, digest: str) -> str:
        return f"{self.name}@{digest}"

    @property
    def always_pulled(self) -> bool:
        """Whether a container without an `imagePullPolicy` pulls it at every start. Rule: pkg/apis/core/v1/defaults.go,
        SetDefaults_Container."""
        return not self.digest and self.tag == LATEST_TAG


def parse(image: str) -> ImageReference:
    """Rule: distribution/reference, ParseDockerRef. Raises `InvalidReference`."""
    base, at, digest = image.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise InvalidReference("invalid reference format: the digest must be sha256: and 64 hex digits")
    name, colon, tag = base.rpartition(":")
    if not colon or "/" in tag:
        name, tag = base, ""
    elif not _TAG.fullmatch(tag):
        raise InvalidReference("invalid reference format: invalid tag")
    registry, repository = _split(name)
    if _IDENTIFIER.fullmatch(name):
        raise InvalidReference("invalid reference format: cannot specify 64-byte hexadecimal strings")
    if repository.lower() != repository:
        raise InvalidReference("invalid reference format: repository name must be lowercase")
    if not (_REGISTRY.fullmatch(registry) and _REPOSITORY.fullmatch(repository)):
        raise InvalidReference("invalid reference format")
    if len(registry) + len(repository) >= _MOST:
        raise InvalidReference(f"repository name must not be more than {_MOST} characters")
    return ImageReference(registry, repository, tag or ("" if digest else LATEST_TAG), digest)


def _split(name: str) -> tuple[str, str]:
    """The registry and the repository. A first part is a registry if it looks like a host."""
    first, slash, rest = name.partition("/")
    is_host = any(sign in first for sign in ".:") or first == "localhost" or first.lower() != first
    registry, repository = (first, rest) if slash and is_host else (DOCKER_HUB, name)
    if registry in (DOCKER_HUB, "index.docker.io"):
        return DOCKER_HUB, repository if "/" in repository else f"library/{repository}"
    return registry, repository
