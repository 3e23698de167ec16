# SPDX-License-Identifier: Apache-2.0
import json
import os
import subprocess
import sys

PROGRAM = """
import structlog
from tidegate.kit import logging

logging.configure()
structlog.get_logger("node").bind(pod="default/hello").warning("it ended", code=7)
"""
FAILING = """
import structlog
from tidegate.kit import logging

def fail(secret):
    raise ValueError("it failed")

logging.configure()
try:
    fail("".join(["hunter", "2"]))
except ValueError:
    structlog.get_logger("node").exception("reconcile failed")
"""
FULL = """
import os, sys
import structlog
from tidegate.kit import logging

logging.configure()
log = structlog.get_logger("node")
before = os.dup(2)
os.dup2(os.open("/dev/full", os.O_WRONLY), 2)
log.warning("lost")
log.error("lost too")
os.dup2(before, 2)
log.warning("there is room again")
"""


def test_an_unwritable_log_event_is_counted_and_raises_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, check=True)

    first, second = done.stderr.split()[:2], json.loads(done.stderr.splitlines()[-1])
    assert (first, second["event"]) == (["(2", "lines"], "there is room again")


def test_an_event_is_one_line_that_names_its_part_and_fields() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)

    (line,) = done.stderr.splitlines()
    event = json.loads(line)
    assert event.pop("timestamp").endswith("Z")
    assert event == {"logger": "node", "level": "warning", "event": "it ended", "pod": "default/hello", "code": 7}


def test_a_traceback_on_a_terminal_shows_no_values() -> None:
    ours, its = os.openpty()
    subprocess.run([sys.executable, "-c", FAILING], stderr=its, check=True)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    os.close(its)

    assert "ValueError: it failed" in shown
    assert "hunter2" not in shown
