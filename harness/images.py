# SPDX-License-Identifier: Apache-2.0
"""Small OCI images for tests, written as OCI layouts: no daemon, no root, and layers with any content.

In: files, and what the image says about its process. Out: an `ImageLayout`, which `harness.registry` pushes, and which
`tidegate image load` takes as a folder or as an archive.

    layout = images.build(tmp_path / "app", "app:v1", images.facts_app(), env={"A": "b"})
    registry.push(layout, "app:v1")            # "127.0.0.1:PORT/app:v1"
    images.load(home, layout)                  # into the store of the state folder `home`

| files | contain |
| --- | --- |
| `facts_app()` | /app, an HTTP server that answers with facts about itself (`facts.c`); and `busybox()` |
| `busybox()` | /bin/busybox, with links for sh and the usual programs; /etc/passwd; /tmp |
| `host_python()` | the Python of this host, with its library: for tests of larger images |
"""

import functools
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SOURCE = Path(__file__).with_name("facts.c")
_PROGRAMS = ("sh", "cat", "ls", "echo", "sleep", "env", "id", "touch", "nc", "wget", "nslookup", "ps", "tar", "head")
_LEFT_OUT = {"site-packages", "dist-packages", "test", "__pycache__", "ensurepip", "idlelib", "lib2to3", "tkinter"}
_PASSWD = (
    b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\napp:x:1000:1000:app:/home/app:/bin/sh\n"
)
_GROUP = b"root:x:0:\nnogroup:x:65534:\napp:x:1000:\nextra:x:2000:app\n"


@dataclass(frozen=True)
class Entry:
    """One entry of a layer. `kind`: a type of tarfile, e.g. tarfile.SYMTYPE, whose target is `link`."""

    path: str
    content: bytes = b""
    mode: int = 0o755
    kind: bytes = tarfile.REGTYPE
    link: str = ""
    owner: int = 0
    device: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class ImageLayout:
    """An OCI layout with one image. `name`: e.g. app:v1. `digest`: of its manifest or index."""

    folder: Path
    name: str
    digest: str
    config: Mapping[str, Any] = field(default_factory=dict)

    def archive(self, path: Path) -> Path:
        """The same as an OCI archive."""
        with tarfile.open(path, "w") as archive:
            for place in sorted(self.folder.rglob("*")):
                archive.add(place, place.relative_to(self.folder), recursive=False)
        return path


def folder(path: str, mode: int = 0o755) -> Entry:
    return Entry(path, mode=mode, kind=tarfile.DIRTYPE)


def symlink(path: str, target: str) -> Entry:
    return Entry(path, kind=tarfile.SYMTYPE, link=target)


@functools.cache
def busybox() -> tuple[Entry, ...]:
    """Needs busybox, linked statically (Debian: busybox-static)."""
    found = shutil.which("busybox")
    assert found is not None, "busybox is not installed"
    return (
        *(folder(path) for path in ("bin", "etc", "home", "root", "var", "usr", "dev", "proc", "sys")),
        Entry("home/app", kind=tarfile.DIRTYPE, owner=1000),
        folder("tmp", 0o1777),
        Entry("bin/busybox", Path(found).read_bytes()),
        *(symlink(f"bin/{program}", "busybox") for program in _PROGRAMS),
        Entry("etc/passwd", _PASSWD, 0o644),
        Entry("etc/group", _GROUP, 0o644),
    )


@functools.cache
def facts_app() -> tuple[Entry, ...]:
    """Needs a C compiler with a static libc (Debian: gcc, libc6-dev), and busybox."""
    with tempfile.TemporaryDirectory() as place:
        program = Path(place) / "app"
        subprocess.run(["gcc", "-O2", "-static", "-pthread", "-o", program, _SOURCE], check=True, timeout=120)
        return (*busybox(), Entry("app", program.read_bytes()))


@functools.cache
def host_python() -> tuple[Entry, ...]:
    """The Python that runs the tests: its program, its library, and the shared libraries that both need."""
    program = Path(os.path.realpath(sys.executable))
    library = Path(os.__file__).parent
    files = {program, *_shared_libraries(program)}
    for place in library.rglob("*"):
        if place.is_file() and place.suffix != ".a" and not _LEFT_OUT & set(place.parts):
            files.add(place)
            if ".so" in place.suffixes:
                files.update(_shared_libraries(place))
    entries = [Entry(str(path).lstrip("/"), path.read_bytes()) for path in sorted(files)]
    return (*busybox(), *entries, symlink("bin/python3", str(program)))


def _shared_libraries(program: Path) -> set[Path]:
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False, timeout=30)
    words = [word for line in done.stdout.splitlines() for word in line.split() if word.startswith("/")]
    return {Path(word) for word in words}


def layer(entries: Iterable[Entry]) -> bytes:
    """A tar with exactly these entries, in order, however strange."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for entry in entries:
            member = tarfile.TarInfo(entry.path)
            member.type, member.mode, member.linkname = entry.kind, entry.mode, entry.link
            member.uid = member.gid = entry.owner
            member.devmajor, member.devminor = entry.device
            member.size = len(entry.content)
            archive.addfile(member, io.BytesIO(entry.content))
    return buffer.getvalue()


def build(
    path: Path,
    name: str,
    *layers: Sequence[Entry],
    architecture: str = "",
    **config: Any,
) -> ImageLayout:
    """An image in the new folder `path`. `config`: fields of the image's configuration in our case, e.g.
    entrypoint=["/app"], cmd=["a"], env={"A": "b"}, user="1000", working_dir="/tmp". The default entrypoint is /app."""
    blobs = _Blobs(path)
    image = _image(blobs, [layer(entries) for entries in layers], architecture or _architecture(), config)
    blobs.write_index(name, image)
    return ImageLayout(path, name, image["digest"], config)


def build_index(path: Path, name: str, images: Mapping[str, Sequence[Entry]], **config: Any) -> ImageLayout:
    """An image of several platforms: entries by architecture."""
    blobs = _Blobs(path)
    manifests = []
    for architecture, entries in images.items():
        descriptor = _image(blobs, [layer(entries)], architecture, config)
        manifests.append({**descriptor, "platform": {"os": "linux", "architecture": architecture}})
    kind = "application/vnd.oci.image.index.v1+json"
    index = blobs.add(json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": manifests}).encode(), kind)
    blobs.write_index(name, index)
    return ImageLayout(path, name, index["digest"], config)


def this_architecture() -> str:
    return _architecture()


def load(home: Path, layout: ImageLayout) -> str:
    """Load it into the store of a state folder, as `tidegate image load` does. Returns its full name."""
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "image", "load", str(layout.folder)],
        env={**os.environ, "TIDEGATE_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return f"docker.io/library/{layout.name}" if "/" not in layout.name else layout.name


class _Blobs:
    """The blobs of a layout."""

    def __init__(self, path: Path) -> None:
        self._path = path
        (path / "blobs" / "sha256").mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def add(self, content: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (self._path / "blobs" / "sha256" / digest).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    def write_index(self, name: str, descriptor: Mapping[str, Any]) -> None:
        named = {**descriptor, "annotations": {"org.opencontainers.image.ref.name": name}}
        (self._path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))


def _image(blobs: _Blobs, layers: list[bytes], architecture: str, config: Mapping[str, Any]) -> dict[str, Any]:
    process = {_pascal(key): value for key, value in {"entrypoint": ["/app"], **config}.items() if value is not None}
    if isinstance(process.get("Env"), Mapping):
        process["Env"] = [f"{key}={value}" for key, value in process["Env"].items()]
    for key in ("ExposedPorts", "Volumes"):
        if key in process:
            process[key] = {place: {} for place in process[key]}
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in layers]}
    configuration = {
        "os": "linux",
        "architecture": architecture,
        "config": process,
        "rootfs": rootfs,
        "history": [{"created_by": "tests"} for _ in layers],  # buildah needs it
    }
    kind = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": blobs.add(json.dumps(configuration).encode(), f"{kind}.config.v1+json"),
        "layers": [blobs.add(gzip.compress(each, 1, mtime=0), f"{kind}.layer.v1.tar+gzip") for each in layers],
    }
    return blobs.add(json.dumps(manifest).encode(), f"{kind}.manifest.v1+json")


def _pascal(key: str) -> str:
    return "".join(part.capitalize() for part in key.split("_"))


def _architecture() -> str:
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
