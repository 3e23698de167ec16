# SPDX-License-Identifier: Apache-2.0
"""The gate's page has every setting and every key of a report, and names only files that exist. The control plane has
the gate's buckets of latencies."""

import math
import re
from pathlib import Path

from tidegate.gateway import module
from tidegate.model.load import LATENCY_BOUNDS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "gate.md").read_text()


def test_every_setting_is_on_the_page() -> None:
    source = (module.GATE.sources / "settings.cc").read_text()
    settings = re.findall(r'(?:find<[\w:]+>|read_count|read_limit)\(object, "(\w+)"', source)

    assert len(settings) == 12
    assert [name for name in settings if f"`{name}`" not in PAGE and f'"{name}"' not in PAGE] == []


def test_every_key_of_a_report_and_every_reason_is_on_the_page() -> None:
    source = (module.GATE.sources / "report.cc").read_text()
    keys = re.findall(r'\\"(\w+)\\":', source) + re.findall(r'append_latency\(json, "(\w+)"', source)
    reasons = re.search(r"kReasons\[kRefusals\] = \{(.*?)\}", source, re.DOTALL)
    assert reasons is not None
    keys += re.findall(r'"(\w+)"', reasons[1])

    assert {"gateway", "hosts", "requestLatency", "queueFull", "removed"} <= set(keys)
    assert [name for name in keys if f"`{name}`" not in PAGE] == []


def test_the_control_plane_has_the_bounds_of_latencies() -> None:
    source = (module.GATE.sources / "latency.h").read_text()
    bounds = re.search(r"kBounds\{(.*?)std::numeric_limits<double>::infinity\(\)\}", source, re.DOTALL)
    assert bounds is not None

    assert (*map(float, re.findall(r"[\d.]+", bounds[1])), math.inf) == LATENCY_BOUNDS


def test_every_file_that_the_page_names_exists() -> None:
    named = re.findall(r"`((?:gate|tests|bench|tidegate)/[\w/]+\.\w+)`", PAGE)

    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
