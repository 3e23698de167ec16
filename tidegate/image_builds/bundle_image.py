# SPDX-License-Identifier: Apache-2.0
"""An OCI image of a bundle, so that the same app runs on a cluster.

In: a bundle. Out: an image with the bundle in `/app`, on a base image that has the interpreter. Called by:
`tidegate build --image`.

| the bundle has | default base image |
| --- | --- |
| a Python environment, or static files | `docker.io/library/python:3.x-slim`, of the same minor version |
| node_modules or a package.json | `docker.io/library/node:N-slim`, of the same major version |
| only programs | `docker.io/library/debian:stable-slim` |

The app runs as user 65532 and listens on every address, on $PORT (8080 by default).
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate.bundles import tools
from tidegate.bundles.bundle import Bundle
from tidegate.bundles.tools import Messages
from tidegate.image_builds import buildah
from tidegate.image_builds.buildah import ImageBuild, ImageBuildError
from tidegate.images.stored import StoredImage
from tidegate.kit import trees
from tidegate.kit.processes import USUAL_PATH
from tidegate.model.config import ImagesConfig

_APP = "/app"
_USER = 65532
_EVERYWHERE = {"HOST": "0.0.0.0", "UVICORN_HOST": "0.0.0.0"}  # noqa: S104 - a container has an address of its own
_VERSION = re.compile(r"^version(?:_info)?\s*=\s*(\d+\.\d+)", re.MULTILINE)
_PORT = re.compile(r"\$\$|\$\(PORT\)")
_ENVIRONMENTS = ("env", "static")
_RELOCATION = """
import os, pathlib, re, sys
for folder in map(pathlib.Path, sys.argv[1:]):
    python, settings = folder / "bin" / "python", folder / "pyvenv.cfg"
    python.unlink()
    python.symlink_to(sys.executable)
    home = "home = " + os.path.dirname(sys.executable)
    settings.write_text(re.sub("(?m)^home *=.*$", lambda _: home, settings.read_text()))
"""
"""Run by the base image's Python, so that the environments use that Python."""


@dataclass(frozen=True, slots=True)
class BundleImage:
    """`tag`: the image's name in the store; `base`: "" for the default of the table."""

    bundle: Bundle
    tag: str
    base: str = ""


def build(asked: BundleImage, images: Path, config: ImagesConfig, messages: Messages) -> StoredImage:
    """Build the image into the store in `images`. Raises `ImageBuildError`."""
    bundle = asked.bundle
    if not bundle.command:
        raise ImageBuildError(f"nothing says how to start {bundle.name}: add a Procfile")
    images.mkdir(parents=True, exist_ok=True, mode=0o700)
    context = Path(tempfile.mkdtemp(prefix=".image-", dir=bundle.folder.parent))  # same file system: hard links
    try:
        shutil.copytree(bundle.folder, context / "bundle", symlinks=True, copy_function=os.link)
        _move_editable(context / "bundle", bundle.folder)
        file = context / "Containerfile"
        file.write_text(containerfile(bundle, asked.base or default_base(bundle)))
        return buildah.build(ImageBuild(context, file, asked.tag), images, config, messages)
    except OSError as error:
        raise ImageBuildError(f"cannot copy the bundle: {error}") from error
    finally:
        trees.remove(context)


def containerfile(bundle: Bundle, base: str) -> str:
    """The text of the Containerfile; `bundle` is a folder of its context."""
    environment = {**bundle.environment(USUAL_PATH), **_EVERYWHERE, "PORT": "8080", "HOME": "/tmp"}  # noqa: S108
    variables = {name: value.replace(str(bundle.folder), _APP) for name, value in environment.items()}
    lines = [f"FROM {base}", f"COPY bundle {_APP}"]
    if minor := python_version(bundle):
        environments = [f"{_APP}/{name}" for name in _ENVIRONMENTS if (bundle.folder / name).is_dir()]
        lines.append(f"RUN {json.dumps([f'python{minor}', '-I', '-c', _RELOCATION, *environments])}")
    lines += [f"ENV {name}={_quoted(value)}" for name, value in variables.items()]
    lines += [f"WORKDIR {_APP}/source", f"USER {_USER}", "EXPOSE 8080", f"CMD {json.dumps(_command(bundle.command))}"]
    return "\n".join(lines) + "\n"


def default_base(bundle: Bundle) -> str:
    """Raises `ImageBuildError` if the bundle needs two interpreters."""
    minor = python_version(bundle)
    has_node = (bundle.source / "package.json").is_file()
    if minor and has_node:
        raise ImageBuildError(f"{bundle.name} takes Python and Node.js: name an image that has both, by --base")
    if minor:
        return f"docker.io/library/python:{minor}-slim"
    return f"docker.io/library/node:{_node_version()}-slim" if has_node else "docker.io/library/debian:stable-slim"


def python_version(bundle: Bundle) -> str:
    """The minor version, e.g. "3.11"; "" for a bundle without Python."""
    files = (bundle.folder / name / "pyvenv.cfg" for name in _ENVIRONMENTS)
    found = (_VERSION.search(file.read_text()) for file in files if file.is_file())
    return next((match[1] for match in found if match is not None), "")


def _node_version() -> str:
    program = tools.find("node")
    if program is None:
        raise ImageBuildError("there is no node in PATH that would say its version: name the base image by --base")
    asked = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    return asked.stdout.strip().removeprefix("v").partition(".")[0]


def _command(words: Sequence[str]) -> list[str]:
    """The start command as an image has it. An image's command does not know `$(PORT)`: a shell inserts the variable
    and becomes the program."""
    words = [word.replace("127.0.0.1:$(PORT)", f"{_EVERYWHERE['HOST']}:$(PORT)") for word in words]
    if not any("$(PORT)" in word for word in words):
        return [_PORT.sub("$", word) for word in words]
    return ["/bin/sh", "-c", "exec " + " ".join(map(_shell_word, words))]


def _shell_word(word: str) -> str:
    parts = re.split(r"(\$\$|\$\(PORT\))", word)
    values = {"$$": shlex.quote("$"), "$(PORT)": '"$PORT"'}
    return "".join(values.get(part, shlex.quote(part) if part else "") for part in parts) or "''"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def _move_editable(copy: Path, bundle: Path) -> None:
    """`-e .` in a requirements.txt notes where the source is. The copy is linked to the bundle: replace files only."""
    for folder in copy.glob("env/lib/python*/site-packages"):
        for file in (each for each in folder.iterdir() if each.suffix in (".pth", ".py")):
            text = file.read_bytes()
            if (here := os.fsencode(bundle)) in text:
                file.unlink()
                file.write_bytes(text.replace(here, os.fsencode(_APP)))
