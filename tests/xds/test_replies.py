# SPDX-License-Identifier: Apache-2.0
"""The answers of Envoy and the gate, as a table: complete, and in the documents."""

import re
from pathlib import Path

import pytest

from tidegate.gateway import module
from tidegate.routing import backend
from tidegate.xds.replies import GATE_REASON, OTHERS, REPLIES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "gateway.md").read_text()
WORDS = [reply.reason for reply in REPLIES if reply.reason != GATE_REASON]
WORDS += [backend.CONTAINER_FAILED, backend.REVISION_MISSING, *(reason for reason, _, _ in OTHERS)]


@pytest.mark.parametrize("word", WORDS)
def test_each_reason_is_on_the_page_of_the_gateway(word: str) -> None:
    assert f"| `{word}` |" in PAGE


def test_each_detail_of_the_gate_has_a_text() -> None:
    given = set(re.findall(r'"(gate_\w+)"', (module.GATE.sources / "http_replies.cc").read_text()))
    known = {detail for reply in REPLIES for detail in reply.details if detail.startswith("gate_")}

    assert given == known
