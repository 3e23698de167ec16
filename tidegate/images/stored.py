# SPDX-License-Identifier: Apache-2.0
"""An image in the store, as the container runtime needs it.

In: the configuration of an image, as JSON (OCI image-spec `config.md`; Docker's is a superset). Out: `ImageConfig`,
`StoredImage`. Called by: `store.py`, which reads them; the runtime; `tidegate image ls`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What an image says about its process. `exposed_ports`: e.g. 8080/tcp. `volumes`: absolute paths."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    working_dir: str = ""
    stop_signal: str = ""
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Platform:
    """The kind of machine that an image is for, in Go's words: linux, amd64."""

    os: str = ""
    architecture: str = ""

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}"


@dataclass(frozen=True, slots=True)
class StoredImage:
    """`id`: digest of the configuration, in hex. `digest`: the one that its registry names it by (of the index, for an
    image of several platforms). `digests`: all by which it can be found. `names`: NAME:TAG and NAME@DIGEST.
    `layers`: folders, the top layer first; none for an image without files. `size`: bytes of the layers' files.

    A layer may hold device nodes, as any image may: mount the layers with `nodev`, so that these stay without effect.
    No layer is ever changed. An image that a Pod or a Revision names is not removed."""

    id: str
    digest: str
    digests: frozenset[str]
    names: tuple[str, ...]
    config: ImageConfig
    layers: tuple[Path, ...]
    platform: Platform = Platform()
    size: int = 0


class _Process(msgspec.Struct, rename="pascal"):
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    env: list[str] | None = None
    user: str | None = None
    working_dir: str | None = None
    stop_signal: str | None = None
    exposed_ports: dict[str, Any] | None = None
    volumes: dict[str, Any] | None = None
    labels: dict[str, str] | None = None


class _Configuration(msgspec.Struct):
    config: _Process | None = None
    os: str | None = None
    architecture: str | None = None


def decode(configuration: bytes) -> tuple[ImageConfig, Platform]:
    """Raises `msgspec.DecodeError`."""
    found = msgspec.json.decode(configuration, type=_Configuration)
    process = found.config or _Process()
    config = ImageConfig(
        entrypoint=tuple(process.entrypoint or ()),
        cmd=tuple(process.cmd or ()),
        env={name: value for name, equals, value in (text.partition("=") for text in process.env or ()) if equals},
        user=process.user or "",
        working_dir=process.working_dir or "",
        stop_signal=process.stop_signal or "",
        exposed_ports=tuple(process.exposed_ports or ()),
        volumes=tuple(process.volumes or ()),
        labels=process.labels or {},
    )
    return config, Platform(found.os or "", found.architecture or "")
