# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys

PROGRAM = """
import structlog
from tidegate.kit import logging

logging.configure()
structlog.get_logger("node").bind(pod="default/hello").warning("it ended", code=7)
"""


def test_an_event_is_one_line_that_names_its_part_and_fields() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)

    (line,) = done.stderr.splitlines()
    event = json.loads(line)
    assert event.pop("timestamp").endswith("Z")
    assert event == {"logger": "node", "level": "warning", "event": "it ended", "pod": "default/hello", "code": 7}
