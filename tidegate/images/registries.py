# SPDX-License-Identifier: Apache-2.0
"""Where images are pulled from: mirrors, and registries without verified TLS, as skopeo's registries.conf.

In: config-images, the host's own files, the registry of one image. Out: the text of a registries.conf. Called by: the
puller and the resolver, for each run of skopeo.

| registry | settings |
| --- | --- |
| named in config-images | those of config-images alone |
| named in the host's registries.conf (podman's, of the user or of /etc/containers) | those |
| localhost, 127.0.0.0/8, ::1, in neither | TLS is not required, as in Docker |
| any other | TLS, verified with the host's authorities and /etc/containers/certs.d, /etc/docker/certs.d |

The host's search list and aliases of short names are not used, because a short name means docker.io.
"""

import ipaddress
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tidegate.model.config import ImagesConfig

Table = Mapping[str, Any]

_SYSTEM = Path("/etc/containers")


def render(config: ImagesConfig, registry: str, host: Sequence[Table]) -> str:
    """`host`: the tables of the host's files."""
    ours = {prefix: _table(prefix, config) for prefix in _prefixes(config)}
    known = {str(table.get("prefix") or table.get("location") or ""): table for table in host}
    tables = {**known, **ours}
    if registry not in tables and _is_loopback(registry):
        tables[registry] = {"prefix": registry, "location": registry, "insecure": True}
    return "".join(_text(table) for table in tables.values())


def of_host() -> list[Table]:
    """The tables `[[registry]]` of the host's files. A file that cannot be read has none."""
    return [table for path in _host_files() for table in _tables(path)]


def _host_files() -> Iterator[Path]:
    """Rule: containers-registries.conf(5): the user's file replaces the system's, drop-ins of both are added."""
    user = Path.home() / ".config" / "containers"
    folder = user if (user / "registries.conf").is_file() else _SYSTEM
    yield folder / "registries.conf"
    for each in (_SYSTEM, user):
        with suppress(OSError):
            yield from sorted((each / "registries.conf.d").glob("*.conf"))


def _tables(path: Path) -> list[Table]:
    with suppress(OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        found = tomllib.loads(path.read_text()).get("registry")
        return [table for table in found if isinstance(table, dict)] if isinstance(found, list) else []
    return []


def _prefixes(config: ImagesConfig) -> list[str]:
    return list(dict.fromkeys([*(registry for registry, _ in config.registry_mirrors), *config.insecure_registries]))


def _table(prefix: str, config: ImagesConfig) -> Table:
    mirrors = [mirror for registry, mirror in config.registry_mirrors if registry == prefix]
    return {
        "prefix": prefix,
        "location": prefix,
        "insecure": _is_insecure(prefix, config),
        "mirror": [{"location": mirror, "insecure": _is_insecure(mirror, config)} for mirror in mirrors],
    }


def _is_insecure(location: str, config: ImagesConfig) -> bool:
    registry = location.partition("/")[0]
    return bool(config.insecure_registries & {location, registry}) or _is_loopback(registry)


def _is_loopback(registry: str) -> bool:
    host = registry.rpartition(":")[0] if ":" in registry.rpartition("]")[2] else registry
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return False


def _text(table: Table) -> str:
    """A table in TOML, whose strings are JSON's."""
    lines = ["[[registry]]\n", *_lines(table)]
    for mirror in table.get("mirror") or ():
        lines += ["[[registry.mirror]]\n", *_lines(mirror)]
    return "".join(lines)


def _lines(table: Table) -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, str | bool):
            yield f"{key} = {json.dumps(value)}\n"
