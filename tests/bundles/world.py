# SPDX-License-Identifier: Apache-2.0
"""Source folders for tests, and bundles built from them."""

import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tidegate.bundles import build as builder
from tidegate.bundles.bundle import Bundle
from tidegate.bundles.tools import Messages

APP = """
import os, socket
print(os.environ.get("VIRTUAL_ENV"), os.getcwd(), flush=True)
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while True:
    server.accept()[0].close()
"""


def folder_of(folder: Path, **files: str) -> Path:
    """A folder with exactly these files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def app(folder: Path, **files: str) -> Path:
    """A source folder with a start command."""
    return folder_of(folder, **{"Procfile": "web: python app.py\n", "app.py": APP, **files})


def build(
    tmp_path: Path,
    folder: Path,
    *,
    needs_command: bool = True,
    include: Sequence[str] = (),
    remark: Callable[[str], None] = lambda _: None,
) -> Bundle:
    return builder.build(
        folder,
        "app",
        tmp_path / "bundles",
        Messages(lambda _: None, remark),
        needs_command=needs_command,
        include=include,
    )


def remarks(tmp_path: Path, folder: Path) -> list[str]:
    """The remarks that the build of a source prints."""
    printed: list[str] = []
    build(tmp_path, folder, needs_command=False, remark=printed.append)
    return printed


def packed(bundle: Bundle) -> set[str]:
    """The files in a bundle's source, and links to folders; without compiled modules."""
    found = set()
    for folder, folders, files in os.walk(bundle.source):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        found |= {str(Path(folder, name).relative_to(bundle.source)) for name in (*files, *links)}
    return {path for path in found if "__pycache__" not in path}


def make_wheel(folder: Path, name: str, program: str, text: str = "def main():\n    print('hello')\n") -> Path:
    """A package with one script, made by hand: no network, no build backend."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}/__init__.py": text,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{program} = {name}:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{each},,\n" for each in [*files, f"{info}/RECORD"])
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for each, content in files.items():
            archive.writestr(each, content)
    return wheel
