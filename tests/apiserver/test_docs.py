# SPDX-License-Identifier: Apache-2.0
"""The page about the API knows every kind, every limit and only files that are there."""

import re
from pathlib import Path

import pytest

from tidegate.apiserver import bodies, discovery, events, serve
from tidegate.model import kinds
from tidegate.model.kinds import Kind
from tidegate.store import store

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text()


@pytest.mark.parametrize("kind", [*kinds.ALL, *discovery.REVIEWS], ids=str)
def test_every_kind_is_on_the_page_beside_its_group(kind: Kind) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{kind.api_version}` |")]

    assert re.search(rf"\b{kind.kind}\b", row)


def test_the_limits_on_the_page_are_those_of_the_code() -> None:
    limits = {
        "a request's body": f"{bodies.LIMIT // 2**20} MiB",
        "an object": f"{store.LARGEST / 2**20} MiB",
        "watches and followed logs": f"{serve.STREAMS:,}",
        "connections at a time": f"{serve.CONNECTIONS:,}",
        "changes that a watch may lag behind": f"{store.QUEUE:,}",
        "history": f"{store.HISTORY:,} changes, {store.HISTORY_BYTES // 2**20} MiB",
        "the life of an Event": "an hour" if events.TTL.total_seconds() == 3600 else "?",
    }
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    assert [what for what, limit in limits.items() if not any(what in row and limit in row for row in rows)] == []


def test_every_file_that_the_page_names_is_there() -> None:
    named = re.findall(r"`((?:apiserver|store|model)/\w+\.py)`", PAGE)

    assert named
    assert [name for name in named if not (ROOT / "tidegate" / name).exists()] == []
