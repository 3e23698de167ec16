# SPDX-License-Identifier: Apache-2.0
"""Credentials for registries, in the two forms that Kubernetes and Docker write them.

In: Secrets of the types kubernetes.io/dockerconfigjson and kubernetes.io/dockercfg. Out: `Credentials`, and for one
image the authfiles to try in order. Called by: the controllers and the node, for the `imagePullSecrets` of a Pod; the
puller and the resolver, which write an authfile for each run of skopeo.

A login fits an image as in the kubelet: by host and port, with `*` for a part of the host's name, and by the beginning
of the path. The longest match is tried first, and the next one if the registry rejects it.
"""

import base64
import binascii
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from tidegate.images.reference import DOCKER_HUB, ImageReference
from tidegate.model.objects import Object

DOCKER_CONFIG_JSON, DOCKER_CONFIG = "kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"

_KEYS = {DOCKER_CONFIG_JSON: ".dockerconfigjson", DOCKER_CONFIG: ".dockercfg"}
_HUB_HOSTS = frozenset({"index.docker.io", "registry-1.docker.io", DOCKER_HUB})
_MOST_TRIED = 8  # credentials for one image


class RegistryLogin(NamedTuple):
    """One entry of a Secret. `place`: HOST[:PORT][/PATH]."""

    place: str
    auth: str

    def __repr__(self) -> str:
        return f"RegistryLogin({self.place!r})"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The logins that a Pod brings. Equal ones are one pull."""

    logins: tuple[RegistryLogin, ...] = field(default=())

    def authfiles(self, reference: ImageReference) -> Iterator[bytes]:
        """The contents of the authfiles to try for an image, in order; at least one. The logins of the user who runs
        Tidegate are in each, where the Pod brings none."""
        users = _of_user()
        others = {login.place: {"auth": login.auth} for login in reversed(self.logins) if "*" not in login.place}
        place = reference.name
        fitting = sorted(
            (login for login in self.logins if _fits(login.place, place)), key=lambda login: -len(login.place)
        )
        for auth in list(dict.fromkeys(login.auth for login in fitting))[:_MOST_TRIED]:
            yield _authfile({**users, **others, place: {"auth": auth}})
        if not fitting:
            yield _authfile({**users, **others})


NO_CREDENTIALS = Credentials()


def of_secrets(secrets: Iterable[Object]) -> Credentials:
    """The logins of Secrets, in order. A Secret of another type or with unreadable data brings none, as in the
    kubelet."""
    return Credentials(tuple(login for secret in secrets for login in _of_secret(secret)))


def _of_secret(secret: Object) -> Iterator[RegistryLogin]:
    kind = str(secret.get("type") or "")
    encoded = (secret.get("data") or {}).get(_KEYS.get(kind, ""))
    if not isinstance(encoded, str):
        return
    with suppress(binascii.Error, ValueError):
        found = json.loads(base64.b64decode(encoded))
        entries = found.get("auths") if kind == DOCKER_CONFIG_JSON and isinstance(found, dict) else found
        for place, entry in (entries if isinstance(entries, dict) else {}).items():
            auth = _auth(entry if isinstance(entry, dict) else {})
            if auth:
                yield RegistryLogin(_place(str(place)), auth)


def _auth(entry: Mapping[str, Any]) -> str:
    user, password = entry.get("username"), entry.get("password")
    if isinstance(user, str) and isinstance(password, str) and user:
        return base64.b64encode(f"{user}:{password}".encode()).decode()
    return str(entry.get("auth") or "")


def _place(key: str) -> str:
    """HOST[:PORT][/PATH] of a key, which may be an address such as https://index.docker.io/v1/."""
    scheme, separator, rest = key.partition("://")
    place = (rest if separator else scheme).strip("/")
    host, _, path = place.partition("/")
    path = "" if path in ("v1", "v2") else path
    host = DOCKER_HUB if host in _HUB_HOSTS else host
    return f"{host}/{path}" if path else host


def _fits(place: str, name: str) -> bool:
    """Whether a login is for an image. Rule: pkg/credentialprovider/keyring.go, URLsMatch."""
    host, _, path = place.partition("/")
    registry, _, repository = name.partition("/")
    parts, found = host.split("."), registry.split(".")
    if len(parts) != len(found) or not all(fnmatchcase(*each) for each in zip(found, parts, strict=True)):
        return False
    return repository.startswith(path)


def _authfile(auths: Mapping[str, Any]) -> bytes:
    return json.dumps({"auths": auths}).encode()


def _of_user() -> Mapping[str, Any]:
    """What `podman login` has written. skopeo itself reads ~/.docker/config.json, with its helpers, and
    ~/.config/containers/auth.json after our file."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    places = [
        os.environ.get("REGISTRY_AUTH_FILE"),
        f"{runtime}/containers/auth.json",
        f"/run/containers/{os.geteuid()}/auth.json",
    ]
    for path in (Path(place) for place in places if place):
        with suppress(OSError, ValueError):
            found = json.loads(path.read_bytes())
            return dict(found.get("auths") or {}) if isinstance(found, dict) else {}
    return {}
