# SPDX-License-Identifier: Apache-2.0
import pytest

from tidegate.model.text import images

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    "image",
    [
        "hello",
        "hello:1",
        "library/hello",
        "docker.io/library/hello:v1.2_3",
        "localhost:5000/hello",
        "[::1]:5000/hello",
        f"gcr.io/a/b@{DIGEST}",
        f"gcr.io/a/b:tag@{DIGEST}",
        "ko://example.com/cmd",
        "tidegate.dev/host",
        f"tidegate.dev/bundle/my-app@{DIGEST}",
    ],
)
def test_references_of_images_are_accepted(image: str) -> None:
    assert images.parse_error(image) == ""


@pytest.mark.parametrize(
    "image",
    [
        "",
        "Hello",
        "a b",
        "x",
        "x:tag:tag",
        "docker.io/{username}/hello",
        "gcr.io/a/b@sha256:short",
        "gcr.io/a/b@md5:" + "0" * 32,
        "hello:" + "t" * 129,
        "tidegate.dev/bundle/my-app",
        f"tidegate.dev/bundle/My@{DIGEST}",
        f"tidegate.dev/bundle/a/b@{DIGEST}",
    ],
)
def test_text_that_is_not_a_reference_is_rejected(image: str) -> None:
    assert images.parse_error(image)
