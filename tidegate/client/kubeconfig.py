# SPDX-License-Identifier: Apache-2.0
"""A kubeconfig as Tidegate writes it: a server, its authority and a token. Other credentials are rejected by name."""

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

from tidegate.model import errors


@dataclass(frozen=True, slots=True)
class Access:
    """How the current context reaches its API. `authority`: PEM; "" for the authorities that the system trusts."""

    server: str
    authority: str
    token: str


class _Cluster(msgspec.Struct, rename="kebab", forbid_unknown_fields=True):
    server: str
    certificate_authority_data: str = ""


class _User(msgspec.Struct, forbid_unknown_fields=True):
    token: str = ""


class _Context(msgspec.Struct):
    cluster: str
    user: str


class _NamedCluster(msgspec.Struct):
    name: str
    cluster: _Cluster


class _NamedUser(msgspec.Struct):
    name: str
    user: _User


class _NamedContext(msgspec.Struct):
    name: str
    context: _Context


class _Config(msgspec.Struct, rename="kebab"):
    clusters: list[_NamedCluster]
    users: list[_NamedUser]
    contexts: list[_NamedContext]
    current_context: str


def read(path: Path) -> Access:
    """Read the file. Raises `ApiError` if it cannot be used."""
    try:
        config = msgspec.convert(yaml.load(path.read_bytes(), yaml.CSafeLoader), _Config)
        context = {entry.name: entry.context for entry in config.contexts}[config.current_context]
        cluster = {entry.name: entry.cluster for entry in config.clusters}[context.cluster]
        user = {entry.name: entry.user for entry in config.users}[context.user]
        authority = base64.b64decode(cluster.certificate_authority_data, validate=True).decode("ascii")
    except KeyError as error:
        raise errors.ApiError(f"the kubeconfig {path} cannot be used: it has no {error}") from error
    except (msgspec.ValidationError, yaml.YAMLError, binascii.Error, ValueError, OSError) as error:
        raise errors.ApiError(f"the kubeconfig {path} cannot be used: {error}") from error
    return Access(cluster.server, authority, user.token)
