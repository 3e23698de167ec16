# SPDX-License-Identifier: Apache-2.0
import pytest

from tidegate.images.reference import InvalidReference, parse

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("me/app", "docker.io/me/app:latest"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("index.docker.io/library/nginx", "docker.io/library/nginx:latest"),
        ("ghcr.io/o/app:v1", "ghcr.io/o/app:v1"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("host:5000/a/b/c:x", "host:5000/a/b/c:x"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        ("Host/app", "Host/app:latest"),
        ("a__b/c-d.e:V1_x", "docker.io/a__b/c-d.e:V1_x"),
        (f"app@{DIGEST}", f"docker.io/library/app@{DIGEST}"),
        (f"ghcr.io/o/app:v1@{DIGEST}", f"ghcr.io/o/app@{DIGEST}"),
    ],
)
def test_a_reference_means_what_docker_reads(image: str, full: str) -> None:
    assert parse(image).full == full


@pytest.mark.parametrize(
    "image",
    [
        "",
        "Nginx",
        "a b",
        "-a",
        "a//b",
        "a_/b",
        "a:",
        "a:-x",
        "a:" + "x" * 129,
        "a@sha256:0",
        "a@md5:" + "0" * 32,
        "0" * 64,
        "x" * 256,
        "host:port/a",
        "ko://example.com/app",
        "../a",
        "a/../b",
        "a\n",
    ],
)
def test_other_texts_are_invalid(image: str) -> None:
    with pytest.raises(InvalidReference):
        parse(image)


@pytest.mark.parametrize(("image", "always"), [("a", True), ("a:latest", True), ("a:1", False), (f"a@{DIGEST}", False)])
def test_only_the_tag_latest_is_pulled_at_every_start(image: str, always: bool) -> None:
    assert parse(image).always_pulled is always
