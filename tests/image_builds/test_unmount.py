# SPDX-License-Identifier: Apache-2.0
"""What a killed build leaves mounted in the store is unmounted by `tidegate down`."""

import fcntl
from pathlib import Path

import pytest

from tidegate.image_builds import buildah
from tidegate.kit import mounts

pytestmark = pytest.mark.needs("root")


def test_mounts_of_killed_builds_are_removed_unless_a_build_runs(tmp_path: Path) -> None:
    images = tmp_path / "images"
    merged = images / "store" / "overlay" / "layer" / "merged"
    merged.mkdir(parents=True)
    mounts.mount("tmpfs", merged)
    try:
        with (images / "builds.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            buildah.unmount_left(images)
            assert mounts.below(images) == [merged]

        buildah.unmount_left(images)
        assert mounts.below(images) == []
    finally:
        for place in mounts.below(images):
            mounts.unmount(place)


def test_a_folder_without_mounts_is_left_as_it_is(tmp_path: Path) -> None:
    buildah.unmount_left(tmp_path / "images")

    assert list(tmp_path.iterdir()) == []
