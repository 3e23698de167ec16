# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path
from typing import Any

import pytest

from tidegate.bundles import collection

OLD, NEW = 1_000_000.0, 2_000_000.0
USED, UNUSED, FRESH = "a" * 64, "b" * 64, "c" * 64


def place(bundles: Path, name: str, touched: float) -> Path:
    folder = bundles / name
    (folder / "source").mkdir(parents=True)
    (folder / "source" / "app.py").write_text("pass")
    os.utime(folder, (touched, touched))
    return folder


def test_only_unused_and_old_bundles_are_removed(tmp_path: Path) -> None:
    for name, touched in ((USED, OLD), (UNUSED, OLD), (FRESH, NEW), (".new-x1", OLD), (".new-x2", NEW), ("notes", OLD)):
        place(tmp_path, name, touched)

    removed = collection.collect(tmp_path, {USED}, before=1_500_000.0)

    assert sorted(removed) == [".new-x1", UNUSED]
    assert {each.name for each in tmp_path.iterdir()} == {USED, FRESH, ".new-x2", "notes"}


def test_a_bundle_that_is_built_again_stays(tmp_path: Path) -> None:
    collection.touch(place(tmp_path, UNUSED, OLD))

    assert collection.collect(tmp_path, (), before=1_500_000.0) == []


def test_collecting_without_a_folder_does_nothing(tmp_path: Path) -> None:
    assert collection.collect(tmp_path / "bundles", (), before=NEW) == []


CONTAINERS = {"containers": [{"image": f"tidegate.dev/bundle/hello@sha256:{USED}"}, {"image": "tidegate.dev/host"}, {}]}


@pytest.mark.parametrize("spec", [CONTAINERS, {"template": {"spec": CONTAINERS}}], ids=["pod", "service"])
def test_an_object_names_the_bundles_of_its_containers(spec: Any) -> None:
    assert list(collection.named({"spec": spec})) == [USED]


@pytest.mark.parametrize("obj", [{}, {"spec": {}}, {"spec": {"template": None}}])
def test_an_object_without_containers_names_none(obj: Any) -> None:
    assert list(collection.named(obj)) == []
