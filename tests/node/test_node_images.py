# SPDX-License-Identifier: Apache-2.0
from tidegate.images.stored import ImageConfig, StoredImage
from tidegate.node.machine import node_images


def image(number: int, names: int = 1) -> StoredImage:
    named = tuple(f"docker.io/library/app{number}:v{name}" for name in range(names))
    return StoredImage(f"{number:064x}", "", frozenset(), named, ImageConfig(), (), size=number)


def test_a_node_lists_its_50_largest_images_with_5_names_each() -> None:
    listed = node_images([image(number, names=7) for number in range(60)])

    assert [each["sizeBytes"] for each in listed] == list(range(59, 9, -1))
    assert {len(each["names"]) for each in listed} == {5}


def test_a_node_without_images_lists_none() -> None:
    assert node_images([]) == []
