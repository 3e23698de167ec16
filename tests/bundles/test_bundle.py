# SPDX-License-Identifier: Apache-2.0
"""Bundles: a digest of the content names a bundle, and a failed build leaves none."""

import fcntl
import os
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.bundles.world import APP, app, build, folder_of, remarks
from tests.disk import Disk, small_disk
from tidegate.bundles import build as builder
from tidegate.bundles import bundle, modes
from tidegate.bundles.bundle import BundleError
from tidegate.bundles.tools import Messages

__all__ = ["small_disk"]


def test_a_bundle_is_named_by_its_content(tmp_path: Path) -> None:
    first = build(tmp_path, app(tmp_path / "one"))
    same = build(tmp_path, app(tmp_path / "two"))
    other = build(tmp_path, app(tmp_path / "three", **{"more.txt": "x"}))

    assert first.digest == same.digest != other.digest
    assert first.image == f"tidegate.dev/bundle/app@sha256:{first.digest}"
    assert bundle.resolve(first.image, tmp_path / "bundles") == first
    assert (first.source / "app.py").read_text() == APP


def test_an_existing_bundle_is_not_built_again(tmp_path: Path) -> None:
    steps: list[str] = []
    folder = app(tmp_path / "app")
    builder.build(folder, "app", tmp_path / "bundles", Messages(steps.append))
    before = list(steps)
    builder.build(folder, "other-name", tmp_path / "bundles", Messages(steps.append))

    assert before == ["copying 2 files", "making the Python environment", "compiling its modules"]
    assert steps == before


def test_concurrent_builds_of_one_bundle_leave_it_complete(tmp_path: Path) -> None:
    folder = app(tmp_path / "app", **{f"data/{number}": "x" for number in range(200)})
    with ThreadPoolExecutor() as builders:
        built = list(builders.map(lambda _: build(tmp_path, folder), range(6)))

    assert {each.digest for each in built} == {built[0].digest}
    assert [each.name for each in (tmp_path / "bundles").iterdir()] == [built[0].digest]
    assert len(list((built[0].source / "data").iterdir())) == 200


@pytest.mark.parametrize("manifest", [None, b"", b"\xff\x00", b"{}"])
def test_a_damaged_bundle_is_built_again(tmp_path: Path, manifest: bytes | None) -> None:
    folder = app(tmp_path / "app")
    first = build(tmp_path, folder)
    (first.folder / bundle.MANIFEST).unlink()
    if manifest is not None:
        (first.folder / bundle.MANIFEST).write_bytes(manifest)
    with pytest.raises(BundleError, match=r"build it (again )?with: tidegate build DIR"):
        bundle.resolve(first.image, tmp_path / "bundles")

    assert build(tmp_path, folder) == first
    assert bundle.resolve(first.image, tmp_path / "bundles") == first

    build(tmp_path, app(tmp_path / "other", **{"more.txt": "x"}))
    assert not list((tmp_path / "bundles").glob(".*"))  # the damaged bundle, which was moved aside


@pytest.mark.parametrize("small_disk", [1], indirect=True)
def test_a_full_disk_is_reported_by_the_build(tmp_path: Path, small_disk: Disk) -> None:
    folder = app(tmp_path / "app", **{"data.txt": "x" * 500_000})
    small_disk.fill(but=400_000)
    with pytest.raises(BundleError, match=r"cannot be copied to .*/disk/bundles/.*: No space left on device"):
        build(small_disk.path, folder)


def test_the_folder_of_a_killed_build_is_removed_and_that_of_a_running_build_stays(tmp_path: Path) -> None:
    bundles = tmp_path / "bundles"
    bundles.mkdir()
    left, used = (Path(tempfile.mkdtemp(prefix=".new-", dir=bundles)) for _ in range(2))
    handle = os.open(used, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    build(tmp_path, app(tmp_path / "app"))
    os.close(handle)

    assert (left.exists(), used.exists()) == (False, True)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"README": "x"}, "nothing says how to start app: add a file Procfile with a line like 'web: python app.py'"),
        ({"Procfile": "web: 'a"}, "the Procfile's line web: cannot be read"),
        ({"pyproject.toml": "[project"}, "pyproject.toml cannot be read"),
        ({"package.json": "{"}, "package.json cannot be read"),
        ({"Cargo.toml": ""}, "this is Rust; build it yourself and add a Procfile"),
        ({"Gemfile": ""}, "this is Ruby"),
        ({"pom.xml": ""}, "this is Java"),
        ({"Dockerfile": ""}, "this is Docker"),
        ({"lib.py": ""}, "add a main.py or an app.py"),
        ({"Procfile": "static: public"}, "there is no such folder"),
        ({"Procfile": "static: ../.."}, "there is no such folder"),
    ],
)
def test_a_failed_build_reports_the_reason_and_leaves_no_files(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    with pytest.raises(BundleError) as failure:
        build(tmp_path, folder_of(tmp_path / "app", **files))
    assert words in str(failure.value)
    assert not (tmp_path / "bundles").exists() or not list((tmp_path / "bundles").iterdir())


def test_a_bundle_without_a_start_command_is_built_if_none_is_needed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "app", **{"lib.py": "app = None\n"})
    built = build(tmp_path, folder, needs_command=False)

    assert built.command == ()
    with pytest.raises(BundleError, match="nothing says how to start"):
        build(tmp_path, folder)


def test_a_bad_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot name a bundle"):
        builder.build(app(tmp_path / "app"), "../App", tmp_path / "bundles", Messages(lambda _: None))


def test_an_image_without_a_bundle_is_an_error(tmp_path: Path) -> None:
    for image, words in (
        ("tidegate.dev/bundle/app", "names no bundle"),
        ("tidegate.dev/bundle/../x@sha256:" + "0" * 64, "names no bundle"),
        ("tidegate.dev/bundle/app@sha256:" + "0" * 64, "build it with: tidegate build DIR"),
    ):
        with pytest.raises(BundleError, match=words):
            bundle.resolve(image, tmp_path)


def test_process_types_that_do_not_run_are_named(tmp_path: Path) -> None:
    folder = app(tmp_path / "app", Procfile="web: python app.py\nworker: python w.py\nrelease: ./migrate")

    assert remarks(tmp_path, folder) == ["the Procfile's line worker: is not run"]
    assert build(tmp_path, folder).release == ("./migrate",)


@pytest.mark.needs("npm")
def test_modes_set_by_install_scripts_do_not_survive_in_a_bundle(tmp_path: Path) -> None:
    script = "cp /bin/true owned; chmod 6755 owned; mkdir -m 3777 shared; mkfifo pipe; echo x > 'a b'; chmod 600 'a b'"
    package = f'{{"scripts": {{"build": "{script}", "start": "./owned"}}}}'
    built = build(tmp_path, folder_of(tmp_path / "app", **{"package.json": package}))

    modes = {each.name: stat.S_IMODE(each.lstat().st_mode) for each in built.folder.rglob("*") if not each.is_symlink()}
    assert set(modes.values()) <= {0o644, 0o755}
    assert (modes["owned"], modes["shared"], modes["a b"], "pipe" in modes) == (0o755, 0o755, 0o644, False)
    assert {(each.lstat().st_uid, each.lstat().st_gid) for each in built.folder.rglob("*")} == {
        (os.geteuid(), os.getegid())
    }


def test_bundles_of_earlier_versions_become_readable_for_all_users(tmp_path: Path) -> None:
    built = build(tmp_path, app(tmp_path / "app"))
    (built.source / "app.py").chmod(0o4700)
    built.folder.chmod(0o700)

    modes.open_all(tmp_path / "bundles")

    assert stat.S_IMODE((built.source / "app.py").stat().st_mode) == 0o755
    assert stat.S_IMODE(built.folder.stat().st_mode) == 0o755


def test_copied_files_are_counted(tmp_path: Path) -> None:
    steps: list[str] = []
    builder.build(
        folder_of(tmp_path / "app", **{"main.py": "print('started')\n"}),
        "app",
        tmp_path / "bundles",
        Messages(steps.append),
    )

    assert steps[0] == "copying 1 file"
