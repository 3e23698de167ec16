# SPDX-License-Identifier: Apache-2.0
"""`tidegate build`: prints the image and nothing else; the same source gives the same image."""

from pathlib import Path

from tests.cli.world import invoke
from tidegate.cli import examples


def test_build_prints_the_image_of_the_bundle(tmp_path: Path) -> None:
    first = invoke("build", str(examples.folder("hello")), home=tmp_path)
    again = invoke("build", str(examples.folder("hello")), home=tmp_path)
    named = invoke("build", str(examples.folder("hello")), "--name", "other", home=tmp_path)

    assert first.code == 0, first.err
    assert first.out.startswith("tidegate.dev/bundle/hello@sha256:")
    assert again.out == first.out
    assert named.out == first.out.replace("bundle/hello@", "bundle/other@")
    digest = first.out.strip().rpartition(":")[2]
    assert (tmp_path / "bundles" / digest / "source" / "app.py").is_file()


def test_a_failed_build_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "Bad_Name").mkdir()
    (tmp_path / "Bad_Name" / "app.py").write_text("")

    absent = invoke("build", str(tmp_path / "absent"), home=tmp_path)
    bad = invoke("build", str(tmp_path / "Bad_Name"), home=tmp_path)

    assert (absent.code, absent.err) == (1, f"error: {tmp_path}/absent is not a folder\n")
    assert (bad.code, len(bad.err.splitlines())) == (1, 1)
    assert "Bad_Name" in bad.err
