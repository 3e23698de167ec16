# SPDX-License-Identifier: Apache-2.0
"""The files about the last start, also if one of them is damaged."""

from pathlib import Path

import pytest

from tidegate.runfile import Choices, Endpoints, RunRecord, choices_of, read_choices, write_choices, write_record
from tidegate.settings import Settings


@pytest.mark.parametrize("content", ["", "{", "[]", None], ids=["empty", "cut", "something else", "gone"])
def test_the_choices_of_a_start_are_read_from_its_record_if_their_file_is_damaged(
    tmp_path: Path, content: str | None
) -> None:
    settings = Settings(tmp_path)
    settings.sockets.mkdir()
    endpoints = Endpoints("http://127.0.0.1:1", "https://127.0.0.1:2", "http://127.0.0.1:3", "https://127.0.0.1:4")
    record = RunRecord(endpoints, 1, 2, 3, 4, "apps.example", 2)
    write_record(settings, record)
    if content is not None:
        settings.choices.write_text(content)

    assert read_choices(settings) == choices_of(record) == Choices(1, 2, 3, 4, "apps.example", 2)

    write_choices(settings, choices_of(record))
    settings.record.unlink()
    assert read_choices(settings) == choices_of(record)
