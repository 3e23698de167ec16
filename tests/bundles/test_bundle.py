# SPDX-License-Identifier: Apache-2.0
"""Bundles: what is taken from a folder, what names it, and what is made of it."""

import os
import stat
import subprocess
import zipfile
from pathlib import Path

import pytest

from tidegate.bundles import bundle, source
from tidegate.bundles.bundle import Bundle, BundleError

APP = """
import os, socket
print(os.environ.get("VIRTUAL_ENV"), os.getcwd(), flush=True)
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while True:
    server.accept()[0].close()
"""


def app(folder: Path, **files: str) -> Path:
    """A folder of source."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"Procfile": "web: python app.py\n", "app.py": APP, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def build(tmp_path: Path, folder: Path, **options: bool) -> Bundle:
    return bundle.build(folder, "app", tmp_path / "bundles", lambda message: None, **options)


def test_a_bundle_is_named_by_its_content(tmp_path: Path) -> None:
    first = build(tmp_path, app(tmp_path / "one"))
    same = build(tmp_path, app(tmp_path / "two"))
    other = build(tmp_path, app(tmp_path / "three", **{"more.txt": "x"}))

    assert first.digest == same.digest != other.digest
    assert first.image == f"tidegate.dev/bundle/app@sha256:{first.digest}"
    assert bundle.resolve(first.image, tmp_path / "bundles") == first
    assert (first.source / "app.py").read_text() == APP


@pytest.mark.parametrize("change", ["content", "mode", "name", "link"])
def test_every_change_that_an_app_can_see_changes_the_digest(tmp_path: Path, change: str) -> None:
    folder = app(tmp_path / "app", data="x")
    before = source.Source.of(folder).digest()
    data = folder / "data"
    if change == "content":
        data.write_text("y")
    elif change == "mode":
        data.chmod(0o755)
    elif change == "name":
        data.rename(folder / "date")
    else:
        data.unlink()
        data.symlink_to("x")
    assert source.Source.of(folder).digest() != before


def test_what_no_app_needs_and_what_gitignore_names_is_left_out(tmp_path: Path) -> None:
    folder = app(
        tmp_path / "app",
        **{
            ".gitignore": "# built\n*.log\n!keep.log\nbuild/\n/top.txt\ndocs/*.md\n",
            ".git/config": "x",
            ".venv/bin/python": "x",
            "pkg/__pycache__/a.pyc": "x",
            "pkg/a.log": "x",
            "pkg/keep.log": "x",
            "build/out": "x",
            "top.txt": "x",
            "pkg/top.txt": "x",
            "docs/a.md": "x",
        },
    )
    found = {str(path) for path in source.Source.of(folder).files}

    assert found == {".gitignore", "Procfile", "app.py", "pkg/keep.log", "pkg/top.txt"}


def test_what_was_built_is_not_built_again(tmp_path: Path) -> None:
    told: list[str] = []
    folder = app(tmp_path / "app")
    bundle.build(folder, "app", tmp_path / "bundles", told.append)
    before = list(told)
    bundle.build(folder, "other-name", tmp_path / "bundles", told.append)

    assert before == ["copying 2 files"]
    assert told == before
    assert [entry.name[:1] for entry in (tmp_path / "bundles").iterdir()] != ["."]


@pytest.mark.parametrize(
    ("procfile", "command"),
    [
        ("web: python app.py", ("python", "app.py")),
        ("worker: x\nweb: gunicorn -b :$PORT 'a b' app", ("gunicorn", "-b", ":$(PORT)", "a b", "app")),
        ("web: run --port=${PORT} cost$", ("run", "--port=$(PORT)", "cost$$")),
    ],
)
def test_the_procfile_says_how_to_start(tmp_path: Path, procfile: str, command: tuple[str, ...]) -> None:
    assert build(tmp_path, app(tmp_path / "app", Procfile=procfile)).command == command


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"Procfile": "worker: x"}, "Procfile with a line like 'web: python app.py'"),
        ({"Procfile": "web: a && b"}, "'&&' needs one"),
        ({"Procfile": "web: 'a"}, "cannot be read"),
        ({"pyproject.toml": "[project"}, "pyproject.toml cannot be read"),
    ],
)
def test_what_cannot_be_built_says_why_and_leaves_nothing(tmp_path: Path, files: dict[str, str], words: str) -> None:
    with pytest.raises(BundleError) as told:
        build(tmp_path, app(tmp_path / "app", **files))
    assert words in str(told.value)
    assert not (tmp_path / "bundles").exists() or not list((tmp_path / "bundles").iterdir())


def test_no_folder_an_empty_one_and_a_bad_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, name, words in (
        (tmp_path / "nowhere", "app", "is not a folder"),
        (tmp_path / "empty", "app", "holds no file"),
        (app(tmp_path / "app"), "../App", "cannot name a bundle"),
    ):
        with pytest.raises(BundleError, match=words):
            bundle.build(folder, name, tmp_path / "bundles", lambda message: None)


def test_a_folder_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MOST_FILES", 1)
    with pytest.raises(BundleError, match="2 files; a bundle may have 1: leave out"):
        build(tmp_path, app(tmp_path / "app"))
    monkeypatch.setattr(source, "MOST_FILES", 10)
    monkeypatch.setattr(source, "MOST_BYTES", 10)
    with pytest.raises(BundleError, match="MiB; a bundle may have"):
        build(tmp_path, app(tmp_path / "app"))


def test_a_pipe_is_refused_and_not_read(tmp_path: Path) -> None:
    folder = app(tmp_path / "app")
    os.mkfifo(folder / "pipe")
    with pytest.raises(BundleError, match="neither a file nor a folder"):
        build(tmp_path, folder)


def test_an_image_that_names_no_bundle_is_told(tmp_path: Path) -> None:
    for image, words in (
        ("tidegate.dev/bundle/app", "names no bundle"),
        ("tidegate.dev/bundle/../x@sha256:" + "0" * 64, "names no bundle"),
        ("tidegate.dev/bundle/app@sha256:" + "0" * 64, "build it with: tidegate build DIR"),
    ):
        with pytest.raises(BundleError, match=words):
            bundle.resolve(image, tmp_path)


def test_a_python_app_that_requires_nothing_gets_its_environment_without_network(tmp_path: Path) -> None:
    built = build(tmp_path, app(tmp_path / "app", **{"requirements.txt": "# nothing\n"}))
    python = built.folder / "env" / "bin" / "python"

    prefix = subprocess.run([python, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True)
    assert prefix.stdout.strip() == str(built.folder / "env")
    assert built.environment("/bin")["PATH"] == f"{built.folder / 'env' / 'bin'}:/bin"


def test_what_the_app_requires_is_installed(tmp_path: Path) -> None:
    wheel = tmp_path / "greetings-1.0-py3-none-any.whl"
    make_wheel(wheel)
    built = build(tmp_path, app(tmp_path / "app", **{"requirements.txt": f"greetings @ {wheel.as_uri()}\n"}))

    program = built.folder / "env" / "bin" / "greet"
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == "hello\n"


def make_wheel(path: Path) -> None:
    """A package with one script, made by hand: no network, no build backend."""

    info = "greetings-1.0.dist-info"
    files = {
        "greetings.py": "def main():\n    print('hello')\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: greetings\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ngreet = greetings:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)


def test_a_requirement_that_does_not_exist_fails_with_uvs_words(tmp_path: Path) -> None:
    missing = (tmp_path / "no-such.whl").as_uri()
    with pytest.raises(BundleError, match="cannot be made") as told:
        build(tmp_path, app(tmp_path / "app", **{"requirements.txt": f"no-such @ {missing}\n"}))
    assert "no-such" in str(told.value)
    assert list((tmp_path / "bundles").iterdir()) == []


def test_everyone_reads_a_bundle_and_its_compiled_modules_and_only_its_owner_writes_it(tmp_path: Path) -> None:
    folder = app(tmp_path / "app", **{"requirements.txt": "", "pkg/module.py": "x = 1\n", "run.sh": "#!/bin/sh\n"})
    (folder / "app.py").chmod(0o600)
    (folder / "run.sh").chmod(0o6775)
    (folder / "pkg").chmod(0o700)

    built = build(tmp_path, folder)

    modes = {path: path.lstat().st_mode for path in [built.folder, *built.folder.rglob("*")] if not path.is_symlink()}
    assert {stat.S_IMODE(mode) for path, mode in modes.items() if path.is_dir()} == {0o755}
    assert {stat.S_IMODE(mode) for path, mode in modes.items() if path.is_file()} == {0o755, 0o644}
    assert stat.S_IMODE(modes[built.source / "run.sh"]) == 0o755
    assert [path.name.partition(".")[0] for path in (built.source / "pkg" / "__pycache__").iterdir()] == ["module"]


def test_bundles_that_were_made_for_their_owner_alone_are_opened(tmp_path: Path) -> None:
    built = build(tmp_path, app(tmp_path / "app"))
    (built.source / "app.py").chmod(0o4700)
    built.folder.chmod(0o700)

    bundle.open_all(tmp_path / "bundles")

    assert stat.S_IMODE((built.source / "app.py").stat().st_mode) == 0o755
    assert stat.S_IMODE(built.folder.stat().st_mode) == 0o755
