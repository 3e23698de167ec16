# SPDX-License-Identifier: Apache-2.0
"""A real registry of images for tests: Debian's docker-registry, with or without TLS and basic authentication.

In: a folder. Out: a `TestRegistry` that runs for as long as a `with` lasts. Tests that use it are marked
`needs("skopeo", "docker-registry")`.
"""

import base64
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from harness.images import ImageLayout
from harness.waiting import eventually_blocking
from tidegate.kit.authority import Authority

USER, PASSWORD = "tests", "secret-of-tests"
_HASHED = "$2b$04$IIosoZkdxdNQYVCr.6TWweJ2ZL1UrlvrCTJkzBv7qM8tj0bBNKnIC"  # bcrypt, the only form that it takes


@dataclass(frozen=True)
class TestRegistry:
    """`address`: HOST:PORT. `authority`: the certificate to trust; None without TLS. `pid`: of its process."""

    __test__ = False

    address: str
    folder: Path
    pid: int
    authority: Path | None = None
    has_users: bool = False

    def push(self, layout: ImageLayout, name: str) -> str:
        """Push an image with all its platforms; returns HOST:PORT/NAME."""
        reference = f"{self.address}/{name}"
        _run(
            *(
                "skopeo",
                "--insecure-policy",
                "copy",
                "--all",
                "--preserve-digests",
                "--quiet",
                "--dest-tls-verify=false",
            ),
            *(("--dest-creds", f"{USER}:{PASSWORD}") if self.has_users else ()),
            *(f"oci:{layout.folder}:{layout.name}", f"docker://{reference}"),
        )
        return reference

    def docker_config(self) -> str:
        """The content of a .dockerconfigjson with the right password."""
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return json.dumps({"auths": {self.address: {"auth": auth}}})

    def stop_answering(self) -> None:
        """Accept connections and send nothing, until `answer_again`."""
        os.kill(self.pid, signal.SIGSTOP)

    def answer_again(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


@contextmanager
def running(folder: Path, *, tls: bool = False, users: bool = False, host: str = "127.0.0.1") -> Iterator[TestRegistry]:
    """A registry of its own on a free port. `host`: an address of this machine; registries on loopback addresses are
    used without verified TLS."""
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port(host)
    http: dict[str, object] = {"addr": f"{host}:{port}"}
    authority = None
    if tls:
        authority = folder / "ca.crt"
        http["tls"] = _certified(folder, host)
    settings = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": http,
    }
    if users:
        (folder / "htpasswd").write_text(f"{USER}:{_HASHED}\n")
        settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(yaml.safe_dump(settings))
    with (folder / "registry.log").open("wb") as log:
        server = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "config.yml")],
            env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
            stdout=log,
            stderr=log,
        )
        try:
            eventually_blocking(lambda: _listens(host, port), "the registry")
            yield TestRegistry(f"{host}:{port}", folder, server.pid, authority, users)
        finally:
            server.send_signal(signal.SIGCONT)
            server.kill()
            server.wait()


def _certified(folder: Path, host: str) -> dict[str, str]:
    """Write an authority (ca.crt) and a certificate of the registry."""
    now = datetime.now(UTC)
    Authority(folder, now).certify(host, [host], now, timedelta(days=1)).keep(folder, "registry")
    return {"certificate": str(folder / "registry.crt"), "key": str(folder / "registry.key")}


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def _run(*arguments: str) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
